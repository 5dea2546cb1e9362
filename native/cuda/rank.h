// della's masks: which elements of a row are kept, where the chance of each grows with the rank of its magnitude.
//
// As on the CPU (cpu/rank-row.h) a rank is only found where it decides. A block of threads takes a row and goes over it
// three times, the second and third time from the cache: what its magnitudes are like; how many elements each bucket of
// magnitudes holds, for each warp's part of the row; then each element, whose random word decides against the limits of
// its bucket's first and last rank in most cases. Where it does not:
// - a bucket whose magnitudes are all the same, as those of real fine-tunes mostly are, ranks by index alone: what the
//   warps before have in the bucket, what this warp has had so far, and the lanes below. Zeros, which are many where a model
//   was hardly changed, have a bucket of their own and are counted a warp at a time;
// - else the warp goes over the row once more and counts what is smaller.
#pragma once

#include "operands.h"
#include "rank-buckets.h"

namespace sinter::cuda {

/// Blocks that a multiprocessor holds at the least, by their registers.
constexpr unsigned kRankBlocks = 5;
/// Rows up to this are ranked by a warp each, by comparing all elements with all others.
constexpr uint32_t kShortRow = 128;
/// Rows up to this have counters of 16 bits.
constexpr uint32_t kLongRow = 65535;

struct RankWork {
  const void* base;
  const void* x;
  Dtype base_dtype, x_dtype;
  uint32_t stream;
  PhiloxKeys keys;
  /// Of the slice, among all elements.
  uint64_t begin;
  uint32_t rows, columns;
  const uint32_t* limits;
  uint32_t* mask;
};

template <class Work>
SINTER_DEVICE typename BitsOf<Work>::type rank_magnitude(const RankWork& a, uint32_t i) {
  return difference_magnitude<Work>(load_one<Work>(a.base, a.base_dtype, i), load_one<Work>(a.x, a.x_dtype, i));
}

/// Those of J elements, kWarp apart.
template <class Work, uint32_t J>
SINTER_DEVICE void rank_magnitudes(const RankWork& a, uint32_t first, typename BitsOf<Work>::type (&bits)[J]) {
  typename BitsOf<Work>::type stored[2][J];
  read_some<Work, true>(a.base, a.base_dtype, first, kWarp, J, stored[0]);
  read_some<Work, true>(a.x, a.x_dtype, first, kWarp, J, stored[1]);
  Work wide[2][J];
  widen_some<Work>(stored[0], a.base_dtype, wide[0]);
  widen_some<Work>(stored[1], a.x_dtype, wide[1]);
#pragma unroll
  for (uint32_t j = 0; j < J; j++) bits[j] = difference_magnitude<Work>(wide[0][j], wide[1][j]);
}

/// Random words of 32 bits of the elements [first, first + 64) of the slice, 32 of them at a time: a lane makes four numbers
/// of one level, and each lane takes those that are its own.
class RankWords {
 public:
  SINTER_DEVICE RankWords(const RankWork& a, uint32_t first) : four_((a.begin + first) / 4), first_(a.begin + first) {
    const uint32_t lane = threadIdx.x % kWarp;
    const uint64_t made = 4 * (four_ + lane % 16);
    const PhiloxBlock block = mask_block(mask_counter(made), a.stream, lane / 16, a.keys);
    const bool second_half = mask_words(made) != 0;
    low_ = second_half ? block.word[2] : block.word[0];
    high_ = second_half ? block.word[3] : block.word[1];
  }

  /// That of the lane's element in the first or the second 32.
  SINTER_DEVICE uint32_t of(uint32_t group) const {
    const uint64_t own = first_ + group * kWarp + threadIdx.x % kWarp;
    const int from = static_cast<int>(own / 4 - four_);
    uint32_t number[2];
    for (int level = 0; level < 2; level++) {
      const uint32_t a_word = __shfl_sync(kAllLanes, low_, from + 16 * level);
      const uint32_t b_word = __shfl_sync(kAllLanes, high_, from + 16 * level);
      number[level] = number_of_words(a_word, b_word, static_cast<uint32_t>(own));
    }
    return number[0] << 16 | number[1];
  }

 private:
  uint64_t four_, first_;
  uint32_t low_, high_;
};

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

  /// Whether groups [group, group + number) are the part's, and all of their elements the row's.
  SINTER_DEVICE bool holds(uint32_t group, uint32_t number) const {
    return group * kWarp >= row_begin && (group + number) * kWarp <= row_end && group + number <= last_group;
  }

  /// Calls `use(inside, bits)` for each group in turn, in each lane with its element, of 0 where it has none. Some groups
  /// are read ahead.
  template <class Work, class Use>
  SINTER_DEVICE void walk(const RankWork& a, const Use& use) const {
    constexpr uint32_t kAhead = 4;
    const uint32_t lane = threadIdx.x % kWarp;
    for (uint32_t group = first_group; group < last_group; group += kAhead) {
      if (holds(group, kAhead)) {
        typename BitsOf<Work>::type bits[kAhead];
        rank_magnitudes<Work, kAhead>(a, group * kWarp + lane, bits);
#pragma unroll
        for (uint32_t j = 0; j < kAhead; j++) use(true, bits[j]);
      } else {
        for (uint32_t j = group; j < group + kAhead && j < last_group; j++) {
          const uint32_t i = j * kWarp + lane;
          use(inside(i), inside(i) ? rank_magnitude<Work>(a, i) : 0);
        }
      }
    }
  }
};

/// From counts by warp and bucket: what the warps before have of each bucket, where buckets begin, and their limits.
template <class Room>
SINTER_DEVICE void place_buckets(const RankWork& a, Room& room, uint32_t buckets) {
  const uint32_t warp = threadIdx.x / kWarp;
  const uint32_t lane = threadIdx.x % kWarp;
  const uint32_t each = buckets / kRankThreads;
  const uint32_t first = threadIdx.x * each;
  uint32_t own = 0;
  for (uint32_t b = first; b < first + each; b += 2) {
    const uint32_t place = bucket_place(b) & ~1u;
    uint32_t size[2];
    room.add_up(place, size);
    // The buckets' sizes, until their beginnings are known.
    room.start[place] = size[0];
    room.start[place + 1] = size[1];
    own += size[0] + size[1];
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
  for (uint32_t b = first; b < first + each; b++) {
    const uint32_t place = bucket_place(b);
    const uint32_t size = room.start[place];
    // The limits rise with the rank, or fall where epsilon is negative.
    const uint32_t one = size == 0 ? 0 : a.limits[next];
    const uint32_t other = size == 0 ? 0 : a.limits[next + size - 1];
    room.start[place] = next | (b == kZeroBucket || room.range.alike(place) ? kAlike : 0);
    room.limits[place] = {one < other ? one : other, one < other ? other : one};
    next += size;
  }
}

/// Whether a lane's element is kept, whose random word is `word`; of a group of the warp's part.
template <class Work, class Room>
SINTER_DEVICE bool decide(const RankWork& a, const RankPart& part, const Room& room, uint32_t warp, uint32_t group,
                          bool inside, typename Room::Bits bits, uint32_t place, uint32_t word) {
  const uint32_t lane = threadIdx.x % kWarp;
  const uint2 limits = room.limits[place];
  bool kept = inside && word < limits.x;
  const bool open = inside && word >= limits.x && word < limits.y;
  if (!__any_sync(kAllLanes, open)) return kept;
  const uint32_t start = room.start[place];
  const bool alike = (start & kAlike) != 0;
  if (__any_sync(kAllLanes, open && alike)) {
    const uint32_t peers = __match_any_sync(kAllLanes, inside ? place : UINT32_MAX);
    const uint32_t rank =
        (start & ~kAlike) + room.count(warp, place) + static_cast<uint32_t>(__popc(peers & ((1u << lane) - 1)));
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
  return kept;
}

/// Which elements of a warp's part are kept.
template <class Work, class Room>
SINTER_DEVICE void decide_part(const RankWork& a, const RankPart& part, Room& room, uint32_t warp,
                               const typename Room::Scale& scale) {
  using Bits = typename Room::Bits;
  const uint32_t lane = threadIdx.x % kWarp;
  for (uint32_t both = part.first_group; both < part.last_group; both += 2) {
    Bits bits[2] = {};
    if (part.holds(both, 2)) {
      rank_magnitudes<Work, 2>(a, both * kWarp + lane, bits);
    } else {
      for (uint32_t j = 0; j < 2; j++) {
        const uint32_t i = (both + j) * kWarp + lane;
        if (part.inside(i)) bits[j] = rank_magnitude<Work>(a, i);
      }
    }
    const RankWords words(a, both * kWarp);
#pragma unroll 1
    for (uint32_t j = 0; j < 2 && both + j < part.last_group; j++) {
      const uint32_t group = both + j;
      const bool inside = part.inside(group * kWarp + lane);
      const Bits own = j == 0 ? bits[0] : bits[1];
      const uint32_t place = scale.place(own);
      const bool kept = decide<Work>(a, part, room, warp, group, inside, own, place, words.of(j));
      write_mask(a, group, inside, kept);
      // Counted only after all lanes have read what was counted before.
      __syncwarp();
      room.add_warp(warp, inside, own, place);
      __syncwarp();
    }
  }
}

template <class Work, int kBuckets, bool kLong>
__global__ void __launch_bounds__(kRankThreads, kRankBlocks) rank_kernel(const __grid_constant__ RankWork a) {
  using Room = RankRoom<Work, kBuckets, kLong>;
  using Bits = typename Room::Bits;
  __shared__ Room room;
  const uint32_t warp = threadIdx.x / kWarp;
  const uint32_t lane = threadIdx.x % kWarp;
  for (uint32_t row = blockIdx.x; row < a.rows; row += gridDim.x) {
    const RankPart part(a, row, warp);
    for (uint32_t w = threadIdx.x; w < kRankWarps * Room::kWords; w += kRankThreads)
      room.counts[w / Room::kWords][w % Room::kWords] = 0;
    for (uint32_t b = threadIdx.x; b < kBuckets; b += kRankThreads) room.range.clear(b);
    RankSurvey<Work> survey{};
    part.template walk<Work>(a, [&](bool, Bits bits) { survey.see(bits); });
    survey.add_lanes();
    if (lane == 0) room.surveys[warp] = survey;
    __syncthreads();
    survey = room.surveys[0];
    for (uint32_t w = 1; w < kRankWarps; w++) survey.add(room.surveys[w]);
    const typename Room::Scale scale(survey);

    part.template walk<Work>(a, [&](bool inside, Bits bits) {
      const uint32_t place = scale.place(bits);
      room.add_warp(warp, inside, bits, place);
      if (inside && bits != 0) room.range.add(place, bits, scale.is_shared(place, bits));
    });
    __syncthreads();
    place_buckets(a, room, kBuckets);
    __syncthreads();
    decide_part<Work>(a, part, room, warp, scale);
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
      const uint32_t word = RankWords(a, group * kWarp).of(0);
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
                      PhiloxKeys(job.key),
                      slice.begin,
                      static_cast<uint32_t>(count / job.columns),
                      static_cast<uint32_t>(job.columns),
                      limits,
                      reinterpret_cast<uint32_t*>(mask)};
  return job.wide ? rank_rows<double>(where, work) : rank_rows<float>(where, work);
}

}  // namespace sinter::cuda
