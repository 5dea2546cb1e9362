// Reads elements of a gathered input: row by row from wherever each lies, changed as the patches of its piece say.
// The mean of several rows is a float64 sum in the order of the list, divided and rounded to the work type once.
#pragma once

#include <algorithm>

#include "../engine/gather.h"
#include "chunks.h"

SINTER_KERNEL_NAMESPACE_BEGIN

/// Part of one stored row, at most kChunk elements. @returns whether one is a NaN or an infinity.
template <class Work>
bool load_row(const Job& job, const RowGather& gather, int32_t code, uint64_t column, uint32_t n, Work* to) {
  const GatheredRow row = gather.at(code);
  bool found = widen_chunk(row.dtype, row.data + column * element_size(row.dtype), n, to);
  if (row.patches != nullptr) found |= apply_patches(job, *row.patches, row.row * gather.width + column, n, to);
  return found;
}

template <class Work>
bool gather_mixed(const Job& job, const RowGather& gather, const int32_t* mix, uint64_t column, uint32_t n, Work* to) {
  double sum[kChunk] = {};
  Work part[kChunk];
  bool non_finite = false;
  for (int32_t m = 1; m <= mix[0]; m++) {
    non_finite |= load_row(job, gather, mix[m], column, n, part);
    for (uint32_t i = 0; i < n; i++) sum[i] += part[i];
  }
  const double count = static_cast<double>(mix[0]);
  for (uint32_t i = 0; i < n; i++) to[i] = static_cast<Work>(sum[i] / count);
  return non_finite;
}

template <class Work>
bool gather_part(const Job& job, const RowGather& gather, uint64_t row, uint64_t column, uint32_t n, Work* to) {
  const int32_t code = gather.rows[row];
  if (code >= 0) return load_row(job, gather, code, column, n, to);
  if (code == RowGather::kZeros) {
    for (uint32_t i = 0; i < n; i++) to[i] = Work{0};
    return false;
  }
  if (code == RowGather::kMean) {
    for (uint32_t i = 0; i < n; i++) to[i] = static_cast<Work>(gather.mean[column + i]);
    return false;
  }
  return gather_mixed(job, gather, gather.mixes.data() + (RowGather::kMixed - code), column, n, to);
}

/// Widens elements [begin, begin + n) of the gathered tensor; n is at most kChunk.
template <class Work>
bool gather_chunk(const Job& job, const RowGather& gather, uint64_t begin, uint32_t n, Work* to) {
  bool non_finite = false;
  uint64_t row = begin / gather.width;
  uint64_t column = begin % gather.width;
  for (uint32_t i = 0; i < n; row++, column = 0) {
    const uint32_t count = static_cast<uint32_t>(std::min<uint64_t>(gather.width - column, n - i));
    non_finite |= gather_part(job, gather, row, column, count, to + i);
    i += count;
  }
  return non_finite;
}

template <class Work>
void add_gathered_rows(const Job& job, const RowGather& gather, uint64_t begin, uint64_t end, double* sums) {
  Work part[kChunk];
  for (uint64_t row = begin; row < end; row++) {
    if (gather.rows[row] == RowGather::kMean) continue;
    for (uint64_t column = 0; column < gather.width; column += kChunk) {
      const uint32_t n = static_cast<uint32_t>(std::min<uint64_t>(kChunk, gather.width - column));
      gather_part(job, gather, row, column, n, part);
      for (uint32_t i = 0; i < n; i++) sums[column + i] += part[i];
    }
  }
}

/// Adds rows [begin, end) to `sums`, one sum per column, row after row; rows that stand for the mean are left out.
inline void add_rows(const Job& job, const RowGather& gather, uint64_t begin, uint64_t end, double* sums) {
  job.wide ? add_gathered_rows<double>(job, gather, begin, end, sums)
           : add_gathered_rows<float>(job, gather, begin, end, sums);
}

/// Widens `n` elements of an input from element `begin` on, wherever they lie, n <= kChunk, and applies the input's
/// patches. @returns whether one is a NaN or an infinity.
template <class Work>
bool load_elements(const Job& job, int input, uint64_t begin, uint32_t n, Work* to) {
  const InputSpan& span = job.input[input];
  if (span.gather != nullptr) return gather_chunk(job, *span.gather, begin, n, to);
  std::byte strided[kChunk * sizeof(uint64_t)];
  bool found = widen_chunk(span.dtype, elements_of(span, begin, n, strided), n, to);
  if (span.patches != nullptr) found |= apply_patches(job, *span.patches, begin, n, to);
  return found;
}

/// Elements [begin, end) of an input in float32, as an op that writes float32 would find them.
inline void load_floats(const Job& job, int input, uint64_t begin, uint64_t end, float* to) {
  for (uint64_t at = begin; at < end; at += kChunk) {
    const uint32_t n = static_cast<uint32_t>(std::min<uint64_t>(kChunk, end - at));
    if (job.wide) {
      double values[kChunk];
      load_elements(job, input, at, n, values);
      for (uint32_t i = 0; i < n; i++) to[at - begin + i] = static_cast<float>(values[i]);
    } else {
      load_elements(job, input, at, n, to + (at - begin));
    }
  }
}

template <class Work>
bool load_range(const Job& job, int input, uint64_t begin, uint64_t end, Work* to) {
  bool non_finite = false;
  for (uint64_t at = begin; at < end; at += kChunk) {
    const uint32_t n = static_cast<uint32_t>(std::min<uint64_t>(kChunk, end - at));
    non_finite |= load_elements(job, input, at, n, to + (at - begin));
  }
  return non_finite;
}

/// Elements [begin, end) of an input as the op's passes find them. `to`: room for them in the work type, aligned for it.
inline bool load_work(const Job& job, int input, uint64_t begin, uint64_t end, std::byte* to) {
  return job.wide ? load_range(job, input, begin, end, reinterpret_cast<double*>(to))
                  : load_range(job, input, begin, end, reinterpret_cast<float*>(to));
}

/// One chunk of one input, at its place in the room for inputs.
template <class Work>
bool load_input(const Job& job, int input, uint64_t begin, uint32_t n, Work* room) {
  return load_elements(job, input, begin, n, room + input * kChunk);
}

SINTER_KERNEL_NAMESPACE_END
