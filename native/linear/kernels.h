// What each instruction set offers to matrix products, and which set this CPU runs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "../numeric/dtype.h"

namespace sinter {

/// Depth of one packed block: the inner dimension is added up in blocks of this many products. Results depend on it.
constexpr uint64_t kDepthBlock = 256;

/// Part of a stored matrix, any float dtype; strides in elements. One of them is 1 in every case that is fast.
struct StoredBlock {
  const std::byte* data;
  Dtype dtype;
  uint64_t row_stride;
  uint64_t column_stride;
};

struct ProductKernels {
  const char* target;
  /// Rows and columns of C that the innermost kernel keeps in registers.
  uint64_t tile_rows;
  uint64_t tile_columns;
  /// Floats of one packed panel of each operand.
  uint64_t row_panel;
  uint64_t column_panel;

  /// Packs the rows of A, `depth` <= kDepthBlock columns wide, as float32 panels of `tile_rows` rows, zeros beyond `rows`.
  void (*pack_rows)(const StoredBlock& a, uint64_t rows, uint64_t depth, float* panels);
  /// Packs the columns of B, `depth` rows high, as float32 panels of `tile_columns` columns, zeros beyond `columns`.
  void (*pack_columns)(const StoredBlock& b, uint64_t columns, uint64_t depth, float* panels);
  /// C = alpha A B + beta C for packed panels; C is row-major, `stride` floats from row to row. Where beta is 0, C is not
  /// read.
  void (*multiply)(const float* row_panels, uint64_t rows, const float* column_panels, uint64_t columns, uint64_t depth,
                   float alpha, float beta, float* c, uint64_t stride);
  /// Multiply-adds of the 64 `numbers` in registers only, `rounds` times; for measuring the peak. @returns how many.
  uint64_t (*spin)(uint64_t rounds, float* numbers);
};

/// The set of the kernels of native/cpu of that name, or null.
const ProductKernels* find_products(const std::string& target);

/// The highest that this CPU runs.
const ProductKernels& best_products();

}  // namespace sinter
