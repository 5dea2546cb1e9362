#include "patch.h"

#include "values.h"

namespace sinter {
namespace {

Factor read_factor(const Napi::Object& from, Op& op, uint64_t rows, uint64_t columns, const Handles& handles) {
  const std::shared_ptr<Source> source = handles.source(from.Get("source"));
  Factor factor;
  const uint64_t offset = whole(from.Get("offset"), "offset");
  factor.dtype = dtype_of(from.Get("dtype"));
  factor.row_stride = whole(from.Get("rowStride"), "rowStride");
  factor.column_stride = whole(from.Get("columnStride"), "columnStride");
  if (!is_float(factor.dtype)) bad_argument("factors must be floating point numbers");
  const uint64_t most = source->size();
  if (factor.row_stride > most || factor.column_stride > most) bad_argument("a stride lies beyond the source");
  const uint64_t last = (rows - 1) * factor.row_stride + (columns - 1) * factor.column_stride;
  check_range(offset, (last + 1) * element_size(factor.dtype), most, "source");
  factor.data = source->data() + offset;
  op.sources.push_back(source);
  return factor;
}

Patch read_patch(const Napi::Object& from, Op& op, uint64_t columns, uint64_t after, const Handles& handles) {
  Patch patch{};
  patch.begin = whole(from.Get("begin"), "begin");
  patch.end = whole(from.Get("end"), "end");
  const uint64_t rows = patch.end - patch.begin;
  if (patch.begin < after || patch.end <= patch.begin || patch.end > op.job.input_count / columns) {
    bad_argument("rows of a patch must lie in the input, one patch after the other");
  }
  const uint64_t rank = whole(from.Get("rank"), "rank");
  if (rank == 0 || rank > 1 << 20) bad_argument("rank must be at least 1");
  patch.rank = static_cast<uint32_t>(rank);
  patch.scale = from.Get("scale").ToNumber().DoubleValue();
  patch.replaces = from.Get("replaces").ToBoolean();
  if (!from.Get("left").IsUndefined()) patch.left = read_factor(object(from.Get("left")), op, rows, rank, handles);
  if (patch.left.data == nullptr && rank != 1) bad_argument("without a left factor the rank is 1");
  patch.right = read_factor(object(from.Get("right")), op, rank, columns, handles);
  if (from.Get("magnitude").IsUndefined()) return patch;
  patch.along = text(from.Get("along"), "along") == "rows" ? Magnitude::rows : Magnitude::columns;
  const uint64_t numbers = patch.along == Magnitude::rows ? rows : columns;
  patch.magnitude = read_factor(object(from.Get("magnitude")), op, 1, numbers, handles);
  return patch;
}

}  // namespace

void read_patches(const Napi::Object& from, Op& op, const Handles& handles) {
  if (from.Get("patches").IsUndefined()) return;
  if (!from.Get("patches").IsArray()) bad_argument("patches must be a list");
  const Napi::Array patches = from.Get("patches").As<Napi::Array>();
  Job& job = op.job;
  if (op.kernel_name == "copy" && patches.Length() > 0) bad_argument("copy takes no patches");
  for (uint32_t i = 0; i < patches.Length(); i++) {
    const Napi::Object one = object(patches.Get(i));
    const uint64_t input = whole(one.Get("input"), "input");
    const uint64_t columns = whole(one.Get("columns"), "columns");
    if (input >= static_cast<uint64_t>(job.inputs)) bad_argument("a patch is of an input that there is not");
    if (columns == 0 || job.input_count % columns != 0) bad_argument("columns of a patch must divide the input");
    InputSpan& span = job.input[input];
    if (span.gather != nullptr) bad_argument("gathered rows take no patches");
    if (span.patches == nullptr) {
      job.patches.push_back(std::make_unique<InputPatches>());
      job.patches.back()->input = static_cast<int>(input);
      job.patches.back()->columns = columns;
      span.patches = job.patches.back().get();
    }
    InputPatches& own = *job.patches.back();
    if (own.input != static_cast<int>(input) || own.columns != columns) {
      bad_argument("patches of one input must follow each other and have the same columns");
    }
    const uint64_t after = own.patches.empty() ? 0 : own.patches.back().end;
    own.patches.push_back(read_patch(one, op, columns, after, handles));
  }
}

}  // namespace sinter
