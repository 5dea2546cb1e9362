// Philox4x32-10 over many counters at once, one counter per 64-bit lane; the same words as numeric/philox.h.
//
// The one place with intrinsics: compilers do not turn the 32 x 32 -> 64 bit product of 64-bit lanes into the single
// instruction that every x86 level has for it, and random masks were then the slowest part of a merge (1.75 ns a word
// against 0.26 on AVX-512).
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "../numeric/philox.h"

SINTER_KERNEL_NAMESPACE_BEGIN

#if defined(__AVX512F__)
constexpr int kLaneBytes = 64;
#elif defined(__AVX2__)
constexpr int kLaneBytes = 32;
#else
constexpr int kLaneBytes = 16;
#endif
typedef uint64_t Lanes __attribute__((vector_size(kLaneBytes)));
constexpr uint32_t kCounters = kLaneBytes / 8;

/// Product of the low 32 bits of each lane; the high bits are ignored.
SINTER_HD Lanes multiply_low(Lanes a, Lanes b) {
#if defined(__AVX512F__)
  return (Lanes)_mm512_mul_epu32((__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
  return (Lanes)_mm256_mul_epu32((__m256i)a, (__m256i)b);
#elif defined(__x86_64__)
  return (Lanes)_mm_mul_epu32((__m128i)a, (__m128i)b);
#else
  return (a & 0xFFFFFFFFu) * (b & 0xFFFFFFFFu);
#endif
}

/// Words of counters (low + j, high, stream, level), j in [0, kCounters): `first` gets words 0 and 1 of each, `second` 2 and 3.
SINTER_HD void philox_lanes(uint32_t low, uint32_t high, uint32_t stream, uint32_t level, uint32_t k0, uint32_t k1,
                            uint64_t* first, uint64_t* second) {
  const Lanes zero = {};
  Lanes c0 = zero;
  for (uint32_t j = 0; j < kCounters; j++) c0[j] = low + j;
  Lanes c1 = zero + high;
  Lanes c2 = zero + stream;
  Lanes c3 = zero + level;
  const Lanes m0 = zero + 0xD2511F53u;
  const Lanes m1 = zero + 0xCD9E8D57u;
  for (int round = 0; round < 10; round++) {
    const Lanes p0 = multiply_low(c0, m0);
    const Lanes p1 = multiply_low(c2, m1);
    // What gathers above the low 32 bits of a lane is never read: products ignore it.
    const Lanes n0 = (p1 >> 32) ^ c1 ^ static_cast<uint64_t>(k0);
    const Lanes n2 = (p0 >> 32) ^ c3 ^ static_cast<uint64_t>(k1);
    c1 = p1;
    c3 = p0;
    c0 = n0;
    c2 = n2;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  const Lanes words01 = (c0 & 0xFFFFFFFFu) | (c1 << 32);
  const Lanes words23 = (c2 & 0xFFFFFFFFu) | (c3 << 32);
  memcpy(first, &words01, sizeof(Lanes));
  memcpy(second, &words23, sizeof(Lanes));
}

SINTER_KERNEL_NAMESPACE_END
