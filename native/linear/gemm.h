// Products of matrices in float32: C = alpha A B + beta C.
//
// Operands may be stored as float64 (rounded), float32, float16 or bfloat16 (widened) and in either direction; they are
// converted while they are packed. Each element of C is a sum in float32, in blocks of kDepthBlock along the inner
// dimension, each block in order; so it depends on the instruction set (fused multiply-adds or not), but not on the
// number of threads, nor on where the element lies. Scheme: K. Goto, R. van de Geijn, "Anatomy of high-performance matrix
// multiplication", ACM TOMS 34 (2008). Where C has few rows or few columns, packing is most of the work: then each thread
// packs its own part of the large operand while it multiplies, and waits for the others once, not at every block.
#pragma once

#include <cstddef>
#include <cstdint>

#include "../numeric/dtype.h"
#include "kernels.h"
#include "team.h"

namespace sinter {

/// A matrix in memory that others own. Element (i, j) is at `data` + i * row_stride + j * column_stride elements.
struct Matrix {
  const std::byte* data;
  Dtype dtype;
  uint64_t rows;
  uint64_t columns;
  uint64_t row_stride;
  uint64_t column_stride;

  /// Row-major, rows `stride` elements apart.
  static Matrix stored(const void* data, Dtype dtype, uint64_t rows, uint64_t columns, uint64_t stride) {
    return {static_cast<const std::byte*>(data), dtype, rows, columns, stride, 1};
  }
  static Matrix stored(const float* data, uint64_t rows, uint64_t columns, uint64_t stride) {
    return stored(data, Dtype::F32, rows, columns, stride);
  }
  /// Row-major without gaps.
  static Matrix stored(const float* data, uint64_t rows, uint64_t columns) {
    return stored(data, Dtype::F32, rows, columns, columns);
  }

  Matrix transposed() const { return {data, dtype, columns, rows, column_stride, row_stride}; }
};

/// C = alpha A B + beta C, on the whole team. A is m x k, B is k x n, C is m x n, row-major, its rows `stride` floats
/// apart. Where beta is 0, C is not read. Throws Failure BAD_ARGUMENT where the inner dimensions differ. Scratch: about
/// 3 MiB, and 0.5 MiB a thread.
void gemm(Team& team, const Matrix& a, const Matrix& b, float* c, uint64_t stride, float alpha = 1.0f,
          float beta = 0.0f, const ProductKernels& kernels = best_products());

}  // namespace sinter
