// sin and acos in double precision, the same bits on every machine: libm's differ between CPUs and versions.
// Only +, -, *, / and sqrt are used, which IEEE 754 fixes. Errors stay below 1e-15 over the ranges given.
#pragma once

#include <cmath>

#include "target.h"

SINTER_KERNEL_NAMESPACE_BEGIN

constexpr double kPi = 3.14159265358979323846;

/// Taylor series of sin around 0, to x^21; for |x| <= pi / 2 the rest is below 2e-18.
SINTER_HD double sin_series(double x) {
  const double square = x * x;
  double term = x;
  double sum = x;
  for (int k = 1; k <= 10; k++) {
    term = -term * square / static_cast<double>(2 * k * (2 * k + 1));
    sum += term;
  }
  return sum;
}

/// sin(x) for x in [-2 pi, 2 pi] (absolute error); reduced by multiples of pi, whose low part is carried along.
SINTER_HD double sine(double x) {
  constexpr double kPiLow = 1.2246467991473532e-16;  // pi - kPi
  const double half_turns = std::floor(x / kPi + 0.5);
  const double reduced = (x - half_turns * kPi) - half_turns * kPiLow;
  const double value = sin_series(reduced);
  const double odd = half_turns - 2.0 * std::floor(half_turns / 2.0);
  return odd != 0.0 ? -value : value;
}

/// atan(x) for x >= 0, infinity included. Halving the angle twice brings the argument below 0.2, where the
/// series of atan, to x^23, is exact to the last place.
SINTER_HD double arctangent(double x) {
  const bool steep = x > 1.0;
  double y = steep ? 1.0 / x : x;
  for (int halving = 0; halving < 2; halving++) y = y / (1.0 + std::sqrt(1.0 + y * y));
  const double square = y * y;
  double power = y;
  double sum = y;
  for (int k = 1; k <= 12; k++) {
    power = -power * square;
    sum += power / static_cast<double>(2 * k + 1);
  }
  sum *= 4.0;
  return steep ? kPi / 2.0 - sum : sum;
}

/// acos(x) for x in [-1, 1]: 2 atan(sqrt((1 - x) / (1 + x))), which is accurate near both ends. NaN stays NaN.
SINTER_HD double arccosine(double x) { return 2.0 * arctangent(std::sqrt((1.0 - x) / (1.0 + x))); }

SINTER_KERNEL_NAMESPACE_END
