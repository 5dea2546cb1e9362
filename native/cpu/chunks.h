// Chunks of elements that fit the first-level cache: inputs are widened into them, random words made for them, results
// narrowed out of them. Loops are plain and branch-free; the compiler vectorises them.
#pragma once

#include <cstring>

#include "../engine/kernel.h"
#include "../numeric/convert.h"
#include "patch.h"
#include "philox-lanes.h"

SINTER_KERNEL_NAMESPACE_BEGIN

constexpr uint32_t kChunk = 1024;

// ---- stored bytes to work type and back ----

/// Widens `n` elements from bytes of any alignment. @returns whether one is a NaN or an infinity.
template <class D, class Work>
bool widen_chunk(const std::byte* from, uint32_t n, Work* __restrict to) {
  using Stored = typename D::Stored;
  uint32_t found = 0;
  for (uint32_t i = 0; i < n; i++) {
    Stored bits;
    memcpy(&bits, from + i * sizeof(Stored), sizeof(Stored));
    found |= (bits & D::kExponent) == D::kExponent ? 1u : 0u;
    to[i] = widen<D, Work>(bits);
  }
  return found != 0;
}

template <class Work>
bool widen_chunk(Dtype dtype, const std::byte* from, uint32_t n, Work* to) {
  switch (dtype) {
    case Dtype::F64:
      return widen_chunk<F64>(from, n, to);
    case Dtype::F32:
      return widen_chunk<F32>(from, n, to);
    case Dtype::F16:
      return widen_chunk<F16>(from, n, to);
    default:
      return widen_chunk<BF16>(from, n, to);
  }
}

template <class D, class Work>
void narrow_chunk(const Work* __restrict from, uint32_t n, std::byte* __restrict to) {
  using Stored = typename D::Stored;
  for (uint32_t i = 0; i < n; i++) {
    const Stored bits = narrow<D>(from[i]);
    memcpy(to + i * sizeof(Stored), &bits, sizeof(Stored));
  }
}

template <class Work>
void narrow_chunk(Dtype dtype, const Work* from, uint32_t n, std::byte* to) {
  switch (dtype) {
    case Dtype::F64:
      return narrow_chunk<F64>(from, n, to);
    case Dtype::F32:
      return narrow_chunk<F32>(from, n, to);
    case Dtype::F16:
      return narrow_chunk<F16>(from, n, to);
    default:
      return narrow_chunk<BF16>(from, n, to);
  }
}

template <class D>
bool any_non_finite(const std::byte* data, uint64_t count) {
  using Stored = typename D::Stored;
  for (uint64_t begin = 0; begin < count; begin += kChunk) {
    const uint32_t n = static_cast<uint32_t>(count - begin < kChunk ? count - begin : kChunk);
    uint32_t found = 0;
    for (uint32_t i = 0; i < n; i++) {
      Stored bits;
      memcpy(&bits, data + (begin + i) * sizeof(Stored), sizeof(Stored));
      found |= (bits & D::kExponent) == D::kExponent ? 1u : 0u;
    }
    if (found != 0) return true;
  }
  return false;
}

inline bool has_non_finite(const std::byte* data, Dtype dtype, uint64_t count) {
  switch (dtype) {
    case Dtype::F64:
      return any_non_finite<F64>(data, count);
    case Dtype::F32:
      return any_non_finite<F32>(data, count);
    case Dtype::F16:
      return any_non_finite<F16>(data, count);
    case Dtype::BF16:
      return any_non_finite<BF16>(data, count);
    default:
      return false;
  }
}

// ---- chunks of inputs and of random numbers; input k stands at k * kChunk ----

template <class Work>
Work* input_room(Scratch& scratch, int inputs) {
  const size_t bytes = static_cast<size_t>(inputs + 1) * kChunk * sizeof(Work);
  if (scratch.inputs.size() < bytes) scratch.inputs.resize(bytes);
  return reinterpret_cast<Work*>(scratch.inputs.data());
}

/// Random words of one chunk of a stream, kChunk of them whatever is used; `begin` is a multiple of kChunk.
inline void random_words(uint64_t key, uint32_t stream, uint64_t begin, uint32_t* __restrict to) {
  constexpr uint32_t blocks = kChunk / 4;
  uint64_t first[blocks];
  uint64_t second[blocks];
  const uint64_t counter = begin / 4;
  const uint32_t low =
      static_cast<uint32_t>(counter);  // does not overflow within a chunk: it starts at a multiple of one
  for (uint32_t j = 0; j < blocks; j += kCounters) {
    philox_lanes(low + j, static_cast<uint32_t>(counter >> 32), stream, 0, static_cast<uint32_t>(key),
                 static_cast<uint32_t>(key >> 32), first + j, second + j);
  }
  for (uint32_t j = 0; j < blocks; j++) {
    memcpy(to + 4 * j, first + j, 8);
    memcpy(to + 4 * j + 2, second + j, 8);
  }
}

/// The 16-bit numbers of one chunk of a random mask (numeric/philox.h), kChunk of them; `begin` is a multiple of kChunk.
inline void mask_numbers(const Job& job, int input, uint64_t begin, uint32_t level, uint16_t* to) {
  static_assert(kChunk == kMaskChunk);
  constexpr uint32_t blocks = kMaskChunk / 8;
  uint64_t lanes[2 * blocks];
  const uint64_t counter = begin / 8;
  // The low half does not overflow within a chunk: it starts at a multiple of one.
  for (uint32_t j = 0; j < blocks; j += kCounters) {
    philox_lanes(static_cast<uint32_t>(counter) + j, static_cast<uint32_t>(counter >> 32), job.input[input].stream,
                 level, static_cast<uint32_t>(job.key), static_cast<uint32_t>(job.key >> 32), lanes + j,
                 lanes + blocks + j);
  }
  memcpy(to, lanes, sizeof(lanes));
}

/// Both levels of each number at once, as words of 32 bits: for limits that differ from element to element.
inline void random_chunk(const Job& job, int input, uint64_t begin, uint32_t* __restrict to) {
  uint16_t high[kChunk];
  uint16_t low[kChunk];
  mask_numbers(job, input, begin, 0, high);
  mask_numbers(job, input, begin, 1, low);
  for (uint32_t i = 0; i < kChunk; i++) to[i] = static_cast<uint32_t>(high[i]) << 16 | low[i];
}

/// Numbers of a chunk that keep an element where they are at most `kept_below(limit)`: where one equals the upper half of
/// the limit it is replaced by one that says what the lower half decides.
inline void random_mask_chunk(const Job& job, int input, uint64_t begin, uint32_t n, uint32_t limit, uint16_t* to) {
  mask_numbers(job, input, begin, 0, to);
  const uint32_t high = limit >> 16;
  const uint32_t low = limit & 0xFFFFu;
  if (low == 0) return;
  uint16_t equal = 0;
  for (uint32_t i = 0; i < kChunk; i++) equal |= to[i] == high ? 1 : 0;
  if (equal == 0) return;
  for (uint32_t i = 0; i < n; i++) {
    if (to[i] != high) continue;
    to[i] = static_cast<uint16_t>(settled_number(begin + i, job.input[input].stream, job.key, limit));
  }
}

SINTER_KERNEL_NAMESPACE_END
