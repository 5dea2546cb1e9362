// Philox4x32-10, a counter-based random generator: any element's number is computed without those before it, so masks
// do not depend on threads, blocks or devices.
// J. Salmon, M. Moraes, R. Dror, D. Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
#pragma once

#include <cstdint>

#include "target.h"

SINTER_KERNEL_NAMESPACE_BEGIN

struct PhiloxBlock {
  uint32_t word[4];
};

constexpr uint32_t kPhiloxRounds = 10;
/// What the two halves of a key grow by from round to round.
constexpr uint32_t kPhiloxKey0 = 0x9E3779B9u;
constexpr uint32_t kPhiloxKey1 = 0xBB67AE85u;

SINTER_HD void philox_round(uint32_t (&c)[4], uint32_t k0, uint32_t k1) {
  const uint64_t p0 = static_cast<uint64_t>(0xD2511F53u) * c[0];
  const uint64_t p1 = static_cast<uint64_t>(0xCD9E8D57u) * c[2];
  c[0] = static_cast<uint32_t>(p1 >> 32) ^ c[1] ^ k0;
  c[2] = static_cast<uint32_t>(p0 >> 32) ^ c[3] ^ k1;
  c[1] = static_cast<uint32_t>(p1);
  c[3] = static_cast<uint32_t>(p0);
}

/// Four random words for a 128-bit counter and a 64-bit key.
SINTER_HD PhiloxBlock philox(uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3, uint32_t k0, uint32_t k1) {
  PhiloxBlock block{{c0, c1, c2, c3}};
  for (uint32_t round = 0; round < kPhiloxRounds; round++) {
    philox_round(block.word, k0 + round * kPhiloxKey0, k1 + round * kPhiloxKey1);
  }
  return block;
}

/// What a key becomes from round to round, for code that has it as constants: kept by who makes many words of one key.
struct PhiloxKeys {
  uint32_t first[kPhiloxRounds], second[kPhiloxRounds];

  PhiloxKeys() = default;
  SINTER_HD explicit PhiloxKeys(uint64_t key) {
    for (uint32_t round = 0; round < kPhiloxRounds; round++) {
      first[round] = static_cast<uint32_t>(key) + round * kPhiloxKey0;
      second[round] = static_cast<uint32_t>(key >> 32) + round * kPhiloxKey1;
    }
  }
};

/// The same words.
SINTER_HD PhiloxBlock philox(uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3, const PhiloxKeys& keys) {
  PhiloxBlock block{{c0, c1, c2, c3}};
  for (uint32_t round = 0; round < kPhiloxRounds; round++) {
    philox_round(block.word, keys.first[round], keys.second[round]);
  }
  return block;
}

// Random masks spend 16 bits an element: those of a chunk of kMaskChunk elements come from kMaskChunk / 8 counters, with
// words 0 and 1 of counter j in the first half of the chunk and words 2 and 3 in the second, as they lie in memory.
// An element is kept where its number lies below the upper half of `limit`; where the two are equal, the number at the
// same place with 1 as the counter's last word is compared with the lower half. So a probability counts to 32 bits, and
// costs 16.

constexpr uint32_t kMaskChunk = 1024;

/// The counter whose words hold the number of element `i`, and the first of the two words for its half of the chunk.
SINTER_HD uint64_t mask_counter(uint64_t i) { return i / kMaskChunk * (kMaskChunk / 8) + i % (kMaskChunk / 2) / 4; }
SINTER_HD uint32_t mask_words(uint64_t i) { return 2 * (static_cast<uint32_t>(i % kMaskChunk) / (kMaskChunk / 2)); }

/// Of the two words that hold the numbers of four elements, the number of the one at place `i` mod 4.
SINTER_HD uint32_t number_of_words(uint32_t first, uint32_t second, uint32_t i) {
  return (i % 4 < 2 ? first : second) >> (16 * (i % 2)) & 0xFFFFu;
}

/// The 16-bit number of element `i`; `level` 1 decides where that of level 0 equals the limit.
SINTER_HD uint32_t mask_number(uint64_t i, uint32_t level, uint32_t stream, uint64_t key) {
  const uint64_t counter = mask_counter(i);
  const PhiloxBlock block = philox(static_cast<uint32_t>(counter), static_cast<uint32_t>(counter >> 32), stream, level,
                                   static_cast<uint32_t>(key), static_cast<uint32_t>(key >> 32));
  const uint32_t words = mask_words(i);
  return number_of_words(block.word[words], block.word[words + 1], static_cast<uint32_t>(i));
}

/// What stands for a number that equals the upper half of `limit`, whose lower half is not 0: the lower number decides.
/// Kept ones are at most the upper half less 1, or 0 where that half is 0.
SINTER_HD uint32_t settled_number(uint64_t i, uint32_t stream, uint64_t key, uint32_t limit) {
  const bool kept = mask_number(i, 1, stream, key) < (limit & 0xFFFFu);
  const uint32_t high = limit >> 16;
  return kept ? 0u : high == 0 ? 0xFFFFu : high;
}

SINTER_KERNEL_NAMESPACE_END
