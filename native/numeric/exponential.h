// exp and log in double precision, the same bits on every machine: libm's differ between CPUs and versions.
// Only +, -, *, / and integer operations are used, without branches, so that loops over them vectorise.
// Errors stay below 4e-16 relative (exp) and 4e-16 relative or 1e-16 absolute (log).
#pragma once

#include <cmath>
#include <cstdint>

#include "convert.h"
#include "target.h"

SINTER_KERNEL_NAMESPACE_BEGIN

/// exp(x) for x in [-700, 700]; below, the value at -700, which is as good as zero for sums of terms near one.
SINTER_HD double exponential(double x) {
  constexpr double kLog2e = 1.4426950408889634;
  constexpr double kLn2High = 6.93147180369123816490e-01;  // the first 33 bits of ln 2: products with k are exact
  constexpr double kLn2Low = 1.90821492927058770002e-10;
  constexpr double kShift = 6755399441055744.0;  // 1.5 * 2^52: adding it rounds to a whole number, kept in the low bits
  x = x < -700.0 ? -700.0 : x;
  x = x > 700.0 ? 700.0 : x;
  const double shifted = x * kLog2e + kShift;
  const double k = shifted - kShift;
  const double r = (x - k * kLn2High) - k * kLn2Low;
  // Taylor series to r^13; |r| <= ln(2) / 2.
  double sum = 1.0 / 6227020800.0;
  sum = sum * r + 1.0 / 479001600.0;
  sum = sum * r + 1.0 / 39916800.0;
  sum = sum * r + 1.0 / 3628800.0;
  sum = sum * r + 1.0 / 362880.0;
  sum = sum * r + 1.0 / 40320.0;
  sum = sum * r + 1.0 / 5040.0;
  sum = sum * r + 1.0 / 720.0;
  sum = sum * r + 1.0 / 120.0;
  sum = sum * r + 1.0 / 24.0;
  sum = sum * r + 1.0 / 6.0;
  sum = sum * r + 0.5;
  sum = sum * r + 1.0;
  sum = sum * r + 1.0;
  const uint64_t exponent = bits_as<uint64_t>(shifted) << 52;  // k in the low bits, as an exponent
  return bits_as<double>(bits_as<uint64_t>(sum) + exponent);
}

/// log(x) for normal x > 0. NaN and what is not positive give a meaningless number.
SINTER_HD double logarithm(double x) {
  constexpr double kLn2High = 6.93147180369123816490e-01;
  constexpr double kLn2Low = 1.90821492927058770002e-10;
  const uint64_t bits = bits_as<uint64_t>(x);
  // Mantissa in [sqrt(1/2), sqrt(2)): the bits of sqrt(1/2) are taken off before the exponent is read.
  const uint64_t offset = bits - 0x3FE6A09E667F3BCDull;
  const uint64_t mantissa_bits = bits - (offset & 0xFFF0000000000000ull);
  // The exponent as a double without a conversion of 64-bit integers, which AVX2 lacks.
  const uint64_t biased = (offset >> 52) ^ 0x800;  // + 2048, modulo 2^12
  const double k = bits_as<double>(0x4330000000000000ull | biased) - (4503599627370496.0 + 2048.0);
  const double m = bits_as<double>(mantissa_bits);
  // log m = 2 atanh(s), s = (m - 1) / (m + 1), |s| <= 0.1716; series to s^21.
  const double s = (m - 1.0) / (m + 1.0);
  const double z = s * s;
  double sum = 1.0 / 21.0;
  sum = sum * z + 1.0 / 19.0;
  sum = sum * z + 1.0 / 17.0;
  sum = sum * z + 1.0 / 15.0;
  sum = sum * z + 1.0 / 13.0;
  sum = sum * z + 1.0 / 11.0;
  sum = sum * z + 1.0 / 9.0;
  sum = sum * z + 1.0 / 7.0;
  sum = sum * z + 1.0 / 5.0;
  sum = sum * z + 1.0 / 3.0;
  const double tail = 2.0 * s * z * sum;
  return k * kLn2High + (2.0 * s + (tail + k * kLn2Low));
}

SINTER_KERNEL_NAMESPACE_END
