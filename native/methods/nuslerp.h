// nuslerp: out = [base +] (sin((1 - t) theta) a + sin(t theta) b) / sin(theta),  cos(theta) = a.b / (|a| |b|)
//
// slerp with weights instead of a position, over the whole tensor, per vector along its last dimension or per vector
// along its first; a and b are the inputs, or their differences from the base.
// inputs: a, b (nuslerp); base, a, b (nuslerp_base). params: t, grouping (0 whole, 1 last dimension, 2 first).
// Norms are taken as at least 1e-7, the cosine is clamped to [-1, 1]; where |sin(theta)| < 1e-8 the vectors count as
// colinear: (1 - t) a + t b; opposite ones already below 1e-6, as no way around the sphere is shorter than another and
// rounding would be blown up. NaN in a vector makes that vector NaN.
#pragma once

#include <cmath>

#include "../numeric/trigonometry.h"
#include "gram.h"

SINTER_KERNEL_NAMESPACE_BEGIN

template <bool kBase>
struct NuSlerpOf : GramMethod<NuSlerpOf<kBase>, kBase, 2, 2> {
  static constexpr double kLeastNorm = 1e-7;
  static constexpr double kColinear = 1e-8;
  static constexpr double kOpposite = 1e-6;

  static bool valid(const Job& job) { return job.inputs == (kBase ? 3 : 2) && job.params.size() == 2; }

  static Grouping grouping(const Job& job) {
    return job.params[1] == 1.0 ? Grouping::rows : job.params[1] == 2.0 ? Grouping::columns : Grouping::whole;
  }

  static void coefficients(const Job& job, const Gram& gram, std::vector<double>& out) {
    const double t = job.params[0];
    double norm_a = std::sqrt(gram(0, 0));
    double norm_b = std::sqrt(gram(1, 1));
    norm_a = norm_a < kLeastNorm ? kLeastNorm : norm_a;
    norm_b = norm_b < kLeastNorm ? kLeastNorm : norm_b;
    double cosine = gram(0, 1) / norm_a / norm_b;
    cosine = cosine > 1.0 ? 1.0 : cosine < -1.0 ? -1.0 : cosine;
    const double theta = arccosine(cosine);
    const double sine_theta = sine(theta);
    if (std::fabs(sine_theta) < (cosine < 0.0 ? kOpposite : kColinear)) {
      out[0] = 1.0 - t;
      out[1] = t;
      return;
    }
    out[0] = sine((1.0 - t) * theta) / sine_theta;
    out[1] = sine(t * theta) / sine_theta;
  }
};

struct NuSlerp : NuSlerpOf<false> {
  static constexpr const char* kName = "nuslerp";
};
struct NuSlerpBase : NuSlerpOf<true> {
  static constexpr const char* kName = "nuslerp_base";
};

SINTER_KERNEL_NAMESPACE_END
