// difference: how two tensors differ, and how both differ from a base, in one pass; nothing is written.
//
// inputs: a, b, perhaps a base c. params: up to kMostThresholds magnitudes, none negative. d = b - a in the work type;
// with a base, also p = a - c and q = b - c. Sums are float64, in kLanes lanes over each block, then in the tree of blocks;
// elements at which an input is a NaN or an infinity are counted, and left out of everything else.
// sums: a.a, b.b, a.b, d.d; d != 0, a not finite, b not finite; |d| > t for each threshold t; with a base: c.c, p.p, q.q,
// p.q; c not finite, p != 0, q != 0, p or q != 0, signs of p and q opposite. Last comes the largest |d|.
// This is a routine of its own because its last number is not a sum, and because counts need not be floats.
#pragma once

#include "../numeric/lanes.h"
#include "gather.h"

SINTER_KERNEL_NAMESPACE_BEGIN

struct Difference {
  static constexpr int kMostThresholds = 8;
  static constexpr int kSums = 4;
  static constexpr int kCounts = 3;
  static constexpr int kBaseSums = 4;
  static constexpr int kBaseCounts = 5;

  static int thresholds(const Job& job) { return static_cast<int>(job.params.size()); }

  static bool valid(const Job& job) {
    if (job.inputs < 2 || job.inputs > 3 || thresholds(job) > kMostThresholds) return false;
    for (const double threshold : job.params) {
      if (!(threshold >= 0)) return false;
    }
    return true;
  }

  static int sum_count(const Job& job) {
    return kSums + kCounts + thresholds(job) + (job.inputs == 3 ? kBaseSums + kBaseCounts : 0) + 1;
  }
};

/// Sums and counts of one block, lane by lane. A block has fewer elements than an int32 counts.
template <class Work, bool kBase>
struct DifferenceLanes {
  using Group = typename LanesOf<Work>::type;
  /// What a comparison of groups gives: -1 or 0 in each lane.
  using Mask = decltype(Group{} != Group{});

  DoubleLanes sums[Difference::kSums + (kBase ? Difference::kBaseSums : 0)] = {};
  Mask counts[Difference::kCounts + (kBase ? Difference::kBaseCounts : 0)] = {};
  Mask above[Difference::kMostThresholds] = {};
  Group largest = {};

  SINTER_HD void add(const Work* a_in, const Work* b_in, const Work* c_in, const Group* thresholds, int count) {
    const Group zero = {};
    Group a = load_lanes<Group>(a_in);
    Group b = load_lanes<Group>(b_in);
    Group c = kBase ? load_lanes<Group>(c_in) : zero;
    // x - x is zero for every number, and a NaN for what is none.
    const Mask bad_a = (a - a) != zero;
    const Mask bad_b = (b - b) != zero;
    const Mask bad_c = (c - c) != zero;
    const Mask bad = bad_a | bad_b | bad_c;
    a = bad ? zero : a;
    b = bad ? zero : b;
    c = bad ? zero : c;
    const Group d = b - a;
    const Group size = d < zero ? -d : d;
    largest = size > largest ? size : largest;
    add_product(0, a, a);
    add_product(1, b, b);
    add_product(2, a, b);
    add_product(3, d, d);
    counts[0] -= d != zero;
    counts[1] -= bad_a;
    counts[2] -= bad_b;
    for (int t = 0; t < count; t++) above[t] -= size > thresholds[t];
    if constexpr (kBase) {
      const Group p = a - c;
      const Group q = b - c;
      add_product(4, c, c);
      add_product(5, p, p);
      add_product(6, q, q);
      add_product(7, p, q);
      counts[3] -= bad_c;
      counts[4] -= p != zero;
      counts[5] -= q != zero;
      counts[6] -= (p != zero) | (q != zero);
      counts[7] -= ((p > zero) & (q < zero)) | ((p < zero) & (q > zero));
    }
  }

  SINTER_HD void add_product(int index, Group x, Group y) { sums[index] += to_double(x) * to_double(y); }
};

inline double tree_of_lanes(const DoubleLanes& values) {
  double lanes[kLanes];
  memcpy(lanes, &values, sizeof(lanes));
  for (int step = kLanes / 2; step > 0; step /= 2) {
    for (int lane = 0; lane < step; lane++) lanes[lane] += lanes[lane + step];
  }
  return lanes[0];
}

template <class Mask>
double total_of_lanes(const Mask& counts) {
  int64_t total = 0;
  for (int lane = 0; lane < kLanes; lane++) total += counts[lane];
  return static_cast<double>(total);
}

template <class Work, bool kBase>
void difference_range(const Job& job, Scratch& scratch, uint64_t begin, uint64_t end, double* out) {
  using Lanes = DifferenceLanes<Work, kBase>;
  const int thresholds = Difference::thresholds(job);
  typename Lanes::Group limits[Difference::kMostThresholds] = {};
  for (int t = 0; t < thresholds; t++) limits[t] += static_cast<Work>(job.params[static_cast<size_t>(t)]);
  Lanes lanes;
  Work* const room = input_room<Work>(scratch, job.inputs);
  for (uint64_t at = begin; at < end; at += kChunk) {
    const uint32_t n = static_cast<uint32_t>(end - at < kChunk ? end - at : kChunk);
    const uint32_t full = (n + kLanes - 1) / kLanes * kLanes;
    for (int k = 0; k < job.inputs; k++) {
      load_input(job, k, at, n, room);
      // Lanes behind the last element hold zeros, which add nothing to anything.
      for (uint32_t i = n; i < full; i++) room[k * kChunk + i] = 0;
    }
    for (uint32_t i = 0; i < full; i += kLanes) {
      lanes.add(room + i, room + kChunk + i, room + (kBase ? 2 : 0) * kChunk + i, limits, thresholds);
    }
  }
  for (int s = 0; s < Difference::kSums; s++) *out++ = tree_of_lanes(lanes.sums[s]);
  for (int s = 0; s < Difference::kCounts; s++) *out++ = total_of_lanes(lanes.counts[s]);
  for (int t = 0; t < thresholds; t++) *out++ = total_of_lanes(lanes.above[t]);
  if constexpr (kBase) {
    for (int s = 0; s < Difference::kBaseSums; s++) *out++ = tree_of_lanes(lanes.sums[Difference::kSums + s]);
    for (int s = 0; s < Difference::kBaseCounts; s++) *out++ = total_of_lanes(lanes.counts[Difference::kCounts + s]);
  }
  Work largest = 0;
  for (int lane = 0; lane < kLanes; lane++) largest = lanes.largest[lane] > largest ? lanes.largest[lane] : largest;
  *out = static_cast<double>(largest);
}

inline void difference_sums(const Job& job, Scratch& scratch, uint64_t begin, uint64_t end, double* out) {
  if (job.wide) {
    return job.inputs == 3 ? difference_range<double, true>(job, scratch, begin, end, out)
                           : difference_range<double, false>(job, scratch, begin, end, out);
  }
  return job.inputs == 3 ? difference_range<float, true>(job, scratch, begin, end, out)
                         : difference_range<float, false>(job, scratch, begin, end, out);
}

constexpr Kernel difference_kernel() {
  Kernel kernel{};
  kernel.name = "difference";
  kernel.valid = Difference::valid;
  kernel.sum_count = Difference::sum_count;
  kernel.reduce = difference_sums;
  kernel.maxima = 1;
  return kernel;
}

SINTER_KERNEL_NAMESPACE_END
