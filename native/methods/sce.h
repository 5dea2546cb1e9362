// sce: out = base + sum_m w_m d_m a_m / max(sum_m w_m a_m, 1e-6),  d_m = s (x_m - base)
//
// F. Wan et al.: "FuseChat", arXiv:2408.07990: select, calculate, erase. s is 1 for the share of elements whose variance
// across the models is largest (of those where it is not zero), else 0; w_m is the mean square of d_m over the tensor,
// divided by the sum of all; a_m is 1 where d_m has the sign of sum_m d_m (zero counts as positive, a zero difference has
// no sign), else 0.
// inputs: base, m_1 ... m_k. params: share (from 1 on everything is selected, from 0 down nothing).
// The variance is sum_{i<j} (x_i - x_j)^2 / k^2 in the work type: zero exactly where all models agree. Where the mean
// squares sum to less than 1e-6 all models weigh the same.
#pragma once

#include "../engine/job.h"
#include "../numeric/convert.h"
#include "../numeric/lanes.h"
#include "../numeric/target.h"
#include "task-vector.h"

SINTER_KERNEL_NAMESPACE_BEGIN

struct Sce {
  static constexpr const char* kName = "sce";
  static constexpr int kLeastInputs = 2;
  static constexpr int kMostInputs = kMaxInputs;
  static constexpr bool kSelects = true;
  static constexpr double kSmallSum = 1e-6;

  static bool valid(const Job& job) { return job.inputs >= 2 && job.params.size() == 1; }

  static void selections(const Job& job, std::vector<Selection>& out) {
    const double share = job.params[0];
    if (share > 0.0 && share < 1.0) {
      out.push_back({0, 0, share});
    } else {
      out.push_back({0, share >= 1.0 ? job.count : 0});
    }
  }

  /// Bits of the variance across the models.
  template <class Work, int N>
  struct Magnitude {
    int inputs;
    explicit Magnitude(const Job& job) : inputs(job.inputs) {}

    template <class Value>
    SINTER_HD typename BitsOf<Value>::type operator()(const Value* x) const {
      const int n = N > 0 ? N : inputs;
      const Value zero = {};
      Value sum = zero;
      for (int i = 1; i < n; i++) {
        for (int j = i + 1; j < n; j++) {
          const Value difference = x[i] - x[j];
          sum += difference * difference;
        }
      }
      const Work models = static_cast<Work>(n - 1);
      return difference_magnitude<Value>(zero, sum / (models * models));
    }
  };

  static int sum_count(const Job& job) { return job.inputs - 1; }

  template <class Work, int N>
  struct Selected {
    static constexpr int kRoom = N > 0 ? N : kMaxInputs;
    int inputs;
    Magnitude<Work, N> magnitude;
    Within<Work, 2> within;

    explicit Selected(const Job& job) : inputs(job.inputs), magnitude(job) { within.set(1, job.thresholds[0]); }
    void at(uint64_t begin) { within.at(begin, 2); }

    template <class Value, class Index>
    SINTER_HD Value selected(const Value* x, Index i) const {
      const Value zero = {};
      return within(1, magnitude(x), i) ? zero + 1 : zero;
    }
  };

  template <class Work, int N>
  struct Reduce : Selected<Work, N> {
    static constexpr int kSums = N > 0 ? N - 1 : 0;
    using Selected<Work, N>::Selected;

    static constexpr bool kLanewise = true;

    template <class Value, class Word, class Index, class Sums>
    SINTER_HD void operator()(const Value* x, const Word*, Index i, Sums sums) const {
      const int n = N > 0 ? N : this->inputs;
      const Value selected = this->selected(x, i);
      for (int m = 1; m < n; m++) {
        const auto difference = to_double((x[m] - x[0]) * selected);
        sums[m - 1] = difference * difference;
      }
    }
  };

  /// solved: weight per model.
  static bool solve(Job& job) {
    const int models = job.inputs - 1;
    job.solved.assign(static_cast<size_t>(job.inputs), 1.0 / models);
    if (job.sums.empty() || job.count == 0) return false;
    double total = 0;
    for (int m = 1; m <= models; m++) total += job.sums[m - 1] / static_cast<double>(job.count);
    if (total < kSmallSum) return false;
    for (int m = 1; m <= models; m++) job.solved[m] = job.sums[m - 1] / static_cast<double>(job.count) / total;
    return false;
  }

  template <class Work, int N>
  struct Map : Selected<Work, N> {
    Work weight[Selected<Work, N>::kRoom] = {};

    explicit Map(const Job& job) : Selected<Work, N>(job) {
      for (int m = 1; m < job.inputs; m++) weight[m] = static_cast<Work>(job.solved[m]);
    }

    static constexpr bool kLanewise = true;

    template <class Value, class Word, class Index>
    SINTER_HD Value operator()(const Value* x, const Word*, Index i) const {
      constexpr Work kLeast = static_cast<Work>(kSmallSum);
      const int n = N > 0 ? N : this->inputs;
      const Value zero = {};
      const Value selected = this->selected(x, i);
      Value difference[Selected<Work, N>::kRoom];
      Value sum = zero;
      for (int m = 1; m < n; m++) {
        difference[m] = (x[m] - x[0]) * selected;
        sum += difference[m];
      }
      const auto positive = sum >= 0;
      Value mixed = zero;
      Value divisor = zero;
      for (int m = 1; m < n; m++) {
        const Value aligned = positive ? difference[m] : -difference[m];
        const Value counts = aligned > 0 ? zero + weight[m] : zero;
        mixed += difference[m] * counts;
        divisor += counts;
      }
      divisor = divisor < kLeast ? zero + kLeast : divisor;
      return x[0] + mixed / divisor;
    }
  };
};

SINTER_KERNEL_NAMESPACE_END
