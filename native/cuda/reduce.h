// The reduce pass: float64 sums in the fixed tree of numeric/lanes.h. A warp takes a chunk of kSumChunk elements, a lane
// for each of its threads, so that neighbours read neighbouring elements; then its lanes are added by shuffles. Where all
// inputs are bfloat16, half a warp takes a chunk, two lanes for each of its threads: so each load brings two elements, and
// twice as many bytes are under way. (Of random masks a quarter does: reduce-random.h.)
#pragma once

#include "../engine/sum-tree.h"
#include "operands.h"
#include "reduce-random.h"

namespace sinter::cuda {

constexpr unsigned kReduceThreads = 512;
constexpr unsigned kReduceWarps = kReduceThreads / kWarp;
constexpr unsigned kColumnThreads = 128;
/// Of blocks whose warps take a row each, and share nothing.
constexpr unsigned kWarpRowThreads = 256;
constexpr unsigned kWarpRows = kWarpRowThreads / kWarp;
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
                            : sizeof(Work) == 8 || N > 2 || kWords == Words::random ? 4
                                                                                    : 8;

/// Blocks of threads that a multiprocessor holds at the least, which bounds a thread's registers: one alone has nothing to
/// read while it folds its sums.
template <class Function, int N, Words kWords>
constexpr unsigned kReduceBlocks = N > 0 && Function::kSums <= 6 && kWords != Words::random ? 2 : 1;

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
  const PhiloxBlock block = mask_block(mask_counter(begin) + lane, source.stream[k], 0, source.keys);
  const bool second_half = mask_words(begin) != 0;
  const uint32_t low = second_half ? block.word[2] : block.word[0];
  const uint32_t high = second_half ? block.word[3] : block.word[1];
#pragma unroll
  for (uint32_t j = 0; j < 4; j++) {
    const int from = static_cast<int>(8 * j + lane / 4);
    const uint32_t first = __shfl_sync(kAllLanes, low, from);
    const uint32_t second = __shfl_sync(kAllLanes, high, from);
    r[j] = settle(source, k, number_of_words(first, second, lane), begin + 32 * j + lane);
  }
}

/// Adds to each lane's own `sums` the terms of up to J of its elements, kWarp apart: [begin, begin + n) of the slice. Unless
/// they are `kWhole` some lanes have fewer.
template <class Work, int N, Words kWords, bool kWhole, class Function>
SINTER_DEVICE void add_elements(const Operands<N, kWords>& a, const Function& f, uint32_t begin, uint32_t n,
                                double* sums) {
  constexpr uint32_t J = kAhead<Work, N, kWords>;
  const uint32_t lane = threadIdx.x % kWarp;
  const uint32_t number = kWhole ? J : (n + kWarp - 1 - lane) / kWarp;
  typename BitsOf<Work>::type read[N][J];
#pragma unroll
  for (int k = 0; k < N; k++) {
    read_some<Work, kWhole>(a.in.data[k], a.in.dtype[k], begin + lane, kWarp, number, read[k]);
  }
  uint32_t r[J][kWords == Words::none ? 1 : N];
  if constexpr (kWords == Words::random) {
    static_assert(J == 4);
#pragma unroll
    for (int k = 1; k < N; k++) {
      uint32_t own[4] = {};
      if (a.words.needed[k]) warp_numbers<N>(a.words, k, begin, lane, own);
#pragma unroll
      for (uint32_t j = 0; j < J; j++) r[j][k] = own[j];
    }
  } else if constexpr (kWords == Words::mask) {
#pragma unroll
    for (uint32_t j = 0; j < J; j++) {
      const uint32_t at = j * kWarp + lane;
      words_of_one<N, kWords>(a.words, N, begin + (kWhole || at < n ? at : n - 1), r[j]);
    }
  }
  Work wide[N][J];
#pragma unroll
  for (int k = 0; k < N; k++) widen_some<Work>(read[k], a.in.dtype[k], wide[k]);
#pragma unroll
  for (uint32_t j = 0; j < J; j++) {
    Work x[N];
#pragma unroll
    for (int k = 0; k < N; k++) x[k] = wide[k][j];
    if (kWhole || j < number) add_terms<N>(f, x, r[j], begin + j * kWarp + lane, 0, sums);
  }
}

/// Adds to each lane's own `sums` the terms of its elements of a chunk: [begin, begin + n) of the slice.
template <class Work, int N, Words kWords, class Function>
SINTER_DEVICE void add_chunk(const Operands<N, kWords>& a, const Function& f, uint32_t begin, uint32_t n, int first,
                             double* sums) {
  if constexpr (N > 0) {
    constexpr uint32_t kTogether = kAhead<Work, N, kWords> * kWarp;
    uint32_t at = 0;
    for (; at + kTogether <= n; at += kTogether) {
      add_elements<Work, N, kWords, true>(a, f, begin + at, kTogether, sums);
    }
    if (at < n) add_elements<Work, N, kWords, false>(a, f, begin + at, n - at, sums);
  } else {
    for (uint32_t i = begin + threadIdx.x % kWarp; i < begin + n; i += kWarp) {
      Work x[kMaxInputs];
      uint32_t r[kWords == Words::none ? 1 : kMaxInputs];
      for (int k = 0; k < a.in.number; k++) x[k] = load_one<Work>(a.in.data[k], a.in.dtype[k], i);
      words_of_one<N, kWords>(a.words, a.in.number, i, r);
      add_terms<N>(f, x, r, i, first, sums);
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

constexpr uint32_t kHalf = kWarp / 2;

/// Whether chunks may be taken by half warps, if the data is bfloat16.
template <class Work, int N, Words kWords>
constexpr bool kByHalves = sizeof(Work) == 4 && N > 0 && kWords != Words::random;

/// Adds to the sums of a thread's two lanes the terms of J pairs of elements, kSumLanes apart: of [begin, begin + n) of the
/// slice, where `begin` is its half warp's, and even. Unless they are `kWhole` some threads have fewer.
template <int N, Words kWords, bool kWhole, uint32_t J, class Function>
SINTER_DEVICE void add_pairs(const Operands<N, kWords>& a, const Function& f, uint32_t begin, uint32_t n,
                             double (&sums)[2][Function::kSums]) {
  const uint32_t own = 2 * (threadIdx.x % kHalf);
  uint32_t read[N][J];
#pragma unroll
  for (int k = 0; k < N; k++) {
    const uint16_t* const from = static_cast<const uint16_t*>(a.in.data[k]) + begin + own;
#pragma unroll
    for (uint32_t j = 0; j < J; j++) {
      const uint32_t at = j * kSumLanes;
      if (kWhole || at + own + 1 < n) {
        read[k][j] = *reinterpret_cast<const uint32_t*>(from + at);
      } else {
        read[k][j] = at + own < n ? from[at] : 0;
      }
    }
  }
#pragma unroll
  for (uint32_t j = 0; j < J; j++) {
    uint32_t bits[N] = {};
    if constexpr (kWords == Words::mask) {
#pragma unroll
      for (int k = 1; k < N; k++) {
        const auto* const mask = reinterpret_cast<const uint32_t*>(a.words.mask[k]);
        if (mask != nullptr && (kWhole || j * kSumLanes < n)) bits[k] = mask[begin / kWarp + j] >> own;
      }
    }
#pragma unroll
    for (uint32_t e = 0; e < 2; e++) {
      const uint32_t at = j * kSumLanes + own + e;
      float x[N];
      uint32_t r[kWords == Words::none ? 1 : N];
#pragma unroll
      for (int k = 0; k < N; k++) {
        x[k] = bits_as<float>(e == 0 ? read[k][j] << 16 : read[k][j] & 0xFFFF0000u);
        if constexpr (kWords == Words::mask) r[k] = bits[k] >> e & 1;
      }
      if (kWhole || at < n) add_terms<N>(f, x, r, begin + at, 0, sums[e]);
    }
  }
}

/// The sums of the two chunks from `begin` on, of which `n` elements are left: those of the first in lane 0, those of the
/// second, or zeros, in lane kHalf.
template <int N, Words kWords, class Function>
SINTER_DEVICE void sum_two_chunks(const Operands<N, kWords>& a, const Function& f, uint32_t begin, uint32_t n,
                                  double (&sums)[Function::kSums]) {
  constexpr uint32_t J = N > 2 ? 4 : 8;
  constexpr uint32_t kTogether = J * kSumLanes;
  double of_lanes[2][Function::kSums] = {};
  const uint32_t skipped = threadIdx.x % kWarp / kHalf * kSumChunk;
  if (n >= 2 * kSumChunk) {
    for (uint32_t at = 0; at < kSumChunk; at += kTogether) {
      add_pairs<N, kWords, true, J>(a, f, begin + skipped + at, kTogether, of_lanes);
    }
  } else {
    const uint32_t left = n > skipped ? n - skipped : 0;
    const uint32_t own = left < kSumChunk ? left : kSumChunk;
    for (uint32_t at = 0; at < own; at += kTogether) {
      add_pairs<N, kWords, false, J>(a, f, begin + skipped + at, own - at, of_lanes);
    }
  }
#pragma unroll
  for (int s = 0; s < Function::kSums; s++) {
    double even = of_lanes[0][s];
    double odd = of_lanes[1][s];
#pragma unroll
    for (unsigned step = kHalf / 2; step > 0; step /= 2) {
      even += __shfl_down_sync(kAllLanes, even, step);
      odd += __shfl_down_sync(kAllLanes, odd, step);
    }
    sums[s] = even + odd;
  }
}

/// Groups of `width` elements in turn, a block of threads for each: whole blocks of kSumBlock elements, or long rows.
template <class Work, int N, Words kWords, class Function>
__global__ void __launch_bounds__(kReduceThreads, kReduceBlocks<Function, N, kWords>)
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
        bool in_parts = false;
        if constexpr (kByHalves<Work, N, kWords>) in_parts = a.in.in_pairs && (begin + block) % 2 == 0;
        if constexpr (kByQuarters<Work, N, kWords, Function>) in_parts = a.in.in_pairs && begin % kSumChunk == 0;
        if (in_parts) {
          // The parts of a warp take a chunk each.
          constexpr uint32_t kParts = kByHalves<Work, N, kWords> ? 2 : 4;
          const uint32_t part = threadIdx.x % kWarp / (kWarp / kParts);
          for (uint32_t chunk = kParts * warp; chunk < chunks; chunk += kParts * kReduceWarps) {
            const uint32_t at = chunk * kSumChunk;
            double sums[kTogether];
            if constexpr (kByHalves<Work, N, kWords>) sum_two_chunks(a, f, begin + block + at, n - at, sums);
            if constexpr (kByQuarters<Work, N, kWords, Function>) {
              sum_four_chunks(a, f, begin + block + at, n - at, sums);
            }
            if (threadIdx.x % (kWarp / kParts) == 0 && chunk + part < chunks) {
              for (int s = 0; s < kTogether; s++) of_chunk[chunk + part][s] = sums[s];
            }
          }
        } else {
          for (uint32_t chunk = warp; chunk < chunks; chunk += kReduceWarps) {
            const uint32_t at = chunk * kSumChunk;
            double sums[kTogether];
            sum_chunk<Work, N, kWords>(a, f, begin + block + at, n - at < kSumChunk ? n - at : kSumChunk, first, sums);
            if (threadIdx.x % kWarp == 0) {
              for (int s = 0; s < kTogether; s++) of_chunk[chunk][s] = sums[s];
            }
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
__global__ void __launch_bounds__(kWarpRowThreads, kReduceBlocks<Function, N, kWords> + 1)
    reduce_rows(const __grid_constant__ Operands<N, kWords> a, const __grid_constant__ Function f, uint32_t rows,
                uint32_t width, int count, double* out) {
  constexpr int kTogether = kBatch<Function, N>;
  const uint32_t warps = gridDim.x * kWarpRows;
  for (uint32_t row = blockIdx.x * kWarpRows + threadIdx.x / kWarp; row < rows; row += warps) {
    for (int first = 0; first < count; first += kTogether) {
      double totals[kTogether] = {};
      bool by_halves = false;
      if constexpr (kByHalves<Work, N, kWords>) {
        by_halves = a.in.in_pairs && width > kSumChunk && row * width % 2 == 0;
        for (uint32_t at = 0; by_halves && at < width; at += 2 * kSumChunk) {
          double sums[kTogether];
          sum_two_chunks(a, f, row * width + at, width - at, sums);
          for (int s = 0; s < kTogether; s++) {
            const double second = __shfl_sync(kAllLanes, sums[s], kHalf);
            totals[s] += sums[s];
            if (width - at > kSumChunk) totals[s] += second;
          }
        }
      }
      for (uint32_t at = 0; !by_halves && at < width; at += kSumChunk) {
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
  constexpr const uint32_t* kNoWords = nullptr;
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
      const auto add = [&]<bool kWhole>(uint32_t row) {
        const uint32_t i = row * positions + position;
        if constexpr (N > 0) {
          typename BitsOf<Work>::type read[N][J];
#pragma unroll
          for (int k = 0; k < N; k++) {
            read_some<Work, kWhole>(a.in.data[k], a.in.dtype[k], i, positions, end - row, read[k]);
          }
          Work wide[N][J];
#pragma unroll
          for (int k = 0; k < N; k++) widen_some<Work>(read[k], a.in.dtype[k], wide[k]);
#pragma unroll
          for (uint32_t j = 0; j < J; j++) {
            Work x[N];
#pragma unroll
            for (int k = 0; k < N; k++) x[k] = wide[k][j];
            if (kWhole || row + j < end) add_terms<N>(f, x, kNoWords, i + j * positions, first, sums);
          }
        } else {
          Work x[kMaxInputs];
          for (int k = 0; k < a.in.number; k++) x[k] = load_one<Work>(a.in.data[k], a.in.dtype[k], i);
          add_terms<N>(f, x, kNoWords, i, first, sums);
        }
      };
      uint32_t row = begin;
      for (; row + J <= end; row += J) add.template operator()<true>(row);
      if (row < end) add.template operator()<false>(row);
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
      const uint32_t blocks = (rows + kWarpRows - 1) / kWarpRows;
      return launch_over(where, reduce_rows<Work, N, words, Function>, blocks, kWarpRowThreads, operands, f, rows,
                         width, count, sums);
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
