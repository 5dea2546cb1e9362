// Random numbers of a stream, chunk by chunk. Normal ones by the method of G. Box and M. Muller ("A note on the
// generation of random normal deviates", 1958): of two uniform words u and v, sqrt(-2 log u) sin(2 pi v) and
// sqrt(-2 log u) cos(2 pi v). Words lie in the middle of 2^32 equal intervals of (0, 1), so that log never meets 0.
#pragma once

#include <cmath>

#include "../numeric/exponential.h"
#include "../numeric/trigonometry.h"
#include "chunks.h"

SINTER_KERNEL_NAMESPACE_BEGIN

SINTER_HD double unit_interval(uint32_t word) { return (static_cast<double>(word) + 0.5) * 0x1p-32; }

/// kChunk standard normal numbers, those of elements [begin, begin + kChunk); `begin` is a multiple of kChunk.
inline void normal_chunk(uint64_t key, uint32_t stream, uint64_t begin, double* __restrict to) {
  uint32_t words[kChunk];
  random_words(key, stream, begin, words);
  for (uint32_t i = 0; i < kChunk; i += 2) {
    const double radius = std::sqrt(-2.0 * logarithm(unit_interval(words[i])));
    const double angle = 2.0 * kPi * (unit_interval(words[i + 1]) - 0.5);
    to[i] = radius * sine(angle);
    to[i + 1] = radius * sine(angle + kPi / 2.0);
  }
}

SINTER_KERNEL_NAMESPACE_END
