// arcee_fusion: out = a + d [importance >= threshold],  d = b - a
//
// https://arcee.ai. importance = |d| * KL(row), KL between the softmax of the row of b and that of a (vectors along the
// last dimension), 1e-8 added to every probability; threshold = median + 1.5 (third quartile - first quartile) of the
// importance over the whole tensor, quantile q being the value of rank floor(q (n - 1)) from below, over all elements.
// inputs: a (the base), b. params: none.
// Softmax and KL are float64, rounded to the work type once; importance, threshold and result are in the work type.
#pragma once

#include <cmath>

#include "../engine/budget.h"
#include "../engine/job.h"
#include "../numeric/convert.h"
#include "../numeric/exponential.h"
#include "../numeric/lanes.h"
#include "../numeric/target.h"
#include "task-vector.h"

SINTER_KERNEL_NAMESPACE_BEGIN

struct ArceeFusion {
  static constexpr const char* kName = "arcee_fusion";
  static constexpr int kLeastInputs = 2;
  static constexpr int kMostInputs = 2;
  static constexpr bool kSelects = true;
  static constexpr int kSelectionsPerInput = 3;
  static constexpr double kLeastProbability = 1e-8;

  static bool valid(const Job& job) { return job.inputs == 2 && job.params.empty(); }
  static Grouping grouping(const Job&) { return Grouping::rows; }

  /// The table holds KL per row.
  static bool make_room(Job& job, Budget&) {
    job.table.assign(static_cast<size_t>(job.groups()), 0.0);
    return true;
  }
  static int group_values(const Job&) { return 1; }
  static const double* group_table(const Job& job) { return job.table.data(); }

  /// KL divergence of the softmax of `b` from that of `a`; `room` takes 2 n numbers.
  template <class Work>
  static double divergence(const Work* __restrict a, const Work* __restrict b, uint64_t n, double* __restrict room) {
    double* __restrict p = room;
    double* __restrict q = room + n;
    const double sum_p = shifted_exponentials(b, n, p);
    const double sum_q = shifted_exponentials(a, n, q);
    if (std::isnan(sum_p + sum_q)) return NAN;
    for (uint64_t i = 0; i < n; i++) p[i] = term(p[i] / sum_p, q[i] / sum_q);
    return sum_row(p, n);
  }

  /// What an element whose softmax is `p` in b and `q` in a adds to the divergence.
  static SINTER_HD double term(double p, double q) {
    p += kLeastProbability;
    return p * logarithm(p / (q + kLeastProbability));
  }

  static void selections(const Job& job, std::vector<Selection>& out) {
    for (const double q : {0.25, 0.5, 0.75}) {
      const uint64_t rank = static_cast<uint64_t>(q * static_cast<double>(job.count - 1));
      Selection selection{0, job.count - rank};
      selection.value = true;
      out.push_back(selection);
    }
  }

  /// Bits of the importance; KL stands behind the inputs.
  template <class Work, int N>
  struct Magnitude {
    static constexpr int kExtra = 1;
    explicit Magnitude(const Job&) {}

    SINTER_HD typename BitsOf<Work>::type operator()(const Work* x) const {
      const Work difference = x[1] - x[0];
      return difference_magnitude<Work>(Work{0}, difference * x[2]);
    }
  };

  template <class Work, int N>
  struct Map {
    static constexpr int kExtra = 1;
    Work threshold;

    explicit Map(const Job& job) {
      using Bits = typename BitsOf<Work>::type;
      Work quartile[3];
      for (int i = 0; i < 3; i++) quartile[i] = bits_as<Work>(static_cast<Bits>(job.thresholds[i].bits));
      threshold = quartile[1] + static_cast<Work>(1.5) * (quartile[2] - quartile[0]);
    }
    void at(uint64_t) {}

    SINTER_HD Work operator()(const Work* x, const uint32_t*, int32_t) const {
      const Work difference = x[1] - x[0];
      const Work product = difference * x[2];
      const Work importance = product < 0 ? -product : product;
      return x[0] + difference * (importance >= threshold ? Work{1} : Work{0});
    }
  };

 private:
  /// out = exp(x - max x). @returns their sum.
  template <class Work>
  static double shifted_exponentials(const Work* __restrict x, uint64_t n, double* __restrict out) {
    Work largest = x[0];
    uint64_t ordered = 0;
    for (uint64_t i = 0; i < n; i++) {
      largest = x[i] > largest ? x[i] : largest;
      ordered += x[i] < static_cast<Work>(INFINITY) ? 1 : 0;
    }
    // A NaN, which is not below infinity either, or an infinity leaves no softmax.
    if (ordered != n) return NAN;
    for (uint64_t i = 0; i < n; i++) out[i] = exponential(static_cast<double>(x[i]) - static_cast<double>(largest));
    return sum_row(out, n);
  }

  /// Chunks as those of all sums (numeric/lanes.h), added in their order, however many.
  static double sum_row(const double* values, uint64_t n) {
    double sum = 0;
    for (uint64_t begin = 0; begin < n; begin += kSumChunk) {
      const uint64_t end = n - begin < kSumChunk ? n : begin + kSumChunk;
      double lanes[kSumLanes] = {};
      uint64_t i = begin;
      for (; i + kSumLanes <= end; i += kSumLanes) {
        for (int lane = 0; lane < kSumLanes; lane++) lanes[lane] += values[i + lane];
      }
      for (int lane = 0; i < end; i++, lane++) lanes[lane] += values[i];
      sum += fold_lanes(lanes);
    }
    return sum;
  }
};

SINTER_KERNEL_NAMESPACE_END
