#include "transplant.h"

#include <vector>

#include "../numeric/digest.h"
#include "values.h"

namespace sinter {
namespace {

/// The elements of a typed array.
template <class Array, class Element>
std::vector<Element> elements(const Napi::Value& value, napi_typedarray_type type, const char* name) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != type) {
    bad_argument(std::string(name) + " is not the typed array that it should be");
  }
  const Array array = value.As<Array>();
  return std::vector<Element>(array.Data(), array.Data() + array.ElementLength());
}

WeightScheme scheme_of(const std::string& name) {
  if (name == "distance_proportional") return WeightScheme::distance_proportional;
  if (name == "barycentric") return WeightScheme::barycentric;
  if (name == "least_squares") return WeightScheme::least_squares;
  bad_argument("no weight scheme is named " + name);
}

Rotary read_rotary(const Napi::Object& from) {
  return {whole(from.Get("heads"), "heads"), real(from.Get("base"), "base")};
}

void read_numerics(const Napi::Object& from, Transplant& to) {
  to.k = whole(from.Get("k"), "k");
  to.batch = whole(from.Get("batch"), "batch");
  to.cosine = from.Get("cosine").ToBoolean();
  to.scheme = scheme_of(text(from.Get("weightScheme"), "weightScheme"));
  to.noise = real(from.Get("noise"), "noise");
  to.scale = real(from.Get("scale"), "scale");
  const std::string tensor = text(from.Get("tensor"), "tensor");
  to.key = xxh3_64(tensor.data(), tensor.size(), whole(from.Get("seed"), "seed"));
  if (to.method == Approximation::mp_rope) {
    to.donor_rotary = read_rotary(object(from.Get("donorRotary")));
    to.original_rotary = read_rotary(object(from.Get("originalRotary")));
  }
  if (to.method != Approximation::subword) return;
  const Napi::Object pieces = object(from.Get("pieces"));
  to.piece_ends = indices(pieces.Get("ends"), "ends");
  to.pieces = indices(pieces.Get("rows"), "rows");
  to.piece_weights = elements<Napi::Float64Array, double>(pieces.Get("weights"), napi_float64_array, "weights");
}

}  // namespace

std::vector<uint32_t> indices(const Napi::Value& value, const char* name) {
  return elements<Napi::Uint32Array, uint32_t>(value, napi_uint32_array, name);
}

std::pair<StoredRows, std::shared_ptr<Source>> read_rows(const Napi::Object& from, const Handles& handles) {
  const std::shared_ptr<Source> source = handles.source(from.Get("source"));
  StoredRows rows;
  const uint64_t offset = whole(from.Get("offset"), "offset");
  rows.dtype = dtype_of(from.Get("dtype"));
  if (!is_float(rows.dtype)) bad_argument("rows must be of a floating point dtype");
  rows.rows = whole(from.Get("rows"), "rows");
  rows.width = whole(from.Get("width"), "width");
  // In two steps, so that nothing overflows.
  const uint64_t most = source->size() / element_size(rows.dtype);
  if (rows.rows > 0 && rows.width > most / rows.rows) bad_argument("rows lie beyond the end of the source");
  check_range(offset, rows.rows * rows.width * element_size(rows.dtype), source->size(), "source");
  rows.data = source->data() + offset;
  return {rows, source};
}

std::shared_ptr<Transplant> read_transplant(const Napi::Object& from, const Handles& handles) {
  auto to = std::make_shared<Transplant>();
  to->method = approximation_of(text(from.Get("method"), "method"));
  for (const auto& [rows, name] : {std::pair{&to->original, "original"}, std::pair{&to->donor, "donor"}}) {
    const auto [read, source] = read_rows(object(from.Get(name)), handles);
    *rows = read;
    to->sources.push_back(source);
  }
  to->shared_original = indices(from.Get("sharedOriginal"), "sharedOriginal");
  to->shared_donor = indices(from.Get("sharedDonor"), "sharedDonor");
  to->targets = indices(from.Get("targets"), "targets");
  read_numerics(from, *to);
  to->sink = handles.sink(from.Get("sink"));
  to->offset = whole(from.Get("offset"), "offset");
  const uint64_t row_bytes = to->original.width * element_size(to->original.dtype);
  check_range(to->offset, to->targets.size() * row_bytes, to->sink->size(), "sink");
  check_transplant(*to);
  return to;
}

}  // namespace sinter
