// della's masks: which elements of a row are kept, where the chance of each grows with the rank of its magnitude.
//
// As on the CPU (cpu/rank-row.h) a rank is only found where it decides. A block of threads takes a row and goes over it
// three times, the second and third time from the cache: the largest magnitude; how many elements each bucket of
// magnitudes holds, for each warp's part of the row; then each element, whose random word decides against the limits of
// its bucket's first and last rank in most cases. Where it does not:
// - a bucket whose magnitudes are all the same, as those of real fine-tunes mostly are, ranks by index alone: what the
//   warps before have in the bucket, what this warp has had so far, and the lanes below;
// - else the warp goes over the row once more and counts what is smaller.
#pragma once

#include <type_traits>

#include "operands.h"

namespace sinter::cuda {

constexpr unsigned kRankThreads = 256;
constexpr unsigned kRankWarps = kRankThreads / kWarp;
/// Rows up to this are ranked by a warp each, by comparing all elements with all others.
constexpr uint32_t kShortRow = 128;
/// Rows up to this have counters of 16 bits.
constexpr uint32_t kLongRow = 65535;
/// Octaves below the largest magnitude that have buckets of their own; what is smaller shares the first.
constexpr int kOctaveBits = 4;

struct RankWork {
  const void* base;
  const void* x;
  Dtype base_dtype, x_dtype;
  uint32_t stream;
  uint64_t key;
  /// Of the slice, among all elements.
  uint64_t begin;
  uint32_t rows, columns;
  const uint32_t* limits;
  uint32_t* mask;
};

/// An element of both inputs, as it is stored.
template <class Work>
struct RankRead {
  using Bits = typename BitsOf<Work>::type;
  Bits base, x;

  SINTER_DEVICE void read(const RankWork& a, uint32_t i) {
    base = read_one<Work>(a.base, a.base_dtype, i);
    x = read_one<Work>(a.x, a.x_dtype, i);
  }

  SINTER_DEVICE Bits magnitude(const RankWork& a) const {
    return difference_magnitude<Work>(widen_one<Work>(base, a.base_dtype), widen_one<Work>(x, a.x_dtype));
  }
};

template <class Work>
SINTER_DEVICE typename BitsOf<Work>::type rank_magnitude(const RankWork& a, uint32_t i) {
  RankRead<Work> element;
  element.read(a, i);
  return element.magnitude(a);
}

/// Random words of 32 bits of the elements [first, first + 32) of the slice, one for each lane: a lane makes four numbers
/// of one level, and each lane takes the two that are its own.
SINTER_DEVICE uint32_t rank_words(const RankWork& a, uint32_t first) {
  const uint32_t lane = threadIdx.x % kWarp;
  const uint64_t four = (a.begin + first) / 4;
  const uint64_t made = 4 * (four + lane % 16);
  const PhiloxBlock block = mask_block(mask_counter(made), a.stream, lane / 16, a.key);
  const bool second_half = mask_words(made) != 0;
  const uint32_t low = second_half ? block.word[2] : block.word[0];
  const uint32_t high = second_half ? block.word[3] : block.word[1];
  const uint64_t own = a.begin + first + lane;
  const int from = static_cast<int>(own / 4 - four);
  uint32_t number[2];
  for (int level = 0; level < 2; level++) {
    const uint32_t a_word = __shfl_sync(kAllLanes, low, from + 16 * level);
    const uint32_t b_word = __shfl_sync(kAllLanes, high, from + 16 * level);
    number[level] = number_of_words(a_word, b_word, static_cast<uint32_t>(own));
  }
  return number[0] << 16 | number[1];
}

/// Writes a word of the mask, some of whose bits may belong to other rows.
SINTER_DEVICE void write_mask(const RankWork& a, uint32_t group, bool inside, bool kept) {
  const uint32_t bits = __ballot_sync(kAllLanes, kept);
  const uint32_t own = __ballot_sync(kAllLanes, inside);
  if (threadIdx.x % kWarp != 0) return;
  if (own == kAllLanes) {
    a.mask[group] = bits;
  } else if (bits != 0) {
    atomicOr(&a.mask[group], bits);
  }
}

/// Ranks of up to four elements at once, by counting what is smaller in the row [begin, begin + columns).
template <class Work>
struct RowRanks {
  using Bits = typename BitsOf<Work>::type;
  static constexpr int kAtOnce = 4;
  Bits bits[kAtOnce];
  uint32_t index[kAtOnce];
  uint32_t rank[kAtOnce];

  SINTER_DEVICE void find(const RankWork& a, uint32_t begin) {
    for (int q = 0; q < kAtOnce; q++) rank[q] = 0;
    for (uint32_t i = begin + threadIdx.x % kWarp; i < begin + a.columns; i += kWarp) {
      const Bits other = rank_magnitude<Work>(a, i);
      for (int q = 0; q < kAtOnce; q++) rank[q] += (other < bits[q]) | ((other == bits[q]) & (i < index[q])) ? 1u : 0u;
    }
    for (int q = 0; q < kAtOnce; q++) rank[q] = __reduce_add_sync(kAllLanes, rank[q]);
  }
};

template <class Work, int kBuckets, bool kLong>
struct RankRoom {
  using Bits = typename BitsOf<Work>::type;
  static constexpr int kMantissaBits = __builtin_ctz(kBuckets) - kOctaveBits;
  static constexpr int kShift = (sizeof(Work) == 4 ? 23 : 52) - kMantissaBits;
  /// Words that hold the counters of a warp: one for a bucket, or one for two.
  static constexpr int kWords = kLong ? kBuckets : kBuckets / 2;

  uint32_t counts[kRankWarps][kWords];
  /// Elements in the buckets below.
  uint32_t start[kBuckets];
  /// Below this word an element is kept whatever its rank, from the other on it is dropped.
  uint32_t sure[kBuckets];
  uint32_t possible[kBuckets];
  /// The least and the largest magnitude of each: all are the same where these are.
  Bits lowest[kBuckets];
  Bits highest[kBuckets];
  Bits largest[kRankWarps];
  uint32_t sum_of_warp[kRankWarps];

  static SINTER_DEVICE int bucket(Bits bits, Bits largest) {
    const int64_t relative =
        static_cast<int64_t>(bits >> kShift) - static_cast<int64_t>(largest >> kShift) + kBuckets - 1;
    return relative < 0 ? 0 : static_cast<int>(relative);
  }

  SINTER_DEVICE uint32_t count(uint32_t warp, int bucket) const {
    if (kLong) return counts[warp][bucket];
    return counts[warp][bucket / 2] >> (16 * (bucket % 2)) & 0xFFFFu;
  }

  SINTER_DEVICE void add(uint32_t warp, int bucket, uint32_t number) {
    if (kLong) {
      atomicAdd(&counts[warp][bucket], number);
    } else {
      atomicAdd(&counts[warp][bucket / 2], number << (16 * (bucket % 2)));
    }
  }

  SINTER_DEVICE void set(uint32_t warp, int bucket, uint32_t number) {
    if (kLong) {
      counts[warp][bucket] = number;
    } else {
      uint32_t& word = counts[warp][bucket / 2];
      word = bucket % 2 == 0 ? (word & 0xFFFF0000u) | number : (word & 0xFFFFu) | number << 16;
    }
  }

  /// Counts a warp's elements, those that are zero at once: they are many where a model was hardly changed, and would be
  /// added one after the other.
  SINTER_DEVICE void add_warp(uint32_t warp, bool inside, Bits bits, int bucket) {
    const uint32_t zeros = __ballot_sync(kAllLanes, inside && bits == 0);
    if (zeros != 0 && threadIdx.x % kWarp == static_cast<uint32_t>(__ffs(static_cast<int>(zeros)) - 1)) {
      add(warp, bucket, static_cast<uint32_t>(__popc(zeros)));
    }
    if (inside && bits != 0) add(warp, bucket, 1);
  }

  SINTER_DEVICE void widen_range(Bits bits, int bucket) {
    // As the type that the atomic functions take for either width.
    using Word = std::conditional_t<sizeof(Bits) == 4, uint32_t, unsigned long long>;
    atomicMin(reinterpret_cast<Word*>(&lowest[bucket]), static_cast<Word>(bits));
    atomicMax(reinterpret_cast<Word*>(&highest[bucket]), static_cast<Word>(bits));
  }
};

/// A warp's part of a row: groups of 32 elements that share a word of the mask.
struct RankPart {
  uint32_t row_begin, row_end;
  uint32_t first_group, last_group;

  SINTER_DEVICE RankPart(const RankWork& a, uint32_t row, uint32_t warp) {
    row_begin = row * a.columns;
    row_end = row_begin + a.columns;
    const uint32_t first = row_begin / kWarp;
    const uint32_t last = (row_end + kWarp - 1) / kWarp;
    const uint32_t each = (last - first + kRankWarps - 1) / kRankWarps;
    first_group = first + warp * each < last ? first + warp * each : last;
    last_group = first_group + each < last ? first_group + each : last;
  }

  SINTER_DEVICE bool inside(uint32_t i) const { return i >= row_begin && i < row_end; }

  /// Calls `use(inside, bits)` for each group in turn, in each lane with its element, of 0 where it has none. Some groups
  /// are read ahead.
  template <class Work, class Use>
  SINTER_DEVICE void walk(const RankWork& a, const Use& use) const {
    constexpr uint32_t kAhead = 4;
    const uint32_t lane = threadIdx.x % kWarp;
    for (uint32_t group = first_group; group < last_group; group += kAhead) {
      RankRead<Work> read[kAhead] = {};
#pragma unroll
      for (uint32_t j = 0; j < kAhead; j++) {
        const uint32_t i = (group + j) * kWarp + lane;
        if (inside(i)) read[j].read(a, i);
      }
#pragma unroll
      for (uint32_t j = 0; j < kAhead; j++) {
        if (group + j >= last_group) break;
        const bool own = inside((group + j) * kWarp + lane);
        use(own, own ? read[j].magnitude(a) : 0);
      }
    }
  }
};

template <class Work>
SINTER_DEVICE typename BitsOf<Work>::type warp_largest(typename BitsOf<Work>::type value) {
  for (int step = 16; step > 0; step /= 2) {
    const auto other = __shfl_xor_sync(kAllLanes, value, step);
    value = other > value ? other : value;
  }
  return value;
}

/// From counts by warp and bucket: what the warps before have of each bucket, where buckets begin, and their limits.
template <class Room>
SINTER_DEVICE void place_buckets(const RankWork& a, Room& room, int buckets) {
  const uint32_t warp = threadIdx.x / kWarp;
  const uint32_t lane = threadIdx.x % kWarp;
  const int each = buckets / static_cast<int>(kRankThreads);
  const int first = static_cast<int>(threadIdx.x) * each;
  uint32_t own = 0;
  for (int b = first; b < first + each; b++) {
    uint32_t before = 0;
    for (uint32_t w = 0; w < kRankWarps; w++) {
      const uint32_t number = room.count(w, b);
      room.set(w, b, before);
      before += number;
    }
    room.sure[b] = before;  // the bucket's size, until its limits are known
    own += before;
  }
  uint32_t up_to_here = own;
  for (uint32_t step = 1; step < kWarp; step *= 2) {
    const uint32_t below = __shfl_up_sync(kAllLanes, up_to_here, step);
    if (lane >= step) up_to_here += below;
  }
  if (lane == kWarp - 1) room.sum_of_warp[warp] = up_to_here;
  __syncthreads();
  uint32_t next = up_to_here - own;
  for (uint32_t w = 0; w < warp; w++) next += room.sum_of_warp[w];
  for (int b = first; b < first + each; b++) {
    const uint32_t size = room.sure[b];
    // The limits rise with the rank, or fall where epsilon is negative.
    const uint32_t one = size == 0 ? 0 : a.limits[next];
    const uint32_t other = size == 0 ? 0 : a.limits[next + size - 1];
    room.start[b] = next;
    room.sure[b] = one < other ? one : other;
    room.possible[b] = one < other ? other : one;
    next += size;
  }
}

/// Which elements of a warp's part are kept.
template <class Work, class Room>
SINTER_DEVICE void decide_part(const RankWork& a, const RankPart& part, Room& room, uint32_t warp,
                               typename Room::Bits largest) {
  using Bits = typename Room::Bits;
  const uint32_t lane = threadIdx.x % kWarp;
  for (uint32_t group = part.first_group; group < part.last_group; group++) {
    const uint32_t i = group * kWarp + lane;
    const bool inside = part.inside(i);
    RankRead<Work> read = {};
    if (inside) read.read(a, i);
    const uint32_t word = rank_words(a, group * kWarp);
    const Bits bits = inside ? read.magnitude(a) : 0;
    const int b = Room::bucket(bits, largest);
    bool kept = inside && word < room.sure[b];
    const bool open = inside && word >= room.sure[b] && word < room.possible[b];
    const bool alike = room.lowest[b] == room.highest[b];
    if (__any_sync(kAllLanes, open && alike)) {
      const uint32_t peers = __match_any_sync(kAllLanes, inside ? static_cast<uint32_t>(b) : UINT32_MAX);
      const uint32_t rank =
          room.start[b] + room.count(warp, b) + static_cast<uint32_t>(__popc(peers & ((1u << lane) - 1)));
      if (open && alike) kept = word < a.limits[rank];
    }
    for (uint32_t left = __ballot_sync(kAllLanes, open && !alike); left != 0;) {
      RowRanks<Work> ranks;
      uint32_t whose[RowRanks<Work>::kAtOnce];
      for (int q = 0; q < RowRanks<Work>::kAtOnce; q++) {
        const int from = left == 0 ? 0 : __ffs(static_cast<int>(left)) - 1;
        whose[q] = left == 0 ? kWarp : static_cast<uint32_t>(from);
        ranks.bits[q] = __shfl_sync(kAllLanes, bits, from);
        ranks.index[q] = group * kWarp + static_cast<uint32_t>(from);
        left &= left - 1;
      }
      ranks.find(a, part.row_begin);
      for (int q = 0; q < RowRanks<Work>::kAtOnce; q++) {
        if (whose[q] == lane) kept = word < a.limits[ranks.rank[q]];
      }
    }
    write_mask(a, group, inside, kept);
    // Counted only after all lanes have read what was counted before.
    __syncwarp();
    room.add_warp(warp, inside, bits, b);
    __syncwarp();
  }
}

template <class Work, int kBuckets, bool kLong>
__global__ void __launch_bounds__(kRankThreads) rank_kernel(const __grid_constant__ RankWork a) {
  using Room = RankRoom<Work, kBuckets, kLong>;
  using Bits = typename Room::Bits;
  __shared__ Room room;
  const uint32_t warp = threadIdx.x / kWarp;
  const uint32_t lane = threadIdx.x % kWarp;
  for (uint32_t row = blockIdx.x; row < a.rows; row += gridDim.x) {
    const RankPart part(a, row, warp);
    for (uint32_t w = threadIdx.x; w < kRankWarps * Room::kWords; w += kRankThreads)
      room.counts[w / Room::kWords][w % Room::kWords] = 0;
    for (uint32_t b = threadIdx.x; b < kBuckets; b += kRankThreads) {
      room.lowest[b] = static_cast<Bits>(-1);
      room.highest[b] = 0;
    }
    Bits largest = 0;
    part.template walk<Work>(a, [&](bool, Bits bits) { largest = bits > largest ? bits : largest; });
    largest = warp_largest<Work>(largest);
    if (lane == 0) room.largest[warp] = largest;
    __syncthreads();
    for (uint32_t w = 0; w < kRankWarps; w++) largest = room.largest[w] > largest ? room.largest[w] : largest;

    part.template walk<Work>(a, [&](bool inside, Bits bits) {
      const int b = Room::bucket(bits, largest);
      room.add_warp(warp, inside, bits, b);
      if (inside) room.widen_range(bits, b);
    });
    __syncthreads();
    place_buckets(a, room, kBuckets);
    __syncthreads();
    decide_part<Work>(a, part, room, warp, largest);
    __syncthreads();
  }
}

/// Short rows in turn, a warp for each: every element is compared with all of its row.
template <class Work>
__global__ void __launch_bounds__(kRankThreads) rank_short_kernel(const __grid_constant__ RankWork a) {
  using Bits = typename BitsOf<Work>::type;
  const uint32_t lane = threadIdx.x % kWarp;
  const uint32_t warps = gridDim.x * kRankWarps;
  for (uint32_t row = blockIdx.x * kRankWarps + threadIdx.x / kWarp; row < a.rows; row += warps) {
    const uint32_t begin = row * a.columns;
    const uint32_t end = begin + a.columns;
    for (uint32_t group = begin / kWarp; group * kWarp < end; group++) {
      const uint32_t i = group * kWarp + lane;
      const bool inside = i >= begin && i < end;
      const uint32_t word = rank_words(a, group * kWarp);
      bool kept = false;
      if (inside) {
        const Bits bits = rank_magnitude<Work>(a, i);
        uint32_t rank = 0;
        for (uint32_t j = begin; j < end; j++) {
          const Bits other = rank_magnitude<Work>(a, j);
          rank += (other < bits) | ((other == bits) & (j < i)) ? 1u : 0u;
        }
        kept = word < a.limits[rank];
      }
      __syncwarp();
      write_mask(a, group, inside, kept);
    }
  }
}

template <class Work>
cudaError_t rank_rows(const Where& where, const RankWork& work) {
  if (work.columns <= kShortRow) {
    return launch_over(where, rank_short_kernel<Work>, (work.rows + kRankWarps - 1) / kRankWarps, kRankThreads, work);
  }
  if (work.columns <= kLongRow) {
    return launch_over(where, rank_kernel<Work, 1024, false>, work.rows, kRankThreads, work);
  }
  return launch_over(where, rank_kernel<Work, 512, true>, work.rows, kRankThreads, work);
}

/// All words of the mask, bits behind the last element as 0.
template <class Method>
cudaError_t rank_slice(const Where& where, const Job& job, const Slice& slice, int input, const uint32_t* limits,
                       uint64_t* mask) {
  const uint32_t count = elements(slice);
  const cudaError_t error = cudaMemsetAsync(mask, 0, (count + 63) / 64 * sizeof(uint64_t), where.stream);
  if (error != cudaSuccess || count == 0) return error;
  const RankWork work{slice.input[0],
                      slice.input[input],
                      job.input[0].dtype,
                      job.input[input].dtype,
                      job.input[input].stream,
                      job.key,
                      slice.begin,
                      static_cast<uint32_t>(count / job.columns),
                      static_cast<uint32_t>(job.columns),
                      limits,
                      reinterpret_cast<uint32_t*>(mask)};
  return job.wide ? rank_rows<double>(where, work) : rank_rows<float>(where, work);
}

}  // namespace sinter::cuda
