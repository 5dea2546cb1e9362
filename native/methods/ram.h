// ram, ramplus_tl: out = base + sum_m d_m * (1 or lambda_m where only model m changed, 1 / count where several did)
//
// "Reinforced Agent Merging", arXiv:2601.13572. d_m = x_m - base; a model changed an element where |d_m| > epsilon, and
// `count` models did. ramplus_tl amplifies what is unique: lambda_m = 1 + r min(max(rho_m, 0), alpha), rho_m = shared_m /
// max(unique_m, epsilon), from the model's counts of shared and unique elements in this tensor.
// inputs: base, m_1 ... m_k. params: epsilon (ram); epsilon, r, alpha (ramplus_tl).
// An element that changed by no more than epsilon, or to NaN, counts as unchanged; NaN times zero still shows.
#pragma once

#include "../engine/job.h"
#include "../numeric/lanes.h"
#include "../numeric/target.h"

SINTER_KERNEL_NAMESPACE_BEGIN

template <bool kAmplify>
struct RamOf {
  static constexpr int kLeastInputs = 2;
  static constexpr int kMostInputs = kMaxInputs;

  static bool valid(const Job& job) { return job.inputs >= 2 && job.params.size() == (kAmplify ? 3 : 1); }

  /// ramplus_tl, per model: elements that others changed too, elements that it alone changed.
  static int sum_count(const Job& job) { return kAmplify ? 2 * (job.inputs - 1) : 0; }

  template <class Work, int N>
  struct Changes {
    static constexpr int kRoom = N > 0 ? N : kMaxInputs;
    int inputs;
    Work epsilon;

    explicit Changes(const Job& job) : inputs(job.inputs), epsilon(static_cast<Work>(job.params[0])) {}

    /// Differences, 1 or 0 for each model that changed the element, and how many did.
    template <class Value>
    SINTER_HD Value find(const Value* x, Value* difference, Value* changed) const {
      const int n = N > 0 ? N : inputs;
      const Value zero = {};
      Value count = zero;
      for (int m = 1; m < n; m++) {
        difference[m] = x[m] - x[0];
        const Value magnitude = difference[m] < 0 ? -difference[m] : difference[m];
        changed[m] = magnitude > epsilon ? zero + 1 : zero;
        count += changed[m];
      }
      return count;
    }
  };

  template <class Work, int N>
  struct Reduce : Changes<Work, N> {
    static constexpr int kSums = N > 0 ? 2 * (N - 1) : 0;
    using Changes<Work, N>::Changes;
    void at(uint64_t) {}

    static constexpr bool kLanewise = true;

    template <class Value, class Word, class Index, class Sums>
    SINTER_HD void operator()(const Value* x, const Word*, Index, Sums sums) const {
      const int n = N > 0 ? N : this->inputs;
      const Value zero = {};
      Value difference[Changes<Work, N>::kRoom];
      Value changed[Changes<Work, N>::kRoom];
      const Value count = this->find(x, difference, changed);
      for (int m = 1; m < n; m++) {
        sums[2 * m - 2] = to_double(count > 1 ? changed[m] : zero);
        sums[2 * m - 1] = to_double(count == 1 ? changed[m] : zero);
      }
    }
  };

  /// solved: lambda per model.
  static bool solve(Job& job) {
    job.solved.assign(static_cast<size_t>(job.inputs), 1.0);
    if (!kAmplify || job.sums.empty()) return false;
    for (int m = 1; m < job.inputs; m++) {
      const double shared = job.sums[2 * m - 2];
      const double unique = job.sums[2 * m - 1];
      double rho = shared / (unique < job.params[0] ? job.params[0] : unique);
      rho = rho < 0.0 ? 0.0 : rho > job.params[2] ? job.params[2] : rho;
      job.solved[m] = 1.0 + job.params[1] * rho;
    }
    return false;
  }

  template <class Work, int N>
  struct Map : Changes<Work, N> {
    Work lambda[Changes<Work, N>::kRoom] = {};

    explicit Map(const Job& job) : Changes<Work, N>(job) {
      for (int m = 1; m < job.inputs; m++) lambda[m] = static_cast<Work>(job.solved[m]);
    }
    void at(uint64_t) {}

    static constexpr bool kLanewise = true;

    template <class Value, class Word, class Index>
    SINTER_HD Value operator()(const Value* x, const Word*, Index) const {
      const int n = N > 0 ? N : this->inputs;
      const Value zero = {};
      const Value one = zero + 1;
      Value difference[Changes<Work, N>::kRoom];
      Value changed[Changes<Work, N>::kRoom];
      const Value count = this->find(x, difference, changed);
      const Value divisor = count > 1 ? count : one;
      Value sum = zero;
      for (int m = 1; m < n; m++) {
        const Value factor = count > 1 ? one : zero + lambda[m];
        sum += difference[m] * changed[m] * factor / divisor;
      }
      return x[0] + sum;
    }
  };
};

struct Ram : RamOf<false> {
  static constexpr const char* kName = "ram";
};
struct RamPlus : RamOf<true> {
  static constexpr const char* kName = "ramplus_tl";
};

SINTER_KERNEL_NAMESPACE_END
