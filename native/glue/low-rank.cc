#include "low-rank.h"

#include <algorithm>

#include "values.h"

namespace sinter {
namespace {

/// Both lie in the task's source, row-major without gaps where no strides are given.
Matrix read_product_factor(const Napi::Object& from, const std::string& name, const Source& source, uint64_t rows,
                           uint64_t columns) {
  const uint64_t offset = whole(from.Get(name + "Offset"), "offset");
  const Dtype dtype = dtype_of(from.Get(name + "Dtype"));
  constexpr uint64_t kMost = uint64_t{1} << 40;
  if (!is_float(dtype) || rows == 0 || columns == 0 || rows > kMost / columns) bad_argument("no such factor");
  const Napi::Value row = from.Get(name + "RowStride");
  const Napi::Value column = from.Get(name + "ColumnStride");
  const uint64_t row_stride = row.IsUndefined() ? columns : whole(row, "stride");
  const uint64_t column_stride = column.IsUndefined() ? 1 : whole(column, "stride");
  if (row_stride > kMost / rows || column_stride > kMost / columns) bad_argument("no such factor");
  const uint64_t last = (rows - 1) * row_stride + (columns - 1) * column_stride;
  check_range(offset, (last + 1) * element_size(dtype), source.size(), "source");
  return {source.data() + offset, dtype, rows, columns, row_stride, column_stride};
}

}  // namespace

LowRankTask read_low_rank(const Napi::Object& from, const Handles& handles) {
  LowRankTask task;
  task.source = handles.source(from.Get("source"));
  task.sink = handles.sink(from.Get("sink"));
  const uint64_t rows = whole(from.Get("rows"), "rows");
  const uint64_t columns = whole(from.Get("columns"), "columns");
  const uint64_t offset = whole(from.Get("offset"), "offset");
  if (rows == 0 || columns == 0) bad_argument("a matrix without elements has no factors");
  if (rows > (uint64_t{1} << 40) / columns) bad_argument("the matrix is too large");
  if (from.Get("factors").IsUndefined()) {
    check_range(offset, rows * columns * sizeof(float), task.source->size(), "source");
    task.matrix = Matrix::stored(task.source->data() + offset, Dtype::F32, rows, columns, columns);
    if (from.Get("transposed").ToBoolean()) task.matrix = task.matrix.transposed();
  } else {
    const Napi::Object factors = object(from.Get("factors"));
    const uint64_t inner = whole(factors.Get("inner"), "inner");
    task.is_product = true;
    task.scale = factors.Get("scale").ToNumber().DoubleValue();
    task.matrix = Matrix::stored(static_cast<const float*>(nullptr), rows, columns);
    task.a = read_product_factor(factors, "a", *task.source, inner, columns);
    task.b = read_product_factor(factors, "b", *task.source, rows, inner);
  }
  task.request.rank = whole(from.Get("rank"), "rank");
  if (task.request.rank == 0) bad_argument("rank must be at least 1");
  task.request.rank = std::min({task.request.rank, rows, columns});
  task.request.epsilon = from.Get("epsilon").ToNumber().DoubleValue();
  task.request.share = from.Get("share").ToNumber().DoubleValue();
  task.request.seed = whole(from.Get("seed"), "seed");
  task.distribute = from.Get("distribute").ToBoolean();
  task.threads = static_cast<unsigned>(whole(from.Get("threads"), "threads"));
  task.dtype = dtype_of(from.Get("dtype"));
  if (!is_float(task.dtype)) bad_argument("factors are floating point numbers");
  task.a_offset = whole(from.Get("aOffset"), "aOffset");
  task.b_offset = whole(from.Get("bOffset"), "bOffset");
  task.b_width = from.Get("bWidth").IsUndefined() ? 0 : whole(from.Get("bWidth"), "bWidth");
  if (task.b_width > (uint64_t{1} << 40) / task.matrix.rows) bad_argument("the factor is too large");
  const uint64_t width = task.request.rank * element_size(task.dtype);
  check_range(task.a_offset, width * task.matrix.columns, task.sink->size(), "sink");
  const uint64_t b_width = std::max(task.request.rank, task.b_width) * element_size(task.dtype);
  check_range(task.b_offset, b_width * task.matrix.rows, task.sink->size(), "sink");
  return task;
}

Napi::Value low_rank_of(Napi::Env env, const LowRankResult& found) {
  Napi::Object result = Napi::Object::New(env);
  result.Set("rank", static_cast<double>(found.rank));
  result.Set("energy", found.energy);
  result.Set("kept", found.kept);
  result.Set("largest", found.largest);
  result.Set("smallest", found.smallest);
  result.Set("iterations", found.iterations);
  result.Set("onDevice", found.on_device);
  if (!found.refused.empty()) result.Set("refused", found.refused);
  return result;
}

}  // namespace sinter
