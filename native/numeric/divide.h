// Division of numbers that are known to lie far from the ends of float's range. A GPU's own looks at each numerator and
// divisor, and calls a function for zeros and whatever else needs it; until then a thread does not begin its next element.
#pragma once

#include <cstdint>

#include "target.h"

SINTER_KERNEL_NAMESPACE_BEGIN

/// What `quick_quotient` divides by.
constexpr double kLeastQuickDivisor = 0x1p-32;
constexpr double kMostQuickDivisor = 0x1p32;
/// The largest magnitude that it divides, and the least besides 0.
constexpr float kMostQuickNumerator = 0x1p60f;
constexpr float kLeastQuickNumerator = 0x1p-60f;

/// x / d, rounded once, of an `x` that is no -0. @param right turns false where it is not that, as `x` is too small. On a GPU
/// these are the steps that its compiler's division takes of such numbers: an approximate reciprocal, improved once, and a
/// remainder (P. Markstein: "Computation of elementary functions on the IBM RISC System/6000 processor", IBM J. Res. Dev.
/// 34(1), 1990).
template <class Work>
SINTER_HD Work quick_quotient(Work x, Work d, [[maybe_unused]] bool& right) {
#if defined(__CUDA_ARCH__)
  if constexpr (sizeof(Work) == 4) {
    float quotient;
    asm("{\n\t"
        ".reg .f32 minus, reciprocal, rest;\n\t"
        "neg.f32 minus, %2;\n\t"
        "rcp.approx.ftz.f32 reciprocal, %2;\n\t"
        "fma.rn.f32 rest, minus, reciprocal, 0f3F800000;\n\t"
        "fma.rn.f32 reciprocal, reciprocal, rest, reciprocal;\n\t"
        "mul.rn.f32 %0, %1, reciprocal;\n\t"
        "fma.rn.f32 rest, minus, %0, %1;\n\t"
        "fma.rn.f32 %0, reciprocal, rest, %0;\n\t"
        "}"
        : "=&f"(quotient)
        : "f"(x), "f"(d));
    // Twice the bits, less 1: the sign is gone, and 0 is largest.
    right &= 2 * __float_as_uint(x) - 1 >= 2 * __builtin_bit_cast(uint32_t, kLeastQuickNumerator) - 1;
    return quotient;
  }
#endif
  return x / d;
}

SINTER_KERNEL_NAMESPACE_END
