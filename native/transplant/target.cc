// Compiled once per instruction set, with SINTER_TARGET as its name and the flags that allow it.

#include "../numeric/convert.h"
#include "loops.h"

#define SINTER_JOIN_(a, b) a##b
#define SINTER_JOIN(a, b) SINTER_JOIN_(a, b)
#define SINTER_TEXT_(a) #a
#define SINTER_TEXT(a) SINTER_TEXT_(a)

SINTER_KERNEL_NAMESPACE_BEGIN

/// Sums, or maxima, side by side: two registers of the widest set. Results depend on it.
constexpr uint64_t kSums = 16;

static double dot(const float* __restrict a, const float* __restrict b, uint64_t count) {
  double sums[kSums] = {};
  uint64_t i = 0;
  for (; i + kSums <= count; i += kSums) {
    for (uint64_t l = 0; l < kSums; l++) sums[l] += static_cast<double>(a[i + l]) * static_cast<double>(b[i + l]);
  }
  for (; i < count; i++) sums[i % kSums] += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  for (uint64_t half = kSums / 2; half > 0; half /= 2) {
    for (uint64_t l = 0; l < half; l++) sums[l] += sums[l + half];
  }
  return sums[0];
}

static void add(const float* __restrict row, uint64_t count, double weight, double* __restrict sum) {
  for (uint64_t i = 0; i < count; i++) sum[i] += weight * static_cast<double>(row[i]);
}

static float largest(const float* __restrict values, uint64_t count) {
  float most[kSums] = {};
  uint64_t i = 0;
  for (; i + kSums <= count; i += kSums) {
    for (uint64_t l = 0; l < kSums; l++) {
      const float value = bits_as<float>(bits_as<uint32_t>(values[i + l]) & 0x7FFFFFFF);
      most[l] = value > most[l] ? value : most[l];
    }
  }
  for (; i < count; i++) {
    const float value = bits_as<float>(bits_as<uint32_t>(values[i]) & 0x7FFFFFFF);
    most[0] = value > most[0] ? value : most[0];
  }
  float result = 0.0f;
  for (const float value : most) result = value > result ? value : result;
  return result;
}

SINTER_KERNEL_NAMESPACE_END

namespace sinter {

extern const VectorLoops SINTER_JOIN(kVectorLoops_, SINTER_TARGET);
const VectorLoops SINTER_JOIN(kVectorLoops_, SINTER_TARGET){SINTER_TEXT(SINTER_TARGET_NAME), dot, add, largest};

}  // namespace sinter
