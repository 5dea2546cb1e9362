#include "routing.h"

#include <vector>

#include "../engine/patched-tensor.h"
#include "../numeric/gather.h"
#include "../numeric/routing.h"
#include "op.h"
#include "values.h"

namespace sinter {
namespace {

Napi::Int32Array int32s(const Napi::Value& value, const char* name) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_int32_array) {
    bad_argument(std::string(name) + " must be an Int32Array");
  }
  return value.As<Napi::Int32Array>();
}

std::vector<uint32_t> indices(const Napi::Value& value, uint64_t below) {
  const Napi::Int32Array array = int32s(value, "indices");
  std::vector<uint32_t> list;
  for (size_t i = 0; i < array.ElementLength(); i++) {
    if (array[i] < 0 || static_cast<uint64_t>(array[i]) >= below) bad_argument("an index lies beyond the last vector");
    list.push_back(static_cast<uint32_t>(array[i]));
  }
  return list;
}

}  // namespace

Napi::Value gather_rows_of(Napi::Env env, const Napi::Object& from, const Handles& handles, const KernelSet& kernels) {
  const std::shared_ptr<Source> source = handles.source(from.Get("source"));
  const uint64_t offset = whole(from.Get("offset"), "offset");
  const Dtype dtype = dtype_of(from.Get("dtype"));
  if (!is_float(dtype)) bad_argument("rows are gathered of floats only");
  const uint64_t rows = whole(from.Get("rows"), "rows");
  const uint64_t columns = whole(from.Get("columns"), "columns");
  // Their product in bytes stays below 2^63.
  if (rows > UINT32_MAX || columns > (1u << 28)) bad_argument("no matrix is that large");
  const bool is_plain = from.Get("layout").IsUndefined() && from.Get("patches").IsUndefined();
  if (is_plain) check_range(offset, rows * columns * element_size(dtype), source->size(), "source");
  const Napi::Int32Array ids = int32s(from.Get("ids"), "ids");
  for (size_t i = 0; i < ids.ElementLength(); i++) {
    if (ids[i] < 0 || static_cast<uint64_t>(ids[i]) >= rows) bad_argument("an id lies beyond the last row");
  }
  Napi::Float32Array out = Napi::Float32Array::New(env, ids.ElementLength() * columns);
  if (is_plain) {
    gather_rows(source->data() + offset, dtype, columns, ids.Data(), ids.ElementLength(), out.Data());
    if (source->failed()) throw Failure("SOURCE_FAILED", source->path() + " shrank or failed while it was read", 0);
    return out;
  }
  PatchedTensor tensor(read_tensor(from, rows * columns, handles), kernels);
  Team team(1);
  tensor.prepare(team);
  for (size_t i = 0; i < ids.ElementLength(); i++) {
    const uint64_t first = static_cast<uint64_t>(ids[i]) * columns;
    tensor.read(first, first + columns, out.Data() + i * columns);
  }
  tensor.check();
  return out;
}

Napi::Value route_of(Napi::Env env, const Napi::Object& from) {
  const uint64_t layers = whole(from.Get("layers"), "layers");
  const uint64_t width = whole(from.Get("width"), "width");
  const Napi::Value given = from.Get("vectors");
  if (!given.IsTypedArray() || given.As<Napi::TypedArray>().TypedArrayType() != napi_float32_array) {
    bad_argument("vectors must be a Float32Array");
  }
  const Napi::Float32Array vectors = given.As<Napi::Float32Array>();
  const uint64_t elements = vectors.ElementLength();
  if (layers == 0 || width == 0 || elements % layers != 0 || elements / layers % width != 0) {
    bad_argument("vectors must hold whole vectors, as many for each layer");
  }
  const uint64_t count = elements / layers / width;
  if (!from.Get("experts").IsArray()) bad_argument("experts must be a list");
  const Napi::Array list = from.Get("experts").As<Napi::Array>();
  std::vector<Prompts> experts;
  for (uint32_t i = 0; i < list.Length(); i++) {
    const Napi::Object expert = object(list.Get(i));
    experts.push_back({indices(expert.Get("positive"), count), indices(expert.Get("negative"), count)});
  }
  if (experts.empty()) bad_argument("there must be an expert");
  const std::string part = text(from.Get("part"), "part");
  if (part != "mean" && part != "direction") bad_argument("part must be mean or direction");
  const Routing routing =
      route(vectors.Data(), static_cast<uint32_t>(layers), static_cast<uint32_t>(count), static_cast<uint32_t>(width),
            experts, part == "mean" ? PromptPart::mean : PromptPart::direction);
  Napi::Object result = Napi::Object::New(env);
  result.Set("gates", float64s(env, routing.gates));
  result.Set("cosines", float64s(env, routing.cosines));
  result.Set("condition", float64s(env, routing.condition));
  return result;
}

}  // namespace sinter
