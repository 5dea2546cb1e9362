// multislerp: out = [base +] (sum_i w_i |v_i|) m / |m|,  m = sum_i w_i v_i / |v_i|
//
// Barycentric interpolation on a hypersphere, https://goddard.blog/posts/multislerp-wow-what-a-cool-idea: directions are
// taken to the tangent space at their weighted mean m, averaged there, and taken back. The weighted sum of the tangent
// vectors is sum w_i u_i - (sum w_i u_i . m) m = |m| m - |m| m = 0, so what comes back is the mean direction itself; the
// reference computes the zero and keeps its rounding error.
// inputs: m_1 ... m_N (multislerp); base, m_1 ... m_N (multislerp_base: v are differences from it).
// params: normalize (weights divided by their sum), epsilon, weights. Norms are increased by epsilon.
// Where |m| < epsilon, as for two opposite vectors or all zeros: out = [base +] sum_i w_i v_i. |m| is measured again,
// element by element, where the Gram matrix cancels.
#pragma once

#include <cmath>

#include "gram.h"

SINTER_KERNEL_NAMESPACE_BEGIN

template <bool kBase>
struct MultiSlerpOf : GramMethod<MultiSlerpOf<kBase>, kBase, 1, kMaxInputs> {
  using Self = GramMethod<MultiSlerpOf<kBase>, kBase, 1, kMaxInputs>;
  /// Below this share of the terms' size the sum of the Gram matrix's terms is mostly rounding error.
  static constexpr double kCancelled = 1e-9;

  static bool valid(const Job& job) {
    const int n = Self::vectors(job);
    return n >= 1 && job.params.size() == static_cast<size_t>(2 + n);
  }

  static int sum_count(const Job& job) { return job.round == 0 ? gram_size(Self::vectors(job)) : 1; }

  template <class Work, int N>
  using Remeasure = CombinationNorm<Work, N, kBase>;

  static bool solve(Job& job) {
    const int n = Self::vectors(job);
    if (job.round > 0) return finish(job, std::sqrt(job.sums[0]));
    const std::vector<double> weight = weights(job);
    const Gram gram(job.sums.data(), n);
    // Kept for the end: the mean norm, then the weights.
    job.table.assign(1, 0.0);
    job.solved.assign(static_cast<size_t>(n), 0.0);
    double size = 0;
    for (int i = 0; i < n; i++) {
      const double norm = std::sqrt(gram(i, i));
      job.solved[i] = weight[i] / (norm + job.params[1]);
      job.table[0] += weight[i] * norm;
      size += std::fabs(job.solved[i]) * norm;
    }
    const double squared = gram.squared_norm(job.solved);
    if (squared < kCancelled * size * size) return true;
    return finish(job, std::sqrt(squared));
  }

 private:
  static std::vector<double> weights(const Job& job) {
    std::vector<double> weight(job.params.begin() + 2, job.params.end());
    double sum = 0;
    for (const double w : weight) sum += w;
    if (job.params[0] != 0.0) {
      for (double& w : weight) w /= sum;
    }
    return weight;
  }

  static bool finish(Job& job, double length) {
    if (length < job.params[1]) {
      job.solved = weights(job);
    } else {
      for (double& c : job.solved) c *= job.table[0] / length;
    }
    return false;
  }
};

struct MultiSlerp : MultiSlerpOf<false> {
  static constexpr const char* kName = "multislerp";
};
struct MultiSlerpBase : MultiSlerpOf<true> {
  static constexpr const char* kName = "multislerp_base";
};

SINTER_KERNEL_NAMESPACE_END
