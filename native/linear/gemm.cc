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

/// Rows or columns of C up to which it is narrow: their panels have room in a core's cache beside those of a task. And floats
/// of such panels that are packed at a time (2 MiB).
constexpr uint64_t kNarrow = 288;
constexpr uint64_t kNarrowFloats = 1 << 19;
/// Tasks for each thread, so that a slow one does not keep the others waiting.
constexpr uint64_t kNarrowTasks = 8;

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

/// The rows of A, or the columns of B.
struct Operand {
  const Matrix& matrix;
  const ProductKernels& kernels;
  bool is_left;

  uint64_t count() const { return is_left ? matrix.rows : matrix.columns; }
  uint64_t tile() const { return is_left ? kernels.tile_rows : kernels.tile_columns; }
  uint64_t floats_each() const { return (is_left ? kernels.row_panel : kernels.column_panel) / tile(); }
  /// Of the thread that asks.
  Panels& room() const { return is_left ? row_room : column_room; }
  void pack(uint64_t first, uint64_t some, uint64_t k, uint64_t depth, float* panels) const {
    if (is_left) {
      kernels.pack_rows(block_at(matrix, first, k), some, depth, panels);
    } else {
      kernels.pack_columns(block_at(matrix, k, first), some, depth, panels);
    }
  }
};

/// Where C has few rows or few columns: the operand on that side is packed for all tasks; each task takes a part of the other,
/// which no other task needs, and packs it just before it multiplies.
void narrow_gemm(Team& team, const Operand& narrow, const Operand& wide, float* c, uint64_t stride, float alpha,
                 float beta) {
  const ProductKernels& kernels = narrow.kernels;
  const uint64_t inner = narrow.is_left ? narrow.matrix.columns : narrow.matrix.rows;
  const uint64_t narrow_floats = round_up(narrow.count(), narrow.tile()) * narrow.floats_each();
  const uint64_t most = std::max<uint64_t>(1, kNarrowFloats / narrow_floats) * kDepthBlock;
  const uint64_t each = round_up(std::min(kTaskRows, ceil_div(wide.count(), kNarrowTasks * team.size())), wide.tile());
  float* const panels = narrow.room().room(ceil_div(std::min(most, inner), kDepthBlock) * narrow_floats);
  const bool alone = narrow.count() * wide.count() * inner <= kSmall;
  const auto run = [&](uint64_t count, auto&& task) {
    if (alone) {
      for (uint64_t i = 0; i < count; i++) task(i);
    } else {
      team.run(count, task);
    }
  };

  for (uint64_t begin = 0; begin < inner; begin += most) {
    const uint64_t end = std::min(inner, begin + most);
    run(ceil_div(end - begin, kDepthBlock), [&](uint64_t block) {
      const uint64_t k = begin + block * kDepthBlock;
      narrow.pack(0, narrow.count(), k, std::min(kDepthBlock, end - k), panels + block * narrow_floats);
    });
    run(ceil_div(wide.count(), each), [&](uint64_t task) {
      const uint64_t first = task * each, some = std::min(each, wide.count() - first);
      float* const own = wide.room().room(each * wide.floats_each());
      const float* shared = panels;
      for (uint64_t k = begin; k < end; k += kDepthBlock, shared += narrow_floats) {
        const uint64_t depth = std::min(kDepthBlock, end - k);
        const float keep = k == 0 ? beta : 1.0f;
        wide.pack(first, some, k, depth, own);
        if (narrow.is_left) {
          kernels.multiply(shared, narrow.count(), own, some, depth, alpha, keep, c + first, stride);
        } else {
          kernels.multiply(own, some, shared, narrow.count(), depth, alpha, keep, c + first * stride, stride);
        }
      }
    });
  }
}

/// Of a block of A and one of B, packed for all tasks, each task makes a part of C.
void broad_gemm(Team& team, const Operand& left, const Operand& right, float* c, uint64_t stride, float alpha,
                float beta) {
  const Matrix &a = left.matrix, &b = right.matrix;
  const ProductKernels& kernels = left.kernels;
  const uint64_t tile_rows = kernels.tile_rows, tile_columns = kernels.tile_columns;
  // More threads need more work between two waits for all of them.
  const uint64_t wide = kColumnBlock * ceil_div(team.size(), 4);
  const uint64_t row_block = std::min(round_up(kRowBlock, tile_rows), round_up(a.rows, tile_rows));
  const uint64_t column_block = std::min(round_up(wide, tile_columns), round_up(b.columns, tile_columns));
  const uint64_t task_rows = round_up(kTaskRows, tile_rows);
  const uint64_t task_columns = round_up(kTaskColumns, tile_columns);
  const uint64_t pack_columns = round_up(kPackColumns, tile_columns);
  float* row_panels = left.room().room(row_block * left.floats_each());
  float* column_panels = right.room().room(column_block * right.floats_each());

  for (uint64_t j0 = 0; j0 < b.columns; j0 += column_block) {
    const uint64_t columns = std::min(column_block, b.columns - j0);
    for (uint64_t k0 = 0; k0 < a.columns; k0 += kDepthBlock) {
      const uint64_t depth = std::min(kDepthBlock, a.columns - k0);
      const float keep = k0 == 0 ? beta : 1.0f;
      for (uint64_t i0 = 0; i0 < a.rows; i0 += row_block) {
        const uint64_t rows = std::min(row_block, a.rows - i0);
        const uint64_t row_packs = ceil_div(rows, task_rows);
        const uint64_t column_packs = i0 == 0 ? ceil_div(columns, pack_columns) : 0;
        team.run(row_packs + column_packs, [&](uint64_t task) {
          if (task < row_packs) {
            const uint64_t i = task * task_rows;
            left.pack(i0 + i, std::min(task_rows, rows - i), k0, depth, row_panels + i * left.floats_each());
          } else {
            const uint64_t j = (task - row_packs) * pack_columns;
            right.pack(j0 + j, std::min(pack_columns, columns - j), k0, depth, column_panels + j * right.floats_each());
          }
        });
        const uint64_t row_tasks = ceil_div(rows, task_rows);
        team.run(row_tasks * ceil_div(columns, task_columns), [&](uint64_t task) {
          const uint64_t i = task % row_tasks * task_rows, j = task / row_tasks * task_columns;
          kernels.multiply(row_panels + i * left.floats_each(), std::min(task_rows, rows - i),
                           column_panels + j * right.floats_each(), std::min(task_columns, columns - j), depth, alpha,
                           keep, c + (i0 + i) * stride + j0 + j, stride);
        });
      }
    }
  }
}

}  // namespace

void gemm(Team& team, const Matrix& a, const Matrix& b, float* c, uint64_t stride, float alpha, float beta,
          const ProductKernels& kernels) {
  if (a.columns != b.rows) throw Failure("BAD_ARGUMENT", "the inner dimensions of a matrix product differ");
  if (!is_float(a.dtype) || !is_float(b.dtype)) throw Failure("BAD_ARGUMENT", "matrix products take floats only");
  if (a.rows == 0 || b.columns == 0) return;
  if (a.columns == 0) return scale(c, a.rows, b.columns, stride, beta);
  const Operand left{a, kernels, true}, right{b, kernels, false};
  if (std::min(a.rows, b.columns) > kNarrow) return broad_gemm(team, left, right, c, stride, alpha, beta);
  const bool few_rows = a.rows < b.columns;
  narrow_gemm(team, few_rows ? left : right, few_rows ? right : left, c, stride, alpha, beta);
}

}  // namespace sinter
