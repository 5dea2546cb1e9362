// compare: what distinguishes tensors from a base, in one pass: nothing is written.
//
// inputs: base, v_1 ... v_n. params: none. d_i = v_i - base in the work type; sums are float64 over a fixed tree.
// sums: for each i: sum d_i^2, sum d_i d_1, number of d_i that are not zero; then the number of elements where some of
// d_2 ... d_n are not zero, and the number of those where their signs disagree; then the sum of squares of each input,
// and the number of elements of v_1 that are a NaN or an infinity.
// So with v_1 the result of a merge and v_2 ... its parents: norms of change, cosines to the parents, densities, and
// the share of sign conflicts. NaN counts as not zero and has no sign.
#pragma once

#include "../engine/job.h"
#include "../numeric/target.h"

SINTER_KERNEL_NAMESPACE_BEGIN

struct Compare {
  static constexpr const char* kName = "compare";
  static constexpr int kLeastInputs = 2;
  static constexpr int kMostInputs = kMaxInputs;
  static constexpr int kMostUnrolled = 4;

  static bool valid(const Job& job) { return job.inputs >= 2 && job.params.empty(); }
  static int sum_count(const Job& job) { return 4 * job.inputs; }

  template <class Work, int N>
  struct Reduce {
    static constexpr int kSums = N > 0 ? 4 * N : 0;
    int inputs;
    explicit Reduce(const Job& job) : inputs(job.inputs) {}
    void at(uint64_t) {}

    template <class Sums>
    SINTER_HD void operator()(const Work* x, const uint32_t*, int32_t, Sums sums) const {
      const int n = N > 0 ? N : inputs;
      const double first = static_cast<double>(x[1] - x[0]);
      Work positive = 0;
      Work negative = 0;
      Work changed = 0;
      for (int i = 1; i < n; i++) {
        const Work d = x[i] - x[0];
        const double difference = static_cast<double>(d);
        const Work not_zero = d != 0 ? Work{1} : Work{0};
        sums[3 * i - 3] = difference * difference;
        sums[3 * i - 2] = difference * first;
        sums[3 * i - 1] = static_cast<double>(not_zero);
        if (i == 1) continue;
        changed += not_zero;
        positive += d > 0 ? Work{1} : Work{0};
        negative += d < 0 ? Work{1} : Work{0};
      }
      sums[3 * (n - 1)] = changed > 0 ? 1.0 : 0.0;
      sums[3 * (n - 1) + 1] = ((positive > 0) & (negative > 0)) ? 1.0 : 0.0;
      for (int i = 0; i < n; i++) sums[3 * n - 1 + i] = static_cast<double>(x[i]) * static_cast<double>(x[i]);
      sums[4 * n - 1] = x[1] - x[1] == 0 ? 0.0 : 1.0;
    }
  };
};

SINTER_KERNEL_NAMESPACE_END
