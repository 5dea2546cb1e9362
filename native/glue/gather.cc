#include "gather.h"

#include "values.h"

namespace sinter {
namespace {

std::vector<int32_t> row_numbers(const Napi::Value& value, const char* name) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_int32_array) {
    bad_argument(std::string(name) + " must be Int32Arrays");
  }
  const Napi::Int32Array numbers = value.As<Napi::Int32Array>();
  return {numbers.Data(), numbers.Data() + numbers.ElementLength()};
}

void check_row(int32_t code, uint64_t rows, const std::vector<int32_t>& mixes) {
  const auto is_row = [rows](int32_t row) { return row >= 0 && static_cast<uint64_t>(row) < rows; };
  if (is_row(code) || code == RowGather::kZeros || code == RowGather::kMean) return;
  const int64_t first = static_cast<int64_t>(RowGather::kMixed) - code;
  const int64_t size = static_cast<int64_t>(mixes.size());
  if (code < 0 && first < size) {
    const int64_t count = mixes[static_cast<size_t>(first)];
    bool fits = count > 0 && count < size - first;
    for (int64_t m = 1; fits && m <= count; m++) fits = is_row(mixes[static_cast<size_t>(first + m)]);
    if (fits) return;
  }
  bad_argument("a gathered row lies in no piece");
}

/// @returns how many rows all pieces have.
uint64_t read_pieces(const Napi::Object& from, RowGather& gather, Op& op, int input, const Handles& handles) {
  if (!from.Get("pieces").IsArray()) bad_argument("pieces must be a list");
  const Napi::Array pieces = from.Get("pieces").As<Napi::Array>();
  uint64_t rows = 0;
  for (uint32_t p = 0; p < pieces.Length(); p++) {
    const Napi::Object piece = object(pieces.Get(p));
    const std::shared_ptr<Source> source = handles.source(piece.Get("source"));
    const uint64_t offset = whole(piece.Get("offset"), "offset");
    const Dtype dtype = dtype_of(piece.Get("dtype"));
    const uint64_t count = whole(piece.Get("rows"), "rows");
    if (!is_float(dtype)) bad_argument("gathered rows must be floats");
    if (count > 0 && gather.width > source->size() / element_size(dtype) / count) {
      bad_argument("a piece has more rows than its source has bytes");
    }
    check_range(offset, count * gather.width * element_size(dtype), source->size(), "source");
    gather.pieces.push_back({source->data() + offset, dtype, count});
    op.sources.push_back(source);
    op.served_inputs.push_back(input);
    op.job.wide |= dtype == Dtype::F64;
    rows += count;
  }
  return rows;
}

void read_gather(const Napi::Object& from, Op& op, int input, const Handles& handles) {
  auto gather = std::make_unique<RowGather>();
  if (op.job.rows == 0 || op.job.count % op.job.rows != 0) bad_argument("gathered rows need a tensor of rows");
  gather->width = op.job.count / op.job.rows;
  if (gather->width == 0) bad_argument("gathered rows must not be empty");
  const uint64_t rows = read_pieces(from, *gather, op, input, handles);
  gather->rows = row_numbers(from.Get("rows"), "rows");
  if (gather->rows.size() != op.job.rows) bad_argument("rows must have a number for each row of the tensor");
  gather->mixes = row_numbers(from.Get("mixes"), "mixes");
  for (const int32_t row : gather->rows) check_row(row, rows, gather->mixes);
  uint64_t means = 0;
  for (const int32_t row : gather->rows) means += row == RowGather::kMean ? 1 : 0;
  gather->averaged = means == 0 ? 0 : op.job.rows - means;
  if (means > 0 && gather->averaged == 0) bad_argument("a mean needs rows");
  op.job.input[input].gather = gather.get();
  op.gathers.push_back(std::move(gather));
}

}  // namespace

void read_gathers(const Napi::Object& from, Op& op, const Handles& handles) {
  const Napi::Array inputs = from.Get("inputs").As<Napi::Array>();
  for (int i = 0; i < op.job.inputs; i++) {
    const Napi::Value gather = object(inputs.Get(static_cast<uint32_t>(i))).Get("gather");
    if (!gather.IsUndefined()) read_gather(object(gather), op, i, handles);
  }
}

}  // namespace sinter
