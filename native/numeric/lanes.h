// Several elements side by side, for sums that the compiler does not vectorise by itself: an element function that is a
// template of its value type runs on whole groups of lanes. Each instruction set splits a group into its own registers;
// every lane holds what scalar code would have computed.
#pragma once

#include <cstdint>
#include <cstring>

#include "convert.h"
#include "target.h"

SINTER_KERNEL_NAMESPACE_BEGIN

/// Elements that CPU code takes side by side: one register of AVX-512, two of AVX2.
constexpr int kLanes = 8;

/// The leaf of the fixed tree of sums: of each kSumChunk elements, element i belongs to lane i mod kSumLanes. Each lane is
/// added up in the order of its elements, lanes are added as a tree (16, 8, 4, 2, 1), chunks in their order, up to
/// kSumBlock elements. As many lanes as a GPU's warp has, so that a warp takes a chunk and reads memory in order; a CPU
/// takes kLanes of them at a time. Results depend on both numbers.
constexpr int kSumLanes = 32;
constexpr uint32_t kSumChunk = 1024;

/// The scalar type of a value: one of its lanes, or itself.
template <class Value>
struct LaneOf {
  using type = Value;
};

SINTER_HD double to_double(float x) { return x; }
SINTER_HD double to_double(double x) { return x; }

/// The sum of kSumLanes lanes; overwrites them.
SINTER_HD double fold_lanes(double* lanes) {
  for (int step = kSumLanes / 2; step > 0; step /= 2) {
    for (int lane = 0; lane < step; lane++) lanes[lane] += lanes[lane + step];
  }
  return lanes[0];
}

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

/// 0, 1, 2 and so on.
SINTER_HD IndexLanes first_lanes() {
  IndexLanes index;
  for (int lane = 0; lane < kLanes; lane++) index[lane] = lane;
  return index;
}

SINTER_HD DoubleLanes to_double(DoubleLanes x) { return x; }
SINTER_HD DoubleLanes to_double(FloatLanes x) { return __builtin_convertvector(x, DoubleLanes); }

/// Words of a mask, stored in 16 bits.
template <class Group>
SINTER_HD Group load_mask_words(const uint16_t* from) {
  return __builtin_convertvector(load_lanes<HalfwordLanes>(from), Group);
}

#endif

/// Float64 beside a value: as many lanes as it has.
template <class Value>
using DoubleOf = decltype(to_double(Value{}));

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
