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

/// @param elements of the input or piece.
Patch read_patch(const Napi::Object& from, Op& op, const InputPatches& own, uint64_t elements, const Handles& handles) {
  const uint64_t columns = own.columns;
  const uint64_t after = own.patches.empty() ? 0 : own.patches.back().end;
  Patch patch{};
  patch.begin = whole(from.Get("begin"), "begin");
  patch.end = whole(from.Get("end"), "end");
  const uint64_t rows = patch.end - patch.begin;
  if (patch.begin < after || patch.end <= patch.begin || patch.end > elements / columns) {
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

/// What patches change: an input, or a piece that its rows are gathered from.
struct Patched {
  const RowPiece* piece;
  const InputPatches** patches;
  uint64_t elements;
};

Patched find_patched(const Napi::Object& from, Op& op, uint64_t input) {
  Job& job = op.job;
  if (input >= static_cast<uint64_t>(job.inputs)) bad_argument("a patch is of an input that there is not");
  InputSpan& span = job.input[input];
  const Napi::Value piece = from.Get("piece");
  if (span.gather == nullptr) {
    if (!piece.IsUndefined()) bad_argument("a patch is of a piece, and the input gathers no rows");
    return {nullptr, &span.patches, job.input_count};
  }
  const uint64_t number = whole(piece, "piece");
  for (const std::unique_ptr<RowGather>& gather : op.gathers) {
    if (gather.get() != span.gather) continue;
    if (number >= gather->pieces.size()) break;
    RowPiece& found = gather->pieces[number];
    return {&found, &found.patches, found.rows * gather->width};
  }
  bad_argument("a patch is of a piece that there is not");
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
    const Patched patched = find_patched(one, op, input);
    if (columns == 0 || patched.elements % columns != 0) bad_argument("columns of a patch must divide what it changes");
    if (*patched.patches == nullptr) {
      auto own = std::make_unique<InputPatches>();
      own->input = static_cast<int>(input);
      own->piece = patched.piece;
      own->number = job.patches.size();
      own->columns = columns;
      *patched.patches = own.get();
      job.patches.push_back(std::move(own));
    }
    InputPatches& own = *job.patches.back();
    if (&own != *patched.patches || own.columns != columns) {
      bad_argument("patches of one input or piece must follow each other and have the same columns");
    }
    own.patches.push_back(read_patch(one, op, own, patched.elements, handles));
  }
}

}  // namespace sinter
