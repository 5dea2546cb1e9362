// karcher: out = (sum_i a_i |x_i|) u, u the Riemannian mean on the unit sphere of the directions x_i / |x_i|
//
// H. Karcher: "Riemannian center of mass and mollifier smoothing", 1977. All models weigh the same, a_i = 1 / N.
// inputs: m_1 ... m_N. params: most iterations, tolerance.
// The iterate is a combination of the inputs throughout, so each step needs only the Gram matrix: one pass over the data
// whatever the number of iterations. A model whose norm is at most the tolerance has no direction and counts only in the
// mean norm; where none has one the output is zero. A model opposite to the iterate (sine below 1e-7) pulls in no
// direction more than in another: it does not pull.
#pragma once

#include <cmath>

#include "../numeric/trigonometry.h"
#include "gram.h"

SINTER_KERNEL_NAMESPACE_BEGIN

struct Karcher : GramMethod<Karcher, false, 1, kMaxInputs> {
  static constexpr const char* kName = "karcher";
  static constexpr double kOpposite = 1e-7;

  static bool valid(const Job& job) { return job.inputs >= 1 && job.params.size() == 2; }

  static void coefficients(const Job& job, const Gram& gram, std::vector<double>& out) {
    const int n = vectors(job);
    const double most = job.params[0];
    const double tolerance = job.params[1];
    std::vector<double> norm(static_cast<size_t>(n));
    std::vector<int> directed;
    double scale = 0;
    for (int i = 0; i < n; i++) {
      norm[i] = std::sqrt(gram(i, i));
      scale += norm[i] / n;
      // Not "greater": a NaN norm goes on, and makes the output NaN.
      if (!(norm[i] <= tolerance)) directed.push_back(i);
    }
    out.assign(static_cast<size_t>(n), 0.0);
    if (directed.empty()) return;
    const double share = 1.0 / static_cast<double>(directed.size());

    std::vector<double> u(static_cast<size_t>(n), 0.0);
    for (const int i : directed) u[i] = share / norm[i];
    const double length = norm_of(gram, u);
    if (length < tolerance) {
      u.assign(static_cast<size_t>(n), 0.0);
      u[directed[0]] = 1.0 / norm[directed[0]];
    } else {
      for (double& c : u) c /= length;
    }
    for (double iteration = 0; iteration < most; iteration++) {
      if (!step(gram, norm, directed, share, tolerance, u)) break;
    }
    for (int i = 0; i < n; i++) out[i] = scale * u[i];
  }

 private:
  static double norm_of(const Gram& gram, const std::vector<double>& coefficients) {
    const double squared = gram.squared_norm(coefficients);
    return squared < 0.0 ? 0.0 : std::sqrt(squared);
  }

  /// Moves `u` along the mean of the logarithms of all directions. @returns whether it was still moving.
  static bool step(const Gram& gram, const std::vector<double>& norm, const std::vector<int>& directed, double share,
                   double tolerance, std::vector<double>& u) {
    std::vector<double> tangent(u.size(), 0.0);
    for (const int i : directed) {
      double cosine = gram.product(u, i) / norm[i];
      cosine = cosine > 1.0 ? 1.0 : cosine < -1.0 ? -1.0 : cosine;
      const double theta = arccosine(cosine);
      const double sine_theta = sine(theta);
      if (theta < tolerance || (sine_theta < kOpposite && theta > 1.0)) continue;
      const double factor = share * theta / sine_theta;
      tangent[i] += factor / norm[i];
      for (size_t j = 0; j < u.size(); j++) tangent[j] -= factor * cosine * u[j];
    }
    const double length = norm_of(gram, tangent);
    if (length < tolerance) return false;
    const double along = cosine_of(length);
    const double across = sine(length) / length;
    for (size_t j = 0; j < u.size(); j++) u[j] = along * u[j] + across * tangent[j];
    const double unit = norm_of(gram, u);
    if (unit > tolerance) {
      for (double& c : u) c /= unit;
    }
    return true;
  }

  static double cosine_of(double x) { return sine(x + kPi / 2.0); }
};

SINTER_KERNEL_NAMESPACE_END
