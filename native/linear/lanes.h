// Vector registers of the target at hand: how many floats one holds, and the transposition of a square of them.
#pragma once

#include <cstdint>

#include "../numeric/target.h"

SINTER_KERNEL_NAMESPACE_BEGIN

// Floats of one register; rows and registers of the tile of C that stays in registers: as many sums as hide the latency
// of a multiply-add, with room for the operands.
#if defined(__AVX512F__)
constexpr int kLanes = 16, kTileRows = 12, kTileVectors = 2;
#elif defined(__AVX2__)
constexpr int kLanes = 8, kTileRows = 6, kTileVectors = 2;
#elif defined(__aarch64__)
constexpr int kLanes = 4, kTileRows = 8, kTileVectors = 3;
#else
constexpr int kLanes = 4, kTileRows = 4, kTileVectors = 2;
#endif
constexpr int kTileColumns = kLanes * kTileVectors;

typedef float Lanes __attribute__((vector_size(4 * kLanes)));
typedef float LooseLanes __attribute__((vector_size(4 * kLanes), aligned(4), may_alias));
typedef int32_t LaneIndex __attribute__((vector_size(4 * kLanes)));

SINTER_HD Lanes load(const float* from) { return *reinterpret_cast<const LooseLanes*>(from); }
SINTER_HD void store(float* to, Lanes value) { *reinterpret_cast<LooseLanes*>(to) = value; }

/// Lane l of the result is lane index[l] of `a` and `b` laid end to end.
SINTER_HD Lanes pick(Lanes a, Lanes b, LaneIndex index) {
#if defined(__clang__)
  Lanes result;
  for (int l = 0; l < kLanes; l++) result[l] = index[l] < kLanes ? a[index[l]] : b[index[l] - kLanes];
  return result;
#else
  return __builtin_shuffle(a, b, index);
#endif
}

/// Transposes in place: exchanges the off-diagonal halves of ever larger squares.
SINTER_HD void transpose(Lanes (&x)[kLanes]) {
#pragma GCC unroll 4
  for (int half = 1; half < kLanes; half *= 2) {
    LaneIndex upper, lower;
#pragma GCC unroll 16
    for (int l = 0; l < kLanes; l++) {
      upper[l] = (l & half) != 0 ? kLanes + l - half : l;
      lower[l] = (l & half) != 0 ? kLanes + l : l + half;
    }
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; i++) {
      if ((i & half) != 0) continue;
      const Lanes a = x[i], b = x[i + half];
      x[i] = pick(a, b, upper);
      x[i + half] = pick(a, b, lower);
    }
  }
}

SINTER_KERNEL_NAMESPACE_END
