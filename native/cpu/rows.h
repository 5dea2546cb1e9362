// What methods need of whole rows, the vectors along the last dimension, before anything else: della's masks and
// arcee_fusion's divergences.
#pragma once

#include <algorithm>
#include <vector>

#include "chunks.h"
#include "gather.h"
#include "rank-row.h"

SINTER_KERNEL_NAMESPACE_BEGIN

/// Widens `n` elements of one input, however many.
template <class Work>
void load_row(const Job& job, int input, uint64_t begin, uint64_t n, Work* to) {
  for (uint64_t i = 0; i < n; i += kChunk) {
    const uint32_t count = static_cast<uint32_t>(n - i < kChunk ? n - i : kChunk);
    load_elements(job, input, begin + i, count, to + i);
  }
}

/// della's limits by rank, for rows of one length and one model.
template <class Method>
std::vector<uint32_t> ranked_limits(const Job& job, int input) {
  std::vector<uint32_t> limits(job.columns);
  for (uint64_t rank = 0; rank < job.columns; rank++) {
    limits[rank] = ranked_limit(Method::number(job, input, 1), Method::number(job, input, 2), rank, job.columns);
  }
  return limits;
}

/// Which elements of one row are kept, as bytes.
template <class Work>
void mask_row(const Job& job, int input, uint64_t row, const std::vector<uint32_t>& limits, RankRoom& room,
              std::vector<Work>& values, std::vector<uint32_t>& words, uint8_t* mask) {
  using Bits = typename BitsOf<Work>::type;
  const uint64_t n = job.columns;
  const uint64_t begin = row * n;
  values.resize(2 * n);
  load_row(job, 0, begin, n, values.data());
  load_row(job, input, begin, n, values.data() + n);
  // Chunks of random words start at multiples of kChunk: the row lies somewhere in them.
  const uint64_t first = begin / kChunk * kChunk;
  words.resize((begin + n - first + kChunk - 1) / kChunk * kChunk);
  for (uint64_t at = 0; at < words.size(); at += kChunk) random_chunk(job, input, first + at, words.data() + at);
  Bits* const bits = reinterpret_cast<Bits*>(values.data());
  const Work* const base = values.data();
  const Work* const x = values.data() + n;
  for (uint64_t i = 0; i < n; i++) bits[i] = difference_magnitude<Work>(base[i], x[i]);
  rank_row<Bits>(bits, words.data() + (begin - first), static_cast<uint32_t>(n), limits.data(), room, mask);
}

template <class Method>
bool make_mask_room(Job& job, Budget& budget) {
  uint64_t models = 0;
  for (int k = 0; k < job.inputs; k++) models += Method::needs_words(job, k) ? 1 : 0;
  const uint64_t words = job.count / 64 + 1;
  if (models == 0 || !budget.take(models * words * 8)) return false;
  job.taken = models * words * 8;
  job.masks.resize(static_cast<size_t>(job.inputs));
  for (int k = 0; k < job.inputs; k++) {
    if (Method::needs_words(job, k)) job.masks[static_cast<size_t>(k)].assign(words + kChunk / 64, 0);
  }
  return true;
}

template <class Method, class Work>
void prepare_masks_of(Job& job, uint64_t begin, uint64_t end) {
  RankRoom room(job.columns);
  std::vector<Work> values;
  std::vector<uint32_t> words;
  std::vector<uint8_t> mask(job.columns);
  for (int k = 0; k < job.inputs; k++) {
    if (!Method::needs_words(job, k)) continue;
    const std::vector<uint32_t> limits = ranked_limits<Method>(job, k);
    std::vector<uint64_t>& to = job.masks[static_cast<size_t>(k)];
    for (uint64_t row = begin; row < end; row++) {
      mask_row<Work>(job, k, row, limits, room, values, words, mask.data());
      uint64_t element = row * job.columns;
      for (uint64_t i = 0; i < job.columns; i++, element++) {
        to[element / 64] |= static_cast<uint64_t>(mask[i]) << (element % 64);
      }
    }
  }
}

template <class Method>
void prepare_masks(Job& job, Scratch&, uint64_t begin, uint64_t end) {
  job.wide ? prepare_masks_of<Method, double>(job, begin, end) : prepare_masks_of<Method, float>(job, begin, end);
}

/// A chunk's mask where none is kept: rows are ranked again, the last one is remembered.
template <class Method>
void rows_mask_chunk(const Job& job, Scratch& scratch, int input, uint64_t begin, uint32_t n, uint16_t* to) {
  if (scratch.masks_of != job.id) {
    scratch.masks_of = job.id;
    scratch.row_masks.assign(kMaxInputs, {});
    scratch.row_of_mask.assign(kMaxInputs, UINT64_MAX);
  }
  std::vector<uint8_t>& mask = scratch.row_masks[static_cast<size_t>(input)];
  uint64_t& at_hand = scratch.row_of_mask[static_cast<size_t>(input)];
  for (uint32_t i = 0; i < n;) {
    const uint64_t row = (begin + i) / job.columns;
    const uint64_t column = (begin + i) % job.columns;
    if (row != at_hand) {
      RankRoom room(job.columns);
      std::vector<uint32_t> words;
      mask.resize(job.columns);
      const std::vector<uint32_t> limits = ranked_limits<Method>(job, input);
      if (job.wide) {
        std::vector<double> values;
        mask_row<double>(job, input, row, limits, room, values, words, mask.data());
      } else {
        std::vector<float> values;
        mask_row<float>(job, input, row, limits, room, values, words, mask.data());
      }
      at_hand = row;
    }
    const uint32_t count = static_cast<uint32_t>(std::min<uint64_t>(job.columns - column, n - i));
    for (uint32_t j = 0; j < count; j++) to[i + j] = mask[column + j];
    i += count;
  }
}

template <class Method, class Work>
void prepare_divergences_of(Job& job, uint64_t begin, uint64_t end) {
  std::vector<Work> values(2 * job.columns);
  std::vector<double> room(2 * job.columns);
  for (uint64_t row = begin; row < end; row++) {
    load_row(job, 0, row * job.columns, job.columns, values.data());
    load_row(job, 1, row * job.columns, job.columns, values.data() + job.columns);
    job.table[row] =
        Method::template divergence<Work>(values.data(), values.data() + job.columns, job.columns, room.data());
  }
}

template <class Method>
void prepare_divergences(Job& job, Scratch&, uint64_t begin, uint64_t end) {
  job.wide ? prepare_divergences_of<Method, double>(job, begin, end)
           : prepare_divergences_of<Method, float>(job, begin, end);
}

SINTER_KERNEL_NAMESPACE_END
