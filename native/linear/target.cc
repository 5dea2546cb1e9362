// Matrix products for one instruction set. Compiled once per set, with fused multiply-adds where the set has them.

#include "kernels.h"
#include "lanes.h"
#include "pack.h"

#define SINTER_JOIN_(a, b) a##b
#define SINTER_JOIN(a, b) SINTER_JOIN_(a, b)
#define SINTER_TEXT_(a) #a
#define SINTER_TEXT(a) SINTER_TEXT_(a)

SINTER_KERNEL_NAMESPACE_BEGIN

static void pack_rows(const StoredBlock& a, uint64_t rows, uint64_t depth, float* panels) {
  switch (a.dtype) {
    case Dtype::F64:
      return pack_all_rows<F64>(a, rows, depth, panels);
    case Dtype::F16:
      return pack_all_rows<F16>(a, rows, depth, panels);
    case Dtype::BF16:
      return pack_all_rows<BF16>(a, rows, depth, panels);
    default:
      return pack_all_rows<F32>(a, rows, depth, panels);
  }
}

static void pack_columns(const StoredBlock& b, uint64_t columns, uint64_t depth, float* panels) {
  switch (b.dtype) {
    case Dtype::F64:
      return pack_all_columns<F64>(b, columns, depth, panels);
    case Dtype::F16:
      return pack_all_columns<F16>(b, columns, depth, panels);
    case Dtype::BF16:
      return pack_all_columns<BF16>(b, columns, depth, panels);
    default:
      return pack_all_columns<F32>(b, columns, depth, panels);
  }
}

/// One tile of C, kTileRows rows by kVectors registers, from a panel of rows and one of columns.
template <int kVectors>
static void multiply_tile(const float* rows, const float* columns, uint64_t depth, float alpha, float beta, float* c,
                          uint64_t stride) {
  Lanes sum[kTileRows][kVectors] = {};
  for (uint64_t k = 0; k < depth; k++) {
    Lanes b[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; v++) b[v] = load(columns + k * kTileColumns + v * kLanes);
#pragma GCC unroll 16
    for (int r = 0; r < kTileRows; r++) {
      const float a = rows[static_cast<uint64_t>(r) * kRowStride + k];
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; v++) sum[r][v] += a * b[v];
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < kTileRows; r++) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; v++) {
      float* place = c + static_cast<uint64_t>(r) * stride + v * kLanes;
      const Lanes scaled = alpha * sum[r][v];
      store(place, beta == 0.0f ? scaled : scaled + beta * load(place));
    }
  }
}

/// What of a tile lies in C. One over C's edge goes through a full one beside it: the same arithmetic for every element.
template <int kVectors>
static void multiply_part(const float* rows, const float* columns, uint64_t depth, float alpha, float beta, float* c,
                          uint64_t stride, uint64_t row_count, uint64_t column_count) {
  constexpr uint64_t kColumns = kVectors * kLanes;
  if (row_count == kTileRows && column_count == kColumns) {
    return multiply_tile<kVectors>(rows, columns, depth, alpha, beta, c, stride);
  }
  float full[kTileRows * kColumns] = {};
  if (beta != 0.0f) {
    for (uint64_t r = 0; r < row_count; r++) {
      for (uint64_t j = 0; j < column_count; j++) full[r * kColumns + j] = c[r * stride + j];
    }
  }
  multiply_tile<kVectors>(rows, columns, depth, alpha, beta, full, kColumns);
  for (uint64_t r = 0; r < row_count; r++) {
    for (uint64_t j = 0; j < column_count; j++) c[r * stride + j] = full[r * kColumns + j];
  }
}

static void multiply(const float* row_panels, uint64_t rows, const float* column_panels, uint64_t columns,
                     uint64_t depth, float alpha, float beta, float* c, uint64_t stride) {
  for (uint64_t j = 0; j < columns; j += kTileColumns) {
    const float* column_panel = column_panels + j * kDepthBlock;
    const uint64_t column_count = at_most(columns - j, kTileColumns);
    // Of few columns one register is enough.
    const auto part = column_count <= kLanes ? multiply_part<1> : multiply_part<kTileVectors>;
    for (uint64_t r = 0; r < rows; r += kTileRows) {
      part(row_panels + r * kRowStride, column_panel, depth, alpha, beta, c + r * stride + j, stride,
           at_most(rows - r, kTileRows), column_count);
    }
  }
}

static uint64_t spin(uint64_t rounds, float* numbers) {
  constexpr int kSums = kTileRows * kTileVectors;
  const Lanes x = load(numbers), y = load(numbers + kLanes);
  Lanes sum[kSums];
#pragma GCC unroll 32
  for (int s = 0; s < kSums; s++) sum[s] = static_cast<float>(s) * x;
  for (uint64_t round = 0; round < rounds; round++) {
#pragma GCC unroll 32
    for (int s = 0; s < kSums; s++) sum[s] = sum[s] * x + y;
  }
  Lanes all{};
#pragma GCC unroll 32
  for (int s = 0; s < kSums; s++) all += sum[s];
  store(numbers, all);
  return rounds * kSums * kLanes;
}

SINTER_KERNEL_NAMESPACE_END

namespace sinter {

extern const ProductKernels SINTER_JOIN(kProductKernels_, SINTER_TARGET);
const ProductKernels SINTER_JOIN(kProductKernels_, SINTER_TARGET){SINTER_TEXT(SINTER_TARGET_NAME),
                                                                  kTileRows,
                                                                  kTileColumns,
                                                                  kRowPanel,
                                                                  kColumnPanel,
                                                                  pack_rows,
                                                                  pack_columns,
                                                                  multiply,
                                                                  spin};

}  // namespace sinter
