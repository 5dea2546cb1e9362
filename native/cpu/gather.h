// Reads elements of a gathered input: row by row from wherever each lies.
// The mean of several rows is a float64 sum in the order of the list, divided and rounded to the work type once.
#pragma once

#include <algorithm>

#include "../engine/gather.h"
#include "chunks.h"

SINTER_KERNEL_NAMESPACE_BEGIN

/// Part of one row, at most kChunk elements. @returns whether a NaN or an infinity was read.
template <class Work>
bool gather_mixed(const RowGather& gather, const int32_t* mix, uint64_t column, uint32_t n, Work* to) {
  double sum[kChunk] = {};
  double part[kChunk];
  bool non_finite = false;
  for (int32_t m = 1; m <= mix[0]; m++) {
    const RowPiece piece = gather.at(mix[m]);
    non_finite |= widen_chunk<double>(piece.dtype, piece.data + column * element_size(piece.dtype), n, part);
    for (uint32_t i = 0; i < n; i++) sum[i] += part[i];
  }
  const double count = static_cast<double>(mix[0]);
  for (uint32_t i = 0; i < n; i++) to[i] = static_cast<Work>(sum[i] / count);
  return non_finite;
}

template <class Work>
bool gather_part(const RowGather& gather, uint64_t row, uint64_t column, uint32_t n, Work* to) {
  const int32_t code = gather.rows[row];
  if (code >= 0) {
    const RowPiece piece = gather.at(code);
    return widen_chunk(piece.dtype, piece.data + column * element_size(piece.dtype), n, to);
  }
  if (code == RowGather::kZeros) {
    for (uint32_t i = 0; i < n; i++) to[i] = Work{0};
    return false;
  }
  if (code == RowGather::kMean) {
    for (uint32_t i = 0; i < n; i++) to[i] = static_cast<Work>(gather.mean[column + i]);
    return false;
  }
  return gather_mixed(gather, gather.mixes.data() + (RowGather::kMixed - code), column, n, to);
}

/// Widens elements [begin, begin + n) of the gathered tensor; n is at most kChunk.
template <class Work>
bool gather_chunk(const RowGather& gather, uint64_t begin, uint32_t n, Work* to) {
  bool non_finite = false;
  uint64_t row = begin / gather.width;
  uint64_t column = begin % gather.width;
  for (uint32_t i = 0; i < n; row++, column = 0) {
    const uint32_t count = static_cast<uint32_t>(std::min<uint64_t>(gather.width - column, n - i));
    non_finite |= gather_part(gather, row, column, count, to + i);
    i += count;
  }
  return non_finite;
}

/// Adds rows [begin, end) to `sums`, one sum per column, row after row; rows that stand for the mean are left out.
inline void add_rows(const RowGather& gather, uint64_t begin, uint64_t end, double* sums) {
  double part[kChunk];
  for (uint64_t row = begin; row < end; row++) {
    if (gather.rows[row] == RowGather::kMean) continue;
    for (uint64_t column = 0; column < gather.width; column += kChunk) {
      const uint32_t n = static_cast<uint32_t>(std::min<uint64_t>(kChunk, gather.width - column));
      gather_part(gather, row, column, n, part);
      for (uint32_t i = 0; i < n; i++) sums[column + i] += part[i];
    }
  }
}

/// Widens `n` elements of an input from element `begin` on, wherever they lie, n <= kChunk, and applies the input's
/// patches. @returns whether one is a NaN or an infinity.
template <class Work>
bool load_elements(const Job& job, int input, uint64_t begin, uint32_t n, Work* to) {
  const InputSpan& span = job.input[input];
  if (span.gather != nullptr) return gather_chunk(*span.gather, begin, n, to);
  std::byte strided[kChunk * sizeof(uint64_t)];
  bool found = widen_chunk(span.dtype, elements_of(span, begin, n, strided), n, to);
  if (span.patches != nullptr) found |= apply_patches(job, *span.patches, begin, n, to);
  return found;
}

/// One chunk of one input, at its place in the room for inputs.
template <class Work>
bool load_input(const Job& job, int input, uint64_t begin, uint32_t n, Work* room) {
  return load_elements(job, input, begin, n, room + input * kChunk);
}

SINTER_KERNEL_NAMESPACE_END
