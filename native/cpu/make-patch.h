// What patches need before they can be applied: factors in the work type, and DoRA's norms.
#pragma once

#include "../engine/gather.h"
#include "chunks.h"
#include "reduce.h"

SINTER_KERNEL_NAMESPACE_BEGIN

template <class Work>
void make_right(const InputPatches& own, const Patch& patch, std::vector<Work>& right) {
  const uint64_t stride = own.stride();
  right.assign(patch.rank * stride, Work{0});
  for (uint32_t k = 0; k < patch.rank; k++) {
    for (uint64_t j = 0; j < own.columns; j++) right[k * stride + j] = widen_element<Work>(patch.right, k, j);
  }
}

/// Contiguous rows, as most factors have, by the chunk.
template <class Work>
void make_right_rows(const InputPatches& own, const Patch& patch, std::vector<Work>& right) {
  const uint64_t stride = own.stride();
  right.assign(patch.rank * stride, Work{0});
  for (uint32_t k = 0; k < patch.rank; k++) {
    const std::byte* const from = patch.right.data + k * patch.right.row_stride * element_size(patch.right.dtype);
    for (uint64_t j = 0; j < own.columns; j += kChunk) {
      const uint32_t n = static_cast<uint32_t>(std::min<uint64_t>(kChunk, own.columns - j));
      widen_chunk(patch.right.dtype, from + j * element_size(patch.right.dtype), n, right.data() + k * stride + j);
    }
  }
}

/// Converts the right factor of one patch. Only this task writes to it.
inline void make_patch(const Job& job, const InputPatches& own, Patch& patch) {
  const bool rows = patch.right.column_stride == 1;
  if (job.wide) {
    rows ? make_right_rows(own, patch, patch.right64) : make_right(own, patch, patch.right64);
  } else {
    rows ? make_right_rows(own, patch, patch.right32) : make_right(own, patch, patch.right32);
  }
}

/// Calls `use(values, column, n)` with the pieces of one row, its patch applied except for the magnitude.
template <class Work, class Use>
void for_patched_row(const Job& job, const InputPatches& own, const Patch& patch, uint64_t row, const Use& use) {
  Work values[kChunk];
  std::byte strided[kChunk * sizeof(uint64_t)];
  const InputSpan span = own.piece == nullptr ? job.input[own.input] : InputSpan{own.piece->data, own.piece->dtype, 0};
  for (uint64_t column = 0; column < own.columns; column += kChunk) {
    const uint32_t n = static_cast<uint32_t>(std::min<uint64_t>(kChunk, own.columns - column));
    widen_chunk(span.dtype, elements_of(span, row * own.columns + column, n, strided), n, values);
    patch_segment(job, own, patch, row, column, n, n < kShortRead, values);
    use(values, column, n);
  }
}

/// Sums of squares of rows [begin, end) of the input, for each row; or over these rows, for each column.
template <class Work>
void patch_squares(const Job& job, const InputPatches& own, const Patch& patch, uint64_t begin, uint64_t end,
                   double* sums) {
  const bool by_row = patch.along == Magnitude::rows;
  std::fill(sums, sums + (by_row ? end - begin : own.columns), 0.0);
  double squares[kChunk];
  for (uint64_t row = begin; row < end; row++) {
    double lanes[kLanes] = {};
    for_patched_row<Work>(job, own, patch, row, [&](const Work* values, uint64_t column, uint32_t n) {
      for (uint32_t j = 0; j < n; j++) squares[j] = static_cast<double>(values[j]) * static_cast<double>(values[j]);
      if (by_row) {
        add_to_lanes(squares, n, lanes);
      } else {
        for (uint32_t j = 0; j < n; j++) sums[column + j] += squares[j];
      }
    });
    if (by_row) sums[row - begin] = sum_of_lanes(lanes);
  }
}

inline void sum_patch_squares(const Job& job, const InputPatches& own, const Patch& patch, uint64_t begin, uint64_t end,
                              double* sums) {
  job.wide ? patch_squares<double>(job, own, patch, begin, end, sums)
           : patch_squares<float>(job, own, patch, begin, end, sums);
}

inline double magnitude_of(const Patch& patch, uint64_t i) { return widen_element<double>(patch.magnitude, 0, i); }

SINTER_KERNEL_NAMESPACE_END
