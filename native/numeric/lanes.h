// Several elements side by side, for sums that the compiler does not vectorise by itself: an element function that is a
// template of its value type runs on whole groups of lanes. Each instruction set splits a group into its own registers;
// every lane holds what scalar code would have computed.
#pragma once

#include <cstdint>
#include <cstring>

#include "convert.h"
#include "target.h"

SINTER_KERNEL_NAMESPACE_BEGIN

/// Lanes of a partial sum: element i of a block belongs to lane i mod kLanes. Results depend on it.
constexpr int kLanes = 8;

/// The scalar type of a value: one of its lanes, or itself.
template <class Value>
struct LaneOf {
  using type = Value;
};

SINTER_HD double to_double(float x) { return x; }
SINTER_HD double to_double(double x) { return x; }

#if !defined(__CUDACC__)

typedef double DoubleLanes __attribute__((vector_size(8 * kLanes)));
typedef float FloatLanes __attribute__((vector_size(4 * kLanes)));
typedef uint16_t HalfwordLanes __attribute__((vector_size(2 * kLanes)));
typedef uint32_t WordLanes __attribute__((vector_size(4 * kLanes)));

typedef int32_t IndexLanes __attribute__((vector_size(4 * kLanes)));

template <>
struct LaneOf<FloatLanes> {
  using type = float;
};
template <>
struct LaneOf<DoubleLanes> {
  using type = double;
};
template <>
struct BitsOf<FloatLanes> {
  using type = WordLanes;
};

template <class Work>
struct LanesOf {
  using type = DoubleLanes;
};
template <>
struct LanesOf<float> {
  using type = FloatLanes;
};

template <class Group, class Work>
SINTER_HD Group load_lanes(const Work* from) {
  Group group;
  memcpy(&group, from, sizeof(Group));
  return group;
}

SINTER_HD DoubleLanes to_double(DoubleLanes x) { return x; }
SINTER_HD DoubleLanes to_double(FloatLanes x) { return __builtin_convertvector(x, DoubleLanes); }

/// Words of a mask, stored in 16 bits.
template <class Group>
SINTER_HD Group load_mask_words(const uint16_t* from) {
  return __builtin_convertvector(load_lanes<HalfwordLanes>(from), Group);
}

#endif

/// Whether an element function runs on whole groups of lanes: its value type is a template parameter of its call.
template <class Function>
constexpr bool kLanewise = [] {
  if constexpr (requires { Function::kLanewise; }) {
    return Function::kLanewise;
  } else {
    return false;
  }
}();

SINTER_KERNEL_NAMESPACE_END
