// model_stock: out = base + t (mean(x) - base),  t = N c / (1 + (N - 1) c)
//
// D.-H. Jang, S. Yun, D. Han: "Model Stock", ECCV 2024, arXiv:2403.19522. c is the mean cosine between the differences
// x_i - base, over all pairs of the N models; over the whole tensor or per vector along the last dimension.
// inputs: base, m_1 ... m_N (N >= 2). params: grouping (0 whole, 1 last dimension).
// A product of two norms is taken as at least 1e-6, each cosine is clamped to [-1, 1]. The denominator is never negative
// but for rounding; where it is zero (below 1e-12), as for two opposite differences, t has no value: the base stays.
#pragma once

#include <cmath>

#include "gram.h"

SINTER_KERNEL_NAMESPACE_BEGIN

struct ModelStock : GramMethod<ModelStock, true, 2, kMaxInputs> {
  static constexpr const char* kName = "model_stock";
  static constexpr double kLeastProduct = 1e-6;
  static constexpr double kCancelled = 1e-12;

  static bool valid(const Job& job) { return job.inputs >= 3 && job.params.size() == 1; }
  static Grouping grouping(const Job& job) { return job.params[0] == 1.0 ? Grouping::rows : Grouping::whole; }

  static void coefficients(const Job& job, const Gram& gram, std::vector<double>& out) {
    const int n = vectors(job);
    double total = 0;
    for (int i = 0; i < n; i++) {
      for (int j = i + 1; j < n; j++) {
        const double product = std::sqrt(gram(i, i)) * std::sqrt(gram(j, j));
        const double cosine = gram(i, j) / (product < kLeastProduct ? kLeastProduct : product);
        total += cosine > 1.0 ? 1.0 : cosine < -1.0 ? -1.0 : cosine;
      }
    }
    const double count = n;
    const double cosine = total / (count * (count - 1.0) / 2.0);
    const double denominator = 1.0 + (count - 1.0) * cosine;
    const double t = denominator < kCancelled ? 0.0 : count * cosine / denominator;
    for (double& c : out) c = t / count;
  }
};

SINTER_KERNEL_NAMESPACE_END
