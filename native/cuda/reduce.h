// The reduce pass: float64 sums in the fixed tree of numeric/lanes.h. A warp takes a chunk of kSumChunk elements, a lane
// for each of its threads, so that neighbours read neighbouring elements; then its lanes are added by shuffles.
#pragma once

#include "../engine/sum-tree.h"
#include "operands.h"

namespace sinter::cuda {

constexpr unsigned kReduceThreads = 512;
constexpr unsigned kReduceWarps = kReduceThreads / kWarp;
constexpr unsigned kColumnThreads = 128;
static_assert(kSumLanes == static_cast<int>(kWarp));

/// Chunks of a block of kSumBlock elements.
constexpr uint32_t kBlockChunks = static_cast<uint32_t>(kSumBlock) / kSumChunk;

/// Rows up to this are summed by a warp each.
constexpr uint32_t kWarpRow = 8192;

/// Sums that are added up at the same time: all of them, where their number is known when this is compiled. Otherwise so
/// many, and the data is read again for the next: a thread has no room for the terms of thousands.
constexpr int kSumsAtOnce = 16;
template <class Function, int N>
constexpr int kBatch = N > 0 ? Function::kSums : kSumsAtOnce;

/// Elements of each lane whose loads are under way together.
template <class Work, int N, Words kWords>
constexpr uint32_t kAhead = N == 0                                                  ? 1
                            : sizeof(Work) == 8 || N > 4 || kWords == Words::random ? 4
                                                                                    : 8;

/// Where an element function of any number of inputs writes its terms: those from `first` on are added to `sums`.
struct TermWindow {
  double* sums;
  int first;

  struct Term {
    double* sum;
    SINTER_DEVICE void operator=(double term) const {
      if (sum != nullptr) *sum += term;
    }
  };

  SINTER_DEVICE Term operator[](int s) const {
    return {s >= first && s < first + kSumsAtOnce ? sums + (s - first) : nullptr};
  }
};

template <int N, class Function, class Work>
SINTER_DEVICE void add_terms(const Function& f, const Work* x, const uint32_t* r, uint32_t i, int first, double* sums) {
  if constexpr (N > 0) {
    double term[Function::kSums];
    f(x, r, static_cast<int32_t>(i), term);
#pragma unroll
    for (int s = 0; s < Function::kSums; s++) sums[s] += term[s];
  } else {
    f(x, r, static_cast<int32_t>(i), TermWindow{sums, first});
  }
}

/// Random numbers of four elements of each lane, 32 apart, of one input: each lane makes those of a counter, and gets its
/// own from the lanes that made them. `at`: the first lane's first element in the slice, a multiple of 128.
template <int N>
SINTER_DEVICE void warp_numbers(const WordSource<N, Words::random>& source, int k, uint32_t at, uint32_t lane,
                                uint32_t (&r)[4]) {
  // 128 elements, four for each of 32 counters in a row.
  const uint64_t begin = source.begin + at;
  const PhiloxBlock block = mask_block(mask_counter(begin) + lane, source.stream[k], 0, source.key);
  const bool second_half = mask_words(begin) != 0;
  const uint32_t low = second_half ? block.word[2] : block.word[0];
  const uint32_t high = second_half ? block.word[3] : block.word[1];
#pragma unroll
  for (uint32_t j = 0; j < 4; j++) {
    const int from = static_cast<int>(8 * j + lane / 4);
    const uint32_t first = __shfl_sync(kAllLanes, low, from);
    const uint32_t second = __shfl_sync(kAllLanes, high, from);
    r[j] = settle(number_of_words(first, second, lane), begin + 32 * j + lane, source.stream[k], source.key,
                  source.limit[k]);
  }
}

/// Adds to each lane's own `sums` the terms of its elements of a chunk: [begin, begin + n) of the slice.
template <class Work, int N, Words kWords, class Function>
SINTER_DEVICE void add_chunk(const Operands<N, kWords>& a, const Function& f, uint32_t begin, uint32_t n, int first,
                             double* sums) {
  constexpr uint32_t J = kAhead<Work, N, kWords>;
  const uint32_t lane = threadIdx.x % kWarp;
  const int inputs = N > 0 ? N : a.in.number;
  for (uint32_t at = 0; at < n; at += J * kWarp) {
    typename BitsOf<Work>::type read[J][kRoom<N>];
    uint32_t r[J][kWords == Words::none ? 1 : kRoom<N>];
#pragma unroll
    for (int k = 0; k < inputs; k++) {
#pragma unroll
      for (uint32_t j = 0; j < J; j++) {
        const uint32_t i = at + j * kWarp + lane;
        read[j][k] = i < n ? read_one<Work>(a.in.data[k], a.in.dtype[k], begin + i) : 0;
      }
    }
    if constexpr (kWords == Words::random && J == 4) {
#pragma unroll
      for (int k = 1; k < inputs; k++) {
        uint32_t own[4] = {};
        if (a.words.needed[k]) warp_numbers<N>(a.words, k, begin + at, lane, own);
#pragma unroll
        for (uint32_t j = 0; j < 4; j++) r[j][k] = own[j];
      }
    } else if constexpr (kWords != Words::none) {
#pragma unroll
      for (uint32_t j = 0; j < J; j++) {
        const uint32_t i = at + j * kWarp + lane;
        words_of_one<N, kWords>(a.words, inputs, begin + (i < n ? i : n - 1), r[j]);
      }
    }
#pragma unroll
    for (uint32_t j = 0; j < J; j++) {
      const uint32_t i = at + j * kWarp + lane;
      Work x[kRoom<N>];
#pragma unroll
      for (int k = 0; k < inputs; k++) x[k] = widen_one<Work>(read[j][k], a.in.dtype[k]);
      if (i < n) add_terms<N>(f, x, r[j], begin + i, first, sums);
    }
  }
}

/// The sums of one chunk; lane 0 has them.
template <class Work, int N, Words kWords, class Function>
SINTER_DEVICE void sum_chunk(const Operands<N, kWords>& a, const Function& f, uint32_t begin, uint32_t n, int first,
                             double (&sums)[kBatch<Function, N>]) {
#pragma unroll
  for (double& sum : sums) sum = 0.0;
  add_chunk<Work, N, kWords>(a, f, begin, n, first, sums);
#pragma unroll
  for (double& sum : sums) sum = warp_fold(sum);
}

/// Groups of `width` elements in turn, a block of threads for each: whole blocks of kSumBlock elements, or long rows.
template <class Work, int N, Words kWords, class Function>
__global__ void __launch_bounds__(kReduceThreads)
    reduce_groups(const __grid_constant__ Operands<N, kWords> a, const __grid_constant__ Function f, uint32_t groups,
                  uint32_t width, int count, double* out) {
  constexpr int kTogether = kBatch<Function, N>;
  __shared__ double of_chunk[kBlockChunks][kTogether];
  const uint32_t warp = threadIdx.x / kWarp;
  const int own = static_cast<int>(threadIdx.x);
  for (uint32_t group = blockIdx.x; group < groups; group += gridDim.x) {
    const uint32_t begin = group * width;
    const uint32_t length = a.in.count - begin < width ? a.in.count - begin : width;
    for (int first = 0; first < count; first += kTogether) {
      SumTree tree;
      for (uint32_t block = 0; block < length; block += static_cast<uint32_t>(kSumBlock)) {
        const uint32_t left = length - block;
        const uint32_t n = left < kSumBlock ? left : static_cast<uint32_t>(kSumBlock);
        const uint32_t chunks = (n + kSumChunk - 1) / kSumChunk;
        for (uint32_t chunk = warp; chunk < chunks; chunk += kReduceWarps) {
          const uint32_t at = chunk * kSumChunk;
          double sums[kTogether];
          sum_chunk<Work, N, kWords>(a, f, begin + block + at, n - at < kSumChunk ? n - at : kSumChunk, first, sums);
          if (threadIdx.x % kWarp == 0) {
            for (int s = 0; s < kTogether; s++) of_chunk[chunk][s] = sums[s];
          }
        }
        __syncthreads();
        if (own < kTogether) {
          double sum = 0.0;
          for (uint32_t chunk = 0; chunk < chunks; chunk++) sum += of_chunk[chunk][own];
          tree.add(sum);
        }
        __syncthreads();
      }
      if (own < kTogether && first + own < count) out[static_cast<uint64_t>(group) * count + first + own] = tree.sum();
    }
  }
}

/// Rows of at most kSumBlock elements in turn, a warp for each.
template <class Work, int N, Words kWords, class Function>
__global__ void __launch_bounds__(kReduceThreads)
    reduce_rows(const __grid_constant__ Operands<N, kWords> a, const __grid_constant__ Function f, uint32_t rows,
                uint32_t width, int count, double* out) {
  constexpr int kTogether = kBatch<Function, N>;
  const uint32_t warps = gridDim.x * kReduceWarps;
  for (uint32_t row = blockIdx.x * kReduceWarps + threadIdx.x / kWarp; row < rows; row += warps) {
    for (int first = 0; first < count; first += kTogether) {
      double totals[kTogether] = {};
      for (uint32_t at = 0; at < width; at += kSumChunk) {
        double sums[kTogether];
        const uint32_t n = width - at < kSumChunk ? width - at : kSumChunk;
        sum_chunk<Work, N, kWords>(a, f, row * width + at, n, first, sums);
        for (int s = 0; s < kTogether; s++) totals[s] += sums[s];
      }
      if (threadIdx.x % kWarp != 0) continue;
      for (int s = 0; s < kTogether && first + s < count; s++) {
        out[static_cast<uint64_t>(row) * count + first + s] = totals[s];
      }
    }
  }
}

/// For each position of a row the sums over blocks of rows, row after row; a thread for each position and block.
template <class Work, int N, class Function>
__global__ void __launch_bounds__(kColumnThreads)
    reduce_positions(const __grid_constant__ Operands<N, Words::none> a, const __grid_constant__ Function f,
                     uint32_t positions, uint32_t block_rows, int count, double* out) {
  constexpr int kTogether = kBatch<Function, N>;
  const uint32_t rows = a.in.count / positions;
  const uint32_t blocks = (rows + block_rows - 1) / block_rows;
  const uint32_t strips = (positions + kColumnThreads - 1) / kColumnThreads;
  const int inputs = N > 0 ? N : a.in.number;
  const uint64_t units = static_cast<uint64_t>(blocks) * strips;
  for (uint64_t unit = blockIdx.x; unit < units; unit += gridDim.x) {
    const uint32_t block = static_cast<uint32_t>(unit / strips);
    const uint32_t position = static_cast<uint32_t>(unit % strips) * kColumnThreads + threadIdx.x;
    if (position >= positions) continue;
    const uint32_t begin = block * block_rows;
    const uint32_t end = rows - begin < block_rows ? rows : begin + block_rows;
    for (int first = 0; first < count; first += kTogether) {
      double sums[kTogether] = {};
      constexpr uint32_t J = kAhead<Work, N, Words::none>;
      for (uint32_t row = begin; row < end; row += J) {
        typename BitsOf<Work>::type read[J][kRoom<N>];
        const uint32_t i = row * positions + position;
#pragma unroll
        for (int k = 0; k < inputs; k++) {
#pragma unroll
          for (uint32_t j = 0; j < J; j++) {
            read[j][k] = row + j < end ? read_one<Work>(a.in.data[k], a.in.dtype[k], i + j * positions) : 0;
          }
        }
#pragma unroll
        for (uint32_t j = 0; j < J; j++) {
          Work x[kRoom<N>];
#pragma unroll
          for (int k = 0; k < inputs; k++) x[k] = widen_one<Work>(read[j][k], a.in.dtype[k]);
          if (row + j < end) add_terms<N>(f, x, static_cast<const uint32_t*>(nullptr), i + j * positions, first, sums);
        }
      }
      for (int s = 0; s < kTogether && first + s < count; s++) {
        out[(static_cast<uint64_t>(block) * count + first + s) * positions + position] = sums[s];
      }
    }
  }
}

template <class Method, class Function, class Work, int N>
cudaError_t reduce_slice(const Where& where, const Job& job, const Slice& slice, double* sums) {
  constexpr Words words = kWordsOf<Method>;
  Function f(job);
  f.at(slice.begin);
  const Operands<N, words> operands = operands_of<Method, N>(job, slice);
  const int count = Method::sum_count(job);
  if constexpr (requires { &Method::grouping; }) {
    if (job.grouping == Grouping::rows) {
      const uint32_t width = static_cast<uint32_t>(job.columns);
      const uint32_t rows = operands.in.count / width;
      if (width > kWarpRow) {
        return launch_over(where, reduce_groups<Work, N, words, Function>, rows, kReduceThreads, operands, f, rows,
                           width, count, sums);
      }
      const uint32_t blocks = (rows + kReduceWarps - 1) / kReduceWarps;
      return launch_over(where, reduce_rows<Work, N, words, Function>, blocks, kReduceThreads, operands, f, rows, width,
                         count, sums);
    }
  }
  const uint32_t blocks = static_cast<uint32_t>((operands.in.count + kSumBlock - 1) / kSumBlock);
  return launch_over(where, reduce_groups<Work, N, words, Function>, blocks, kReduceThreads, operands, f, blocks,
                     static_cast<uint32_t>(kSumBlock), count, sums);
}

template <class Method, class Function, class Work, int N>
cudaError_t reduce_slice_columns(const Where& where, const Job& job, const Slice& slice, uint64_t block_rows,
                                 double* sums) {
  Function f(job);
  f.at(slice.begin);
  const Operands<N, Words::none> operands = operands_of<Method, N>(job, slice);
  const uint64_t positions = job.groups();
  const uint64_t rows = operands.in.count / positions;
  const uint64_t blocks = (rows + block_rows - 1) / block_rows;
  const uint64_t strips = (positions + kColumnThreads - 1) / kColumnThreads;
  const uint32_t in_block = static_cast<uint32_t>(block_rows < rows ? block_rows : rows);
  return launch_over(where, reduce_positions<Work, N, Function>, blocks * strips, kColumnThreads, operands, f,
                     static_cast<uint32_t>(positions), in_block, Method::sum_count(job), sums);
}

}  // namespace sinter::cuda
