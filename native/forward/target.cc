// The loops of elementwise.h for one instruction set.

#include <cmath>

#include "../numeric/exponential.h"
#include "elementwise.h"

#define SINTER_JOIN_(a, b) a##b
#define SINTER_JOIN(a, b) SINTER_JOIN_(a, b)
#define SINTER_TEXT_(a) #a
#define SINTER_TEXT(a) SINTER_TEXT_(a)

SINTER_KERNEL_NAMESPACE_BEGIN

/// Sums kept side by side, so that additions need not wait for each other; added up in order at the end.
constexpr uint64_t kSideBySide = 16;

static void rms_norm(const float* x, const float* weight, double epsilon, uint64_t count, float* out) {
  double sums[kSideBySide] = {};
  uint64_t i = 0;
  for (; i + kSideBySide <= count; i += kSideBySide) {
    for (uint64_t l = 0; l < kSideBySide; l++) sums[l] += static_cast<double>(x[i + l]) * x[i + l];
  }
  double square = 0.0;
  for (; i < count; i++) square += static_cast<double>(x[i]) * x[i];
  for (const double sum : sums) square += sum;
  const float factor = static_cast<float>(1.0 / std::sqrt(square / static_cast<double>(count) + epsilon));
  for (i = 0; i < count; i++) out[i] = weight[i] * (x[i] * factor);
}

static void rotate(float* x, const float* cosines, const float* sines, uint64_t half) {
  for (uint64_t i = 0; i < half; i++) {
    const float a = x[i], b = x[i + half];
    x[i] = a * cosines[i] - b * sines[i];
    x[i + half] = b * cosines[i] + a * sines[i];
  }
}

static void swiglu(float* gate, const float* up, uint64_t count) {
  for (uint64_t i = 0; i < count; i++) {
    const double x = gate[i];
    gate[i] = static_cast<float>(x / (1.0 + exponential(-x))) * up[i];
  }
}

static void add(float* x, const float* y, uint64_t count) {
  for (uint64_t i = 0; i < count; i++) x[i] += y[i];
}

/// NaN where x holds one at the place of a lane's first element; the sums find every other.
static float largest(const float* x, uint64_t count) {
  float largest[kSideBySide];
  for (float& lane : largest) lane = x[0];
  uint64_t i = 0;
  for (; i + kSideBySide <= count; i += kSideBySide) {
    for (uint64_t l = 0; l < kSideBySide; l++) largest[l] = x[i + l] > largest[l] ? x[i + l] : largest[l];
  }
  float found = x[0];
  for (; i < count; i++) found = x[i] > found ? x[i] : found;
  for (const float lane : largest) found = lane > found ? lane : found;
  return found;
}

static void softmax(float* x, float scale, uint64_t count) {
  // The scale is positive: the largest stays the largest.
  const float max = largest(x, count) * scale;
  for (uint64_t i = 0; i < count; i++) x[i] = static_cast<float>(exponential(static_cast<double>(x[i] * scale) - max));
  double sums[kSideBySide] = {};
  uint64_t i = 0;
  for (; i + kSideBySide <= count; i += kSideBySide) {
    for (uint64_t l = 0; l < kSideBySide; l++) sums[l] += x[i + l];
  }
  double sum = 0.0;
  for (; i < count; i++) sum += x[i];
  for (const double lane : sums) sum += lane;
  const float factor = static_cast<float>(1.0 / sum);
  for (i = 0; i < count; i++) x[i] *= factor;
}

static void log_sum_exp(const float* x, uint64_t count, double& max, double& sum) {
  const double here = largest(x, count);
  const double above = here > max ? here : max;
  double sums[kSideBySide] = {};
  uint64_t i = 0;
  for (; i + kSideBySide <= count; i += kSideBySide) {
    for (uint64_t l = 0; l < kSideBySide; l++) sums[l] += exponential(x[i + l] - above);
  }
  double added = 0.0;
  for (; i < count; i++) added += exponential(x[i] - above);
  for (const double lane : sums) added += lane;
  sum = sum * exponential(max - above) + added;
  max = above;
}

SINTER_KERNEL_NAMESPACE_END

namespace sinter {

extern const ElementwiseKernels SINTER_JOIN(kElementwiseKernels_, SINTER_TARGET){
    SINTER_TEXT(SINTER_TARGET_NAME), rms_norm, rotate, swiglu, add, softmax, log_sum_exp};

}  // namespace sinter
