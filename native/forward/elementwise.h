// The loops of a forward pass that are not matrix products, compiled once per instruction set.
#pragma once

#include <cstdint>
#include <string>

namespace sinter {

struct ElementwiseKernels {
  const char* target;
  /// `out` = x / sqrt(mean(x^2) + epsilon) * weight; Zhang, Sennrich, "Root Mean Square Layer Normalization" (2019).
  /// `out` may be `x`.
  void (*rms_norm)(const float* x, const float* weight, double epsilon, uint64_t count, float* out);
  /// Rotates the pairs (x[i], x[i + half]) by the angles whose cosines and sines are given; Su et al., "RoFormer" (2021).
  void (*rotate)(float* x, const float* cosines, const float* sines, uint64_t half);
  /// gate = silu(gate) * up; Shazeer, "GLU variants improve transformer" (2020).
  void (*swiglu)(float* gate, const float* up, uint64_t count);
  void (*add)(float* x, const float* y, uint64_t count);
  /// x = exp(scale x - max) / sum of these.
  void (*softmax)(float* x, float scale, uint64_t count);
  /// Carries a running log-sum-exp on: the sum so far is `sum` exp(`max`).
  void (*log_sum_exp)(const float* x, uint64_t count, double& max, double& sum);
};

/// The set of that target, which this CPU runs.
const ElementwiseKernels& elementwise_kernels(const std::string& target);

}  // namespace sinter
