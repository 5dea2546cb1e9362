// One element between its stored form and the float or double that methods work in.
//
// Widening is exact. Narrowing rounds once, to nearest, ties to even; overflow gives infinity, subnormals are kept, and
// every NaN becomes one pattern per dtype (F64 0x7FF8000000000000, F32 0x7FC00000, F16 0x7E00, BF16 0x7FC0), because
// the payload of a computed NaN depends on the CPU. All branch-free, so that loops over it vectorise.
#pragma once

#include <cstdint>
#include <cstring>

#include "target.h"

SINTER_KERNEL_NAMESPACE_BEGIN

template <class To, class From>
SINTER_HD To bits_as(From value) {
  static_assert(sizeof(To) == sizeof(From));
  To result;
  memcpy(&result, &value, sizeof(To));
  return result;
}

/// The unsigned integer as wide as a work type: magnitudes compare as these.
template <class Work>
struct BitsOf;
template <>
struct BitsOf<float> {
  using type = uint32_t;
};
template <>
struct BitsOf<double> {
  using type = uint64_t;
};

// ---- stored form of each dtype; kExponent masks the bits that are all ones in infinities and NaNs ----

struct BF16 {
  using Stored = uint16_t;
  static constexpr Stored kExponent = 0x7F80;

  static SINTER_HD float widen(Stored bits) { return bits_as<float>(static_cast<uint32_t>(bits) << 16); }

  static SINTER_HD Stored narrow(float value) {
    const uint32_t bits = bits_as<uint32_t>(value);
    const uint32_t rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16;
    return static_cast<Stored>((bits & 0x7FFFFFFF) > 0x7F800000 ? 0x7FC0u : rounded);
  }
};

struct F16 {
  using Stored = uint16_t;
  static constexpr Stored kExponent = 0x7C00;

  static SINTER_HD float widen(Stored bits) {
    const uint32_t sign = static_cast<uint32_t>(bits & 0x8000) << 16;
    const uint32_t magnitude = bits & 0x7FFF;
    const uint32_t rebias = 112u << 23;  // 127 - 15
    const uint32_t normal = (magnitude << 13) + rebias + (magnitude >= 0x7C00 ? rebias : 0u);
    // A subnormal half is a multiple of 2^-24: placed in the mantissa of 2^-14, minus 2^-14, it is exact.
    const uint32_t anchored = (magnitude << 13) + (113u << 23);
    const float subnormal = bits_as<float>(anchored) - bits_as<float>(113u << 23);
    const uint32_t result = magnitude < 0x0400 ? bits_as<uint32_t>(subnormal) : normal;
    return bits_as<float>(result | sign);
  }

  static SINTER_HD Stored narrow(float value) {
    const uint32_t bits = bits_as<uint32_t>(value);
    const uint32_t sign = (bits >> 16) & 0x8000;
    const uint32_t magnitude = bits & 0x7FFFFFFF;
    // Below 2^-14 the unit is 2^-24, the last place of 0.5: the addition rounds, to nearest even.
    const float aligned = bits_as<float>(magnitude) + 0.5f;
    const uint32_t subnormal = bits_as<uint32_t>(aligned) - bits_as<uint32_t>(0.5f);
    const uint32_t normal = (magnitude - (112u << 23) + 0xFFF + ((magnitude >> 13) & 1)) >> 13;
    uint32_t result = magnitude < 0x38800000 ? subnormal : normal;
    result = magnitude >= 0x47800000 ? 0x7C00 : result;
    result |= sign;
    return static_cast<Stored>(magnitude > 0x7F800000 ? 0x7E00u : result);
  }
};

struct F32 {
  using Stored = uint32_t;
  static constexpr Stored kExponent = 0x7F800000;

  static SINTER_HD float widen(Stored bits) { return bits_as<float>(bits); }

  static SINTER_HD Stored narrow(float value) {
    const uint32_t bits = bits_as<uint32_t>(value);
    return (bits & 0x7FFFFFFF) > 0x7F800000 ? 0x7FC00000u : bits;
  }
};

struct F64 {
  using Stored = uint64_t;
  static constexpr Stored kExponent = 0x7FF0000000000000;

  static SINTER_HD double widen(Stored bits) { return bits_as<double>(bits); }

  static SINTER_HD Stored narrow(double value) {
    const uint64_t bits = bits_as<uint64_t>(value);
    return (bits & 0x7FFFFFFFFFFFFFFF) > 0x7FF0000000000000 ? 0x7FF8000000000000u : bits;
  }
};

/// `value` as a float that still rounds correctly to fewer bits: rounded to odd, so that no second rounding can tell.
SINTER_HD float round_to_odd(double value) {
  const float nearest = static_cast<float>(value);
  const double back = nearest;
  uint32_t bits = bits_as<uint32_t>(nearest);
  const uint64_t wanted = bits_as<uint64_t>(value) & 0x7FFFFFFFFFFFFFFF;
  const uint64_t got = bits_as<uint64_t>(back) & 0x7FFFFFFFFFFFFFFF;
  bits -= got > wanted ? 1u : 0u;  // towards zero
  bits |= got != wanted ? 1u : 0u;
  return value != value ? nearest : bits_as<float>(bits);
}

/// Stored to work type, exactly.
template <class D, class Work>
SINTER_HD Work widen(typename D::Stored bits) {
  return static_cast<Work>(D::widen(bits));
}

/// Work type to stored, rounded once.
template <class D>
SINTER_HD typename D::Stored narrow(float value) {
  if constexpr (sizeof(typename D::Stored) == 8) {
    return D::narrow(static_cast<double>(value));
  } else {
    return D::narrow(value);
  }
}

template <class D>
SINTER_HD typename D::Stored narrow(double value) {
  if constexpr (sizeof(typename D::Stored) == 2) {
    return D::narrow(round_to_odd(value));
  } else if constexpr (sizeof(typename D::Stored) == 4) {
    return D::narrow(static_cast<float>(value));
  } else {
    return D::narrow(value);
  }
}

/// The stored form of a dtype at any address: tensors in files need not be aligned.
template <class D>
struct Loose {
  typedef typename D::Stored Stored __attribute__((aligned(1)));
};

SINTER_KERNEL_NAMESPACE_END
