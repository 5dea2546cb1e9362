// What an element function reads besides its inputs: random words or masks, and the numbers of the element's group.
#pragma once

#include "chunks.h"
#include "gather.h"
#include "rows.h"

SINTER_KERNEL_NAMESPACE_BEGIN

// ---- words of elements ----

template <class Method>
constexpr bool kUsesWords = requires {
  Method::kRandom;
}
&&(
    requires { requires Method::kRandom; } || requires { requires Method::kRanked; });

/// Kept or not, as 1 or 0, from a mask of one bit per element; `begin` is a multiple of 64.
inline void mask_chunk(const std::vector<uint64_t>& mask, uint64_t begin, uint32_t n, uint16_t* __restrict to) {
  for (uint32_t i = 0; i < n; i += 64) {
    const uint64_t word = mask[(begin + i) / 64];
    for (uint32_t j = 0; j < 64; j++) to[i + j] = static_cast<uint16_t>(word >> j & 1);
  }
}

/// The words of each input that needs any: numbers of a random mask, or a mask.
template <class Method>
const uint16_t* load_words(const Job& job, Scratch& scratch, uint64_t begin, uint32_t n) {
  if constexpr (kUsesWords<Method>) {
    const size_t words = static_cast<size_t>(job.inputs) * kChunk;
    if (scratch.random.size() < words) scratch.random.resize(words);
    for (int k = 0; k < job.inputs; k++) {
      if (!Method::needs_words(job, k)) continue;
      uint16_t* const to = scratch.random.data() + k * kChunk;
      if constexpr (!Method::kRanked) {
        random_mask_chunk(job, k, begin, n, Method::limit(job, k), to);
      } else if (!job.masks.empty()) {
        mask_chunk(job.masks[static_cast<size_t>(k)], begin, n, to);
      } else {
        rows_mask_chunk<Method>(job, scratch, k, begin, n, to);
      }
    }
    return scratch.random.data();
  } else {
    return nullptr;
  }
}

// ---- numbers of groups, as further inputs behind the real ones ----

template <class Function>
constexpr int kExtraOf = [] {
  if constexpr (requires { Function::kExtra; }) {
    return Function::kExtra;
  } else {
    return 0;
  }
}();

/// Writes the numbers of each element's group; `room` is where those of number 0 go.
template <class Work>
void load_groups(const Job& job, const double* table, int extra, uint64_t begin, uint32_t n, Work* room) {
  if (job.grouping == Grouping::columns) {
    const uint64_t positions = job.groups();
    uint64_t position = begin % positions;
    for (uint32_t i = 0; i < n; i++) {
      for (int e = 0; e < extra; e++) room[e * kChunk + i] = static_cast<Work>(table[position * extra + e]);
      position = position + 1 == positions ? 0 : position + 1;
    }
    return;
  }
  uint64_t row = begin / job.columns;
  uint64_t left = job.columns - begin % job.columns;
  for (uint32_t i = 0; i < n; row++, left = job.columns) {
    const uint32_t count = static_cast<uint32_t>(left < n - i ? left : n - i);
    for (int e = 0; e < extra; e++) {
      const Work value = static_cast<Work>(table[row * extra + e]);
      for (uint32_t j = 0; j < count; j++) room[e * kChunk + i + j] = value;
    }
    i += count;
  }
}

SINTER_KERNEL_NAMESPACE_END
