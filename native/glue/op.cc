#include "op.h"

#include <algorithm>

#include "../numeric/digest.h"
#include "gather.h"
#include "patch.h"
#include "values.h"

namespace sinter {
namespace {

/// More than any file has.
constexpr uint64_t kMostElements = uint64_t{1} << 53;

std::vector<uint64_t> numbers_of(const Napi::Value& value, const char* name) {
  if (!value.IsArray()) bad_argument(std::string(name) + " must be a list");
  const Napi::Array list = value.As<Napi::Array>();
  if (list.Length() > kMaxDimensions) bad_argument(std::string(name) + " has too many entries");
  std::vector<uint64_t> numbers;
  for (uint32_t i = 0; i < list.Length(); i++) numbers.push_back(whole(list.Get(i), name));
  return numbers;
}

/// Null where there is none, and where the elements lie one after another all the same.
std::shared_ptr<const StridedLayout> layout_of(const Napi::Value& value, uint64_t count) {
  if (value.IsUndefined()) return nullptr;
  const Napi::Object from = object(value);
  StridedLayout given{numbers_of(from.Get("sizes"), "sizes"), numbers_of(from.Get("strides"), "strides")};
  if (given.sizes.size() != given.strides.size()) bad_argument("a layout has a stride for each size");
  uint64_t elements = 1;
  for (const uint64_t size : given.sizes) {
    if (__builtin_mul_overflow(elements, size, &elements)) bad_argument("a layout has too many elements");
  }
  if (elements != count) bad_argument("a layout has as many elements as the op");
  StridedLayout layout = given.simplified();
  const bool is_plain = layout.sizes.empty() || (layout.sizes.size() == 1 && layout.strides[0] == 1);
  return is_plain ? nullptr : std::make_shared<const StridedLayout>(std::move(layout));
}

void read_input(const Napi::Object& from, Op& op, int i, const Handles& handles) {
  const std::shared_ptr<Source> source = handles.source(from.Get("source"));
  const uint64_t offset = whole(from.Get("offset"), "offset");
  const Dtype dtype = dtype_of(from.Get("dtype"));
  const bool gathers = !from.Get("gather").IsUndefined();
  std::shared_ptr<const StridedLayout> layout = layout_of(from.Get("layout"), op.job.input_count);
  if (gathers && layout != nullptr) bad_argument("rows are gathered from pieces that lie one after another");
  const uint64_t elements = layout == nullptr ? op.job.input_count : std::min(layout->extent(), kMostElements);
  if (!gathers) check_range(offset, elements * element_size(dtype), source->size(), "source");
  if (op.kernel_name != "copy" && !is_float(dtype)) bad_argument("only copy reads integers");
  op.job.input[i] = {source->data() + offset, dtype, 0};
  op.job.input[i].layout = std::move(layout);
  op.job.wide |= dtype == Dtype::F64 && op.kernel_name != "copy" && !gathers;
  op.sources.push_back(source);
}

/// Inputs with their gathered rows and patches.
void read_inputs(const Napi::Object& from, Op& op, const Handles& handles) {
  if (!from.Get("inputs").IsArray()) bad_argument("inputs must be a list");
  const Napi::Array inputs = from.Get("inputs").As<Napi::Array>();
  if (inputs.Length() > kMaxInputs) {
    bad_argument("an op takes at most " + std::to_string(kMaxInputs) + " inputs");
  }
  op.job.inputs = static_cast<int>(inputs.Length());
  for (int i = 0; i < op.job.inputs; i++) {
    const Napi::Object input = object(inputs.Get(static_cast<uint32_t>(i)));
    read_input(input, op, i, handles);
    op.job.input[i].stream = static_cast<uint32_t>(whole(input.Get("stream"), "stream"));
  }
  read_gathers(from, op, handles);
  read_patches(from, op, handles);
}

}  // namespace

std::shared_ptr<Op> read_op(const Napi::Object& from, const Handles& handles) {
  auto op = std::make_shared<Op>();
  Job& job = op->job;
  op->kernel_name = text(from.Get("kernel"), "kernel");
  job.count = whole(from.Get("count"), "count");
  job.rows = whole(from.Get("rows"), "rows");
  job.columns = whole(from.Get("columns"), "columns");
  if (job.count > 0 &&
      (job.rows == 0 || job.columns == 0 || job.count % job.rows != 0 || job.count % job.columns != 0)) {
    bad_argument("rows and columns must divide count");
  }
  const Napi::Value elements = from.Get("elements");
  job.input_count = elements.IsUndefined() ? job.count : whole(elements, "elements");
  job.out = dtype_of(from.Get("dtype"));
  job.wide = job.out == Dtype::F64;
  op->wants_device = from.Get("device").ToBoolean();
  read_inputs(from, *op, handles);
  job.params = numbers(from.Get("params"));
  const std::string tensor = text(from.Get("tensor"), "tensor");
  job.key = xxh3_64(tensor.data(), tensor.size(), whole(from.Get("seed"), "seed"));
  return op;
}

void read_output(const Napi::Object& from, Op& op, const Handles& handles) {
  op.sink = handles.sink(from.Get("sink"));
  op.sink_offset = whole(from.Get("offset"), "offset");
  op.want_crc32 = from.Get("crc32").ToBoolean();
  check_range(op.sink_offset, op.job.count * element_size(op.job.out), op.sink->size(), "sink");
  if (op.kernel_name != "copy" && !is_float(op.job.out)) bad_argument("only copy writes integers");
}

std::shared_ptr<Op> read_measurement(const Napi::Object& from, const char* kernel, const Handles& handles) {
  auto op = std::make_shared<Op>();
  op->kernel_name = kernel;
  op->job.count = whole(from.Get("count"), "count");
  op->job.input_count = op->job.count;
  const Napi::Value rows = from.Get("rows");
  op->job.rows = rows.IsUndefined() ? 1 : whole(rows, "rows");
  const Napi::Value thresholds = from.Get("thresholds");
  if (!thresholds.IsUndefined()) op->job.params = numbers(thresholds);
  read_inputs(from, *op, handles);
  return op;
}

std::shared_ptr<Op> read_tensor(const Napi::Object& from, uint64_t count, const Handles& handles) {
  auto op = std::make_shared<Op>();
  op->kernel_name = "none";
  op->job.count = count;
  op->job.input_count = count;
  op->job.inputs = 1;
  read_input(from, *op, 0, handles);
  read_patches(from, *op, handles);
  return op;
}

Napi::Value result_of(Napi::Env env, const Op& op) {
  Napi::Object result = Napi::Object::New(env);
  std::string hex;
  for (const uint8_t byte : op.checksum) {
    hex += "0123456789abcdef"[byte >> 4];
    hex += "0123456789abcdef"[byte & 15];
  }
  result.Set("checksum", hex);
  result.Set("crc32", static_cast<double>(op.crc32));
  Napi::Array non_finite = Napi::Array::New(env, static_cast<size_t>(op.job.inputs));
  for (int i = 0; i < op.job.inputs; i++) {
    non_finite.Set(static_cast<uint32_t>(i), Napi::Boolean::New(env, (op.non_finite.load() >> i & 1) != 0));
  }
  result.Set("nonFinite", non_finite);
  if (!op.device.empty()) result.Set("device", op.device);
  if (!op.returned.empty()) result.Set("returned", op.returned);
  if (op.direct_bytes > 0) result.Set("directBytes", static_cast<double>(op.direct_bytes.load()));
  return result;
}

Napi::Value sums_of(Napi::Env env, const Op& op) { return float64s(env, op.job.sums); }

}  // namespace sinter
