// Sums over what a random mask keeps, of bfloat16. A Philox counter makes the numbers of four neighbours, and of the four half
// a chunk behind them. So a thread takes four neighbouring lanes of a chunk, eight threads all of it: a thread makes the
// numbers of its elements and of no others, once, and keeps what comes later as bits.
#pragma once

#include "operands.h"

namespace sinter::cuda {

constexpr uint32_t kQuarter = kWarp / 4;
constexpr uint32_t kOwnLanes = static_cast<uint32_t>(kSumLanes) / kQuarter;
static_assert(kOwnLanes == 4 && kSumChunk == kMaskChunk);

/// Whether chunks may be taken by quarters of a warp, if the data is bfloat16: sums of more inputs would take more registers
/// than a thread has.
template <class Work, int N, Words kWords, class Function>
constexpr bool kByQuarters = [] {
  if constexpr (kWords == Words::random && sizeof(Work) == 4 && N > 0 && N <= 4) {
    return requires(const Function& f, const float* x, bool (*kept)(int), double* sums) { f.add(x, kept, sums); };
  } else {
    return false;
  }
}();

/// Which of a counter's eight elements are kept: the first is bit 7, the first of those half a chunk behind is bit 3.
/// `any_open` turns true where a number does not decide alone: its bit is 0.
template <int N>
SINTER_DEVICE uint32_t kept_of_counter(const WordSource<N, Words::random>& source, int k, uint64_t counter,
                                       bool& any_open) {
  if (!source.needed[k]) return 0xFFu;
  const PhiloxBlock block = mask_block(counter, source.stream[k], 0, source.keys);
  uint32_t kept = 0;
#pragma unroll
  for (uint32_t e = 0; e < 8; e++) {
    const uint32_t number = number_of_words(block.word[e / 4 * 2], block.word[e / 4 * 2 + 1], e % 4);
    // The sign of the difference.
    kept = kept << 1 | (number - (source.limit[k] >> 16)) >> 31;
    any_open |= number == source.open[k];
  }
  return kept;
}

/// The bits of a counter whose numbers do not decide alone.
template <int N>
SINTER_DEVICE uint32_t settled_of_counter(const WordSource<N, Words::random>& source, int k, uint64_t counter) {
  if (!source.needed[k]) return 0;
  const uint64_t first = counter / (kMaskChunk / 8) * kMaskChunk + counter % (kMaskChunk / 8) * 4;
  uint32_t kept = 0;
#pragma unroll 1
  for (uint32_t e = 0; e < 8; e++) {
    const uint64_t i = first + e % 4 + e / 4 * (kMaskChunk / 2);
    if (mask_number(i, 0, source.stream[k], source.key) != source.open[k]) continue;
    // 0 stands for one that is kept.
    kept |= (settled_number(i, source.stream[k], source.key, source.limit[k]) == 0 ? 0x80u : 0u) >> e;
  }
  return kept;
}

/// Which elements of J rows of kSumLanes are kept, from `counter` on: bits of the row's four elements, the first in bit 3. Those
/// of the rows half a chunk behind are pushed into `later`.
template <uint32_t J, int N>
SINTER_DEVICE void make_kept(const WordSource<N, Words::random>& source, uint64_t counter, uint32_t (&kept)[J][N],
                             uint64_t (&later)[N]) {
  bool any_open = false;
#pragma unroll
  for (uint32_t j = 0; j < J; j++) {
#pragma unroll
    for (int k = 1; k < N; k++) kept[j][k] = kept_of_counter(source, k, counter + j * kQuarter, any_open);
  }
  if (any_open) [[unlikely]] {
#pragma unroll 1
    for (int at = 0; at < static_cast<int>(J) * N; at++) {
      const uint32_t more = settled_of_counter(source, at % N, counter + static_cast<uint32_t>(at / N) * kQuarter);
#pragma unroll
      for (uint32_t j = 0; j < J; j++) {
#pragma unroll
        for (int k = 1; k < N; k++) kept[j][k] |= at == static_cast<int>(j) * N + k ? more : 0u;
      }
    }
  }
#pragma unroll
  for (int k = 1; k < N; k++) {
#pragma unroll
    for (uint32_t j = 0; j < J; j++) {
      later[k] = later[k] << 4 | (kept[j][k] & 0xFu);
      kept[j][k] >>= 4;
    }
  }
}

/// Adds to the sums of a thread's lanes the terms of its elements of J rows of kSumLanes, those from `row` on of a chunk that
/// begins with element `begin` of the slice. Unless they are `kWhole`, elements from `end` on count as zeros, which add
/// nothing. `find(kept)` says which elements are kept.
template <bool kWhole, uint32_t J, int N, class Function, class Find>
SINTER_DEVICE void add_rows(const Operands<N, Words::random>& a, const Function& f, uint32_t begin, uint32_t end,
                            uint32_t row, const Find& find, double (&sums)[kOwnLanes][Function::kSums]) {
  constexpr int kFour = static_cast<int>(kOwnLanes);
  Stored<kFour> read[J][N];
#pragma unroll
  for (uint32_t j = 0; j < J; j++) {
    const uint32_t at = begin + (row + j) * static_cast<uint32_t>(kSumLanes) + threadIdx.x % kQuarter * kOwnLanes;
#pragma unroll
    for (int k = 0; k < N; k++) {
      read[j][k] = kWhole ? load_vector<kFour>(a.in.data[k], Dtype::BF16, at)
                          : load_each<kFour>(a.in.data[k], Dtype::BF16, at, end);
    }
  }
  uint32_t kept[J][N];
  find(kept);
#pragma unroll
  for (uint32_t j = 0; j < J; j++) {
#pragma unroll
    for (uint32_t e = 0; e < kOwnLanes; e++) {
      float x[N];
#pragma unroll
      for (int k = 0; k < N; k++) {
        const uint32_t two = read[j][k].word[e / 2];
        x[k] = bits_as<float>(e % 2 == 0 ? two << 16 : two & 0xFFFF0000u);
      }
      f.add(
          x, [&](int m) { return (kept[j][m] >> (3 - e) & 1) != 0; }, sums[e]);
    }
  }
}

/// Adds to the sums of a thread's lanes the terms of its elements of a chunk: [begin, end) of the slice.
template <bool kWhole, int N, class Function>
SINTER_DEVICE void add_quarter(const Operands<N, Words::random>& a, const Function& f, uint32_t begin, uint32_t end,
                               double (&sums)[kOwnLanes][Function::kSums]) {
  // Rows whose loads are under way together.
  constexpr uint32_t J = kWhole ? 2 : 1;
  constexpr uint32_t kHalfRows = kMaskChunk / 2 / static_cast<uint32_t>(kSumLanes);
  const uint64_t counter = (a.words.begin + begin) / 8 + threadIdx.x % kQuarter;
  // Bits of the second half's rows, the first in the highest ones.
  uint64_t later[N] = {};
#pragma unroll 1
  for (uint32_t row = 0; row < kHalfRows; row += J) {
    const auto make = [&](uint32_t(&kept)[J][N]) { make_kept(a.words, counter + row * kQuarter, kept, later); };
    add_rows<kWhole, J>(a, f, begin, end, row, make, sums);
  }
#pragma unroll 1
  for (uint32_t row = kHalfRows; row < 2 * kHalfRows; row += J) {
    if (!kWhole && begin + row * static_cast<uint32_t>(kSumLanes) >= end) break;
    const auto take = [&](uint32_t(&kept)[J][N]) {
#pragma unroll
      for (int k = 1; k < N; k++) {
#pragma unroll
        for (uint32_t j = 0; j < J; j++) {
          kept[j][k] = static_cast<uint32_t>(later[k] >> 60);
          later[k] <<= 4;
        }
      }
    };
    add_rows<kWhole, J>(a, f, begin, end, row, take, sums);
  }
}

/// The sums of the four chunks from `begin` on, a multiple of kSumChunk, of which `n` elements are left: those of chunk c, or
/// zeros, in lane c * kQuarter.
template <int N, class Function>
SINTER_DEVICE void sum_four_chunks(const Operands<N, Words::random>& a, const Function& f, uint32_t begin, uint32_t n,
                                   double (&sums)[Function::kSums]) {
  double of_lanes[kOwnLanes][Function::kSums] = {};
  const uint32_t skipped = threadIdx.x % kWarp / kQuarter * kSumChunk;
  if (n >= 4 * kSumChunk) {
    add_quarter<true>(a, f, begin + skipped, begin + skipped + kSumChunk, of_lanes);
  } else if (n > skipped) {
    add_quarter<false>(a, f, begin + skipped, begin + n, of_lanes);
  }
#pragma unroll
  for (int s = 0; s < Function::kSums; s++) {
#pragma unroll
    for (unsigned step = kQuarter / 2; step > 0; step /= 2) {
#pragma unroll
      for (auto& lane : of_lanes) lane[s] += __shfl_down_sync(kAllLanes, lane[s], step);
    }
    sums[s] = (of_lanes[0][s] + of_lanes[2][s]) + (of_lanes[1][s] + of_lanes[3][s]);
  }
}

}  // namespace sinter::cuda
