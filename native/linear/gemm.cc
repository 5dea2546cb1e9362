#include "gemm.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

#include "../io/error.h"

namespace sinter {
namespace {

/// Rows of A and columns of B that are packed at a time (1 MiB and 2 MiB of floats), and how many of them one task takes.
constexpr uint64_t kRowBlock = 960;
constexpr uint64_t kColumnBlock = 2048;
constexpr uint64_t kTaskRows = 120;
constexpr uint64_t kTaskColumns = 256;
/// Columns that one task packs.
constexpr uint64_t kPackColumns = 128;

/// Products so small that waking other threads costs more than they save.
constexpr uint64_t kSmall = 64 * 64 * 64;

uint64_t ceil_div(uint64_t a, uint64_t b) { return (a + b - 1) / b; }
uint64_t round_up(uint64_t a, uint64_t b) { return ceil_div(a, b) * b; }

struct Freed {
  void operator()(float* floats) const { std::free(floats); }
};

/// Memory of one thread that is kept from product to product: fresh pages cost as much as a small product.
class Panels {
 public:
  float* room(uint64_t floats) {
    if (floats > size_) {
      kept_.reset(static_cast<float*>(std::aligned_alloc(4096, round_up(floats * sizeof(float), 4096))));
      size_ = kept_ == nullptr ? 0 : floats;
      if (kept_ == nullptr) throw std::bad_alloc();
    }
    return kept_.get();
  }

 private:
  std::unique_ptr<float, Freed> kept_;
  uint64_t size_ = 0;
};

thread_local Panels row_room, column_room;

StoredBlock block_at(const Matrix& matrix, uint64_t row, uint64_t column) {
  const uint64_t element = row * matrix.row_stride + column * matrix.column_stride;
  return {matrix.data + element * element_size(matrix.dtype), matrix.dtype, matrix.row_stride, matrix.column_stride};
}

void scale(float* c, uint64_t rows, uint64_t columns, uint64_t stride, float beta) {
  for (uint64_t i = 0; i < rows; i++) {
    float* row = c + i * stride;
    for (uint64_t j = 0; j < columns; j++) row[j] = beta == 0.0f ? 0.0f : beta * row[j];
  }
}

}  // namespace

void gemm(Team& team, const Matrix& a, const Matrix& b, float* c, uint64_t stride, float alpha, float beta,
          const ProductKernels& kernels) {
  if (a.columns != b.rows) throw Failure("BAD_ARGUMENT", "the inner dimensions of a matrix product differ");
  if (!is_float(a.dtype) || !is_float(b.dtype)) throw Failure("BAD_ARGUMENT", "matrix products take floats only");
  if (a.columns == 0) return scale(c, a.rows, b.columns, stride, beta);
  const bool alone = a.rows * b.columns * a.columns <= kSmall;
  const auto run = [&](uint64_t count, auto&& task) {
    if (alone) {
      for (uint64_t i = 0; i < count; i++) task(i);
    } else {
      team.run(count, task);
    }
  };

  const uint64_t tile_rows = kernels.tile_rows, tile_columns = kernels.tile_columns;
  // More threads need more work between two waits for all of them.
  const uint64_t wide = kColumnBlock * ceil_div(team.size(), 4);
  const uint64_t row_block = std::min(round_up(kRowBlock, tile_rows), round_up(a.rows, tile_rows));
  const uint64_t column_block = std::min(round_up(wide, tile_columns), round_up(b.columns, tile_columns));
  const uint64_t task_rows = round_up(kTaskRows, tile_rows);
  const uint64_t task_columns = round_up(kTaskColumns, tile_columns);
  const uint64_t pack_columns = round_up(kPackColumns, tile_columns);
  const uint64_t floats_per_row = kernels.row_panel / tile_rows,
                 floats_per_column = kernels.column_panel / tile_columns;
  float* row_panels = row_room.room(row_block * floats_per_row);
  float* column_panels = column_room.room(column_block * floats_per_column);

  for (uint64_t j0 = 0; j0 < b.columns; j0 += column_block) {
    const uint64_t columns = std::min(column_block, b.columns - j0);
    for (uint64_t k0 = 0; k0 < a.columns; k0 += kDepthBlock) {
      const uint64_t depth = std::min(kDepthBlock, a.columns - k0);
      const float keep = k0 == 0 ? beta : 1.0f;
      for (uint64_t i0 = 0; i0 < a.rows; i0 += row_block) {
        const uint64_t rows = std::min(row_block, a.rows - i0);
        const uint64_t row_packs = ceil_div(rows, task_rows);
        const uint64_t column_packs = i0 == 0 ? ceil_div(columns, pack_columns) : 0;
        run(row_packs + column_packs, [&](uint64_t task) {
          if (task < row_packs) {
            const uint64_t i = task * task_rows;
            kernels.pack_rows(block_at(a, i0 + i, k0), std::min(task_rows, rows - i), depth,
                              row_panels + i * floats_per_row);
          } else {
            const uint64_t j = (task - row_packs) * pack_columns;
            kernels.pack_columns(block_at(b, k0, j0 + j), std::min(pack_columns, columns - j), depth,
                                 column_panels + j * floats_per_column);
          }
        });
        const uint64_t row_tasks = ceil_div(rows, task_rows);
        run(row_tasks * ceil_div(columns, task_columns), [&](uint64_t task) {
          const uint64_t i = task % row_tasks * task_rows, j = task / row_tasks * task_columns;
          kernels.multiply(row_panels + i * floats_per_row, std::min(task_rows, rows - i),
                           column_panels + j * floats_per_column, std::min(task_columns, columns - j), depth, alpha,
                           keep, c + (i0 + i) * stride + j0 + j, stride);
        });
      }
    }
  }
}

}  // namespace sinter
