// Several elements side by side, for sums that the compiler does not vectorise by itself: an element function that is a
// template of its value type runs on whole groups of lanes. Each instruction set splits a group into its own registers;
// every lane holds what scalar code would have computed.
#pragma once

#include <cstdint>
#include <cstring>

#include "target.h"

SINTER_KERNEL_NAMESPACE_BEGIN

/// Lanes of a partial sum: element i of a block belongs to lane i mod kLanes. Results depend on it.
constexpr int kLanes = 8;

SINTER_HD double to_double(float x) { return x; }
SINTER_HD double to_double(double x) { return x; }

#if !defined(__CUDACC__)

typedef double DoubleLanes __attribute__((vector_size(8 * kLanes)));
typedef float FloatLanes __attribute__((vector_size(4 * kLanes)));
typedef uint16_t HalfwordLanes __attribute__((vector_size(2 * kLanes)));
typedef uint32_t WordLanes __attribute__((vector_size(4 * kLanes)));

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

#endif

SINTER_KERNEL_NAMESPACE_END
