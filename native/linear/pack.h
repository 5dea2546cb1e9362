// Packing: parts of stored matrices as float32 panels that the innermost kernel reads in order.
//
// A panel of rows keeps each row together, kRowStride floats apart, since the kernel spreads single elements of it. A
// panel of columns lies depth by depth, kTileColumns floats each, since the kernel loads whole registers of it. An
// operand that is contiguous in the other direction is transposed in registers.
#pragma once

#include "../numeric/convert.h"
#include "kernels.h"
#include "lanes.h"

SINTER_KERNEL_NAMESPACE_BEGIN

/// Not a power of two, so that the rows of a panel do not share the sets of the cache.
constexpr uint64_t kRowStride = kDepthBlock + 16;

constexpr uint64_t kRowPanel = kTileRows * kRowStride;
constexpr uint64_t kColumnPanel = kTileColumns * kDepthBlock;

SINTER_HD uint64_t at_most(uint64_t value, uint64_t limit) { return value < limit ? value : limit; }

/// Widens `count` elements that lie next to each other.
template <class D>
SINTER_HD void widen_run(const typename Loose<D>::Stored* from, uint64_t count, float* to) {
  for (uint64_t i = 0; i < count; i++) to[i] = static_cast<float>(D::widen(from[i]));
}

/// kLanes elements from `from`, of which only `count` are there; zeros beyond.
template <class D>
SINTER_HD Lanes widen_lanes(const typename Loose<D>::Stored* from, uint64_t count) {
  alignas(64) float lanes[kLanes];
  if (count >= static_cast<uint64_t>(kLanes)) {
    for (int l = 0; l < kLanes; l++) lanes[l] = static_cast<float>(D::widen(from[l]));
  } else {
    for (int l = 0; l < kLanes; l++) lanes[l] = 0.0f;
    widen_run<D>(from, count, lanes);
  }
  return load(lanes);
}

/// Writes `out[i * out_stride + j]` = in[j * in_stride + i] for i < rows <= kLanes and j < columns <= kLanes, zeros for
/// `columns` <= j < kLanes.
template <class D>
SINTER_HD void transpose_square(const typename Loose<D>::Stored* in, uint64_t in_stride, uint64_t rows,
                                uint64_t columns, float* out, uint64_t out_stride) {
  Lanes square[kLanes];
#pragma GCC unroll 16
  for (uint64_t j = 0; j < kLanes; j++) {
    square[j] = j < columns ? widen_lanes<D>(in + j * in_stride, rows) : Lanes{};
  }
  transpose(square);
  if (rows == kLanes) {
#pragma GCC unroll 16
    for (uint64_t i = 0; i < kLanes; i++) store(out + i * out_stride, square[i]);
  } else {
    for (uint64_t i = 0; i < rows; i++) store(out + i * out_stride, square[i]);
  }
}

template <class D>
void pack_row_panel(const typename Loose<D>::Stored* a, uint64_t row_stride, uint64_t column_stride, uint64_t rows,
                    uint64_t depth, float* panel) {
  for (uint64_t r = rows; r < kTileRows; r++) {
    for (uint64_t k = 0; k < depth; k++) panel[r * kRowStride + k] = 0.0f;
  }
  if (column_stride == 1) {
    for (uint64_t r = 0; r < rows; r++) widen_run<D>(a + r * row_stride, depth, panel + r * kRowStride);
  } else if (row_stride == 1) {
    for (uint64_t r = 0; r < rows; r += kLanes) {
      for (uint64_t k = 0; k < depth; k += kLanes) {
        // What a square writes beyond `depth` is within the row's room, and nobody reads it.
        transpose_square<D>(a + r + k * column_stride, column_stride, at_most(rows - r, kLanes),
                            at_most(depth - k, kLanes), panel + r * kRowStride + k, kRowStride);
      }
    }
  } else {
    for (uint64_t r = 0; r < rows; r++) {
      for (uint64_t k = 0; k < depth; k++) {
        panel[r * kRowStride + k] = static_cast<float>(D::widen(a[r * row_stride + k * column_stride]));
      }
    }
  }
}

template <class D>
void pack_column_panel(const typename Loose<D>::Stored* b, uint64_t row_stride, uint64_t column_stride,
                       uint64_t columns, uint64_t depth, float* panel) {
  if (row_stride == 1) {
    for (uint64_t j = 0; j < kTileColumns; j += kLanes) {
      for (uint64_t k = 0; k < depth; k += kLanes) {
        transpose_square<D>(b + (j < columns ? j * column_stride : 0) + k, column_stride, at_most(depth - k, kLanes),
                            j < columns ? at_most(columns - j, kLanes) : 0, panel + k * kTileColumns + j, kTileColumns);
      }
    }
  } else if (column_stride == 1 && columns == kTileColumns) {
    for (uint64_t k = 0; k < depth; k++) widen_run<D>(b + k * row_stride, kTileColumns, panel + k * kTileColumns);
  } else {
    for (uint64_t k = 0; k < depth; k++) {
      for (uint64_t j = 0; j < kTileColumns; j++) {
        panel[k * kTileColumns + j] =
            j < columns ? static_cast<float>(D::widen(b[k * row_stride + j * column_stride])) : 0.0f;
      }
    }
  }
}

template <class D>
void pack_all_rows(const StoredBlock& a, uint64_t rows, uint64_t depth, float* panels) {
  const auto* data = reinterpret_cast<const typename Loose<D>::Stored*>(a.data);
  for (uint64_t r = 0; r < rows; r += kTileRows) {
    pack_row_panel<D>(data + r * a.row_stride, a.row_stride, a.column_stride, at_most(rows - r, kTileRows), depth,
                      panels + r * kRowStride);
  }
}

template <class D>
void pack_all_columns(const StoredBlock& b, uint64_t columns, uint64_t depth, float* panels) {
  const auto* data = reinterpret_cast<const typename Loose<D>::Stored*>(b.data);
  for (uint64_t j = 0; j < columns; j += kTileColumns) {
    pack_column_panel<D>(data + j * b.column_stride, b.row_stride, b.column_stride, at_most(columns - j, kTileColumns),
                         depth, panels + j * kDepthBlock);
  }
}

SINTER_KERNEL_NAMESPACE_END
