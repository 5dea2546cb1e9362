// The buckets of magnitudes by which della's ranks are found (rank.h): where they lie, which one a magnitude belongs to, how
// many elements each has for each warp, and whether its magnitudes are all the same.
#pragma once

#include <type_traits>

#include "operands.h"

namespace sinter::cuda {

constexpr unsigned kRankThreads = 256;
constexpr unsigned kRankWarps = kRankThreads / kWarp;
/// Of zeros, whatever the largest magnitude.
constexpr uint32_t kZeroBucket = 0;
/// Where a bucket lies among the others. Differences of 16-bit numbers are small multiples of powers of two, whose buckets are
/// 32, 64 or 128 apart: in their order a warp's would nearly all lie in one bank of the shared memory, and be added one after
/// the other. Buckets of a word of counters stay neighbours.
SINTER_DEVICE uint32_t bucket_place(uint32_t bucket) { return bucket ^ (bucket >> 5 & 31); }

/// Says of a bucket's beginning that all of its magnitudes are the same.
constexpr uint32_t kAlike = 1u << 31;

/// Whether all magnitudes of a bucket are the same: those of float differ in 16 bits, of which one word gathers which ones
/// were set and which were not; those of double have a least and a largest.
template <class Work, int kShift, int kBuckets>
struct BucketRange {
  using Bits = typename BitsOf<Work>::type;
  static constexpr bool kInOneWord = kShift <= 16;
  using Word =
      std::conditional_t<kInOneWord, uint32_t, std::conditional_t<sizeof(Bits) == 4, uint32_t, unsigned long long>>;
  Word seen[kInOneWord ? 1 : 2][kBuckets];

  SINTER_DEVICE void clear(uint32_t place) {
    seen[0][place] = kInOneWord ? Word{0} : static_cast<Word>(-1);
    if constexpr (!kInOneWord) seen[1][place] = 0;
  }

  /// `shared`: the bucket's magnitudes may differ in more bits.
  SINTER_DEVICE void add(uint32_t place, Bits bits, bool shared) {
    if constexpr (kInOneWord) {
      const uint32_t low = static_cast<uint32_t>(bits) & 0xFFFFu;
      atomicOr(&seen[0][place], shared ? 0xFFFFFFFFu : low | ~low << 16);
    } else {
      atomicMin(&seen[0][place], static_cast<Word>(bits));
      atomicMax(&seen[1][place], static_cast<Word>(bits));
    }
  }

  SINTER_DEVICE bool alike(uint32_t place) const {
    if constexpr (kInOneWord) {
      return (seen[0][place] >> 16 & seen[0][place]) == 0;
    } else {
      return seen[0][place] == seen[1][place];
    }
  }
};

template <class Work>
constexpr int kMantissaOf = sizeof(Work) == 4 ? 23 : 52;

/// What some magnitudes are like: the largest, and of those that are not zero how many there are and what their exponents
/// come to together.
template <class Work>
struct RankSurvey {
  using Bits = typename BitsOf<Work>::type;
  Bits largest;
  uint32_t number;
  uint32_t exponents;

  SINTER_DEVICE void see(Bits bits) {
    largest = bits > largest ? bits : largest;
    number += bits != 0 ? 1 : 0;
    exponents += static_cast<uint32_t>(bits >> kMantissaOf<Work>);
  }

  SINTER_DEVICE void add(const RankSurvey& other) {
    largest = other.largest > largest ? other.largest : largest;
    number += other.number;
    exponents += other.exponents;
  }

  /// Of a whole warp, for all of its lanes.
  SINTER_DEVICE void add_lanes() {
    for (int step = kWarp / 2; step > 0; step /= 2) {
      const Bits other = __shfl_xor_sync(kAllLanes, largest, step);
      largest = other > largest ? other : largest;
    }
    number = __reduce_add_sync(kAllLanes, number);
    exponents = __reduce_add_sync(kAllLanes, exponents);
  }
};

/// Which bucket a magnitude belongs to: by its leading bits, zeros and what is far below the others apart. The last bucket is
/// that of the largest magnitude, unless that one is many times larger than most: then it holds all that are. Ranks are the
/// same wherever the buckets lie; how many elements need more than their bucket is not.
template <class Work, int kShift, int kBuckets>
struct RankScale {
  using Bits = typename BitsOf<Work>::type;
  static constexpr uint32_t kSmallBucket = kZeroBucket + 1;
  /// Above the mean exponent: a normal distribution's largest are two or three.
  static constexpr uint32_t kOctavesAbove = 4;
  int64_t last;

  SINTER_DEVICE explicit RankScale(const RankSurvey<Work>& survey) {
    const uint32_t mean = survey.number == 0 ? 0 : survey.exponents / survey.number;
    const Bits usual = static_cast<Bits>(mean + kOctavesAbove) << (kMantissaOf<Work> - kShift);
    const Bits largest = survey.largest >> kShift;
    last = static_cast<int64_t>(largest < usual ? largest : usual);
  }

  /// The place of a magnitude's bucket.
  SINTER_DEVICE uint32_t place(Bits bits) const {
    const int64_t at = static_cast<int64_t>(bits >> kShift) - last + kBuckets - 1;
    const uint32_t bucket = at < kSmallBucket   ? kSmallBucket
                            : at > kBuckets - 1 ? kBuckets - 1
                                                : static_cast<uint32_t>(at);
    return bucket_place(bits == 0 ? kZeroBucket : bucket);
  }

  /// Whether magnitudes of the bucket may differ in more bits than the last kShift.
  SINTER_DEVICE bool is_shared(uint32_t place, Bits bits) const {
    return place == bucket_place(kSmallBucket) || static_cast<int64_t>(bits >> kShift) > last;
  }
};

template <class Work, int kBuckets, bool kLong>
struct RankRoom {
  using Bits = typename BitsOf<Work>::type;
  /// Octaves that have buckets of their own (RankScale): as many as leave 16 bits of a float within a bucket, else 16.
  static constexpr int kOctaveBits = sizeof(Work) == 4 && kBuckets == 1024 ? 3 : 4;
  static constexpr int kMantissaBits = __builtin_ctz(kBuckets) - kOctaveBits;
  static constexpr int kShift = kMantissaOf<Work> - kMantissaBits;
  /// Words that hold the counters of a warp: one for a bucket, or one for two.
  static constexpr int kWords = kLong ? kBuckets : kBuckets / 2;

  using Scale = RankScale<Work, kShift, kBuckets>;

  uint32_t counts[kRankWarps][kWords];
  /// Below the first word an element is kept whatever its rank, from the other on it is dropped.
  uint2 limits[kBuckets];
  /// Elements in the buckets below, and whether it is kAlike.
  uint32_t start[kBuckets];
  BucketRange<Work, kShift, kBuckets> range;
  RankSurvey<Work> surveys[kRankWarps];
  uint32_t sum_of_warp[kRankWarps];

  SINTER_DEVICE uint32_t count(uint32_t warp, uint32_t place) const {
    if (kLong) return counts[warp][place];
    return counts[warp][place / 2] >> (16 * (place % 2)) & 0xFFFFu;
  }

  SINTER_DEVICE void add(uint32_t warp, uint32_t place, uint32_t number) {
    if (kLong) {
      atomicAdd(&counts[warp][place], number);
    } else {
      atomicAdd(&counts[warp][place / 2], number << (16 * (place % 2)));
    }
  }

  /// Of the two buckets from an even place on: puts in place of each warp's numbers those of the warps before. `size`: of
  /// all.
  SINTER_DEVICE void add_up(uint32_t place, uint32_t (&size)[2]) {
    size[0] = size[1] = 0;
    for (uint32_t w = 0; w < kRankWarps; w++) {
      if (kLong) {
        for (uint32_t h = 0; h < 2; h++) {
          const uint32_t number = counts[w][place + h];
          counts[w][place + h] = size[h];
          size[h] += number;
        }
      } else {
        const uint32_t both = counts[w][place / 2];
        counts[w][place / 2] = size[0] | size[1] << 16;
        size[0] += both & 0xFFFFu;
        size[1] += both >> 16;
      }
    }
  }

  /// Counts a warp's elements, zeros at once: they would be added one after the other.
  SINTER_DEVICE void add_warp(uint32_t warp, bool inside, Bits bits, uint32_t place) {
    const uint32_t zeros = __ballot_sync(kAllLanes, inside && bits == 0);
    if (inside && bits != 0) {
      add(warp, place, 1);
    } else if (zeros != 0 && threadIdx.x % kWarp == static_cast<uint32_t>(__ffs(static_cast<int>(zeros)) - 1)) {
      add(warp, bucket_place(kZeroBucket), static_cast<uint32_t>(__popc(zeros)));
    }
  }
};

}  // namespace sinter::cuda
