// slerp: out = sin((1 - t) theta) / sin(theta) a + sin(t theta) / sin(theta) b,  cos(theta) = a.b / (|a| |b|)
//
// K. Shoemake: "Animating rotation with quaternion curves", SIGGRAPH 1985; a and b are whole tensors as vectors.
// params: t. inputs: a (the base), b.
// Where |cos(theta)| > 0.9995 the vectors count as colinear: out = (1 - t) a + t b. A norm of at most 1e-8 is taken as 1,
// so that a zero tensor gives cos(theta) = 0. Norms and dot are float64 sums over a fixed tree; the two coefficients are
// float64, rounded to the work type once. A NaN or an infinity anywhere makes the whole tensor NaN, as its norm is.
#pragma once

#include <cmath>

#include "../engine/job.h"
#include "../numeric/lanes.h"
#include "../numeric/target.h"
#include "../numeric/trigonometry.h"

SINTER_KERNEL_NAMESPACE_BEGIN

struct Slerp {
  static constexpr const char* kName = "slerp";
  static constexpr int kLeastInputs = 2;
  static constexpr int kMostInputs = 2;
  static constexpr double kColinear = 0.9995;
  static constexpr double kSmallNorm = 1e-8;

  static bool valid(const Job& job) { return job.inputs == 2 && job.params.size() == 1; }
  static int sum_count(const Job&) { return 3; }

  template <class Work, int N>
  struct Reduce {
    explicit Reduce(const Job&) {}
    void at(uint64_t) {}
    static constexpr int kSums = 3;
    static constexpr bool kLanewise = true;

    template <class Value, class Word, class Index, class Sums>
    SINTER_HD void operator()(const Value* x, const Word*, Index, Sums sums) const {
      const auto a = to_double(x[0]);
      const auto b = to_double(x[1]);
      sums[0] = a * b;
      sums[1] = a * a;
      sums[2] = b * b;
    }
  };

  /// sums: a.b, a.a, b.b. solved: the coefficients of a and b.
  static bool solve(Job& job) {
    const double t = job.params[0];
    double norm_a = std::sqrt(job.sums[1]);
    double norm_b = std::sqrt(job.sums[2]);
    norm_a = norm_a <= kSmallNorm ? 1.0 : norm_a;
    norm_b = norm_b <= kSmallNorm ? 1.0 : norm_b;
    const double cosine = job.sums[0] / norm_a / norm_b;
    if (cosine > kColinear || cosine < -kColinear) {
      job.solved = {1.0 - t, t};
      return false;
    }
    const double theta = arccosine(cosine);
    const double sine_theta = sine(theta);
    job.solved = {sine(theta - theta * t) / sine_theta, sine(theta * t) / sine_theta};
    return false;
  }

  template <class Work, int N>
  struct Map {
    Work a, b;
    explicit Map(const Job& job) : a(static_cast<Work>(job.solved[0])), b(static_cast<Work>(job.solved[1])) {}
    void at(uint64_t) {}

    SINTER_HD Work operator()(const Work* x, const uint32_t*, int32_t) const { return a * x[0] + b * x[1]; }
  };
};

SINTER_KERNEL_NAMESPACE_END
