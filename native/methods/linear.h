// linear: out = sum_i c_i x_i
//
// M. Wortsman et al.: "Model soups", ICML 2022, arXiv:2203.05482.
// params: one coefficient per input, already divided by the sum of the weights where the recipe normalizes.
// Coefficients are rounded to the work type once; products and sums are in the work type, in the order of the inputs.
// NaN and infinity in any input reach the output, also at coefficient 0 (0 * inf is NaN).
#pragma once

#include "../engine/job.h"
#include "../numeric/target.h"

SINTER_KERNEL_NAMESPACE_BEGIN

struct Linear {
  static constexpr const char* kName = "linear";
  static constexpr int kLeastInputs = 1;
  static constexpr int kMostInputs = kMaxInputs;

  static bool valid(const Job& job) { return job.inputs >= 1 && job.params.size() == static_cast<size_t>(job.inputs); }

  template <class Work, int N>
  struct Map {
    static constexpr int kRoom = N > 0 ? N : kMaxInputs;
    int inputs;
    Work coefficient[kRoom] = {};

    explicit Map(const Job& job) : inputs(job.inputs) {
      for (int k = 0; k < inputs; k++) coefficient[k] = static_cast<Work>(job.params[k]);
    }

    void at(uint64_t) {}

    static constexpr bool kLanewise = true;

    template <class Value, class Word, class Index>
    SINTER_HD Value operator()(const Value* x, const Word*, Index) const {
      const int n = N > 0 ? N : inputs;
      Value sum = coefficient[0] * x[0];
      for (int k = 1; k < n; k++) sum += coefficient[k] * x[k];
      return sum;
    }
  };
};

SINTER_KERNEL_NAMESPACE_END
