#include "forward.h"

#include <algorithm>
#include <climits>
#include <string_view>

#include "../device/library.h"
#include "../device/products.h"
#include "op.h"
#include "values.h"

namespace sinter {
namespace {

/// Most of any dimension: keeps products of two of them within 64 bits.
constexpr uint64_t kMostSize = uint64_t{1} << 31;

uint64_t size_of(const Napi::Value& value, const char* name) {
  const uint64_t size = whole(value, name);
  if (size == 0 || size > kMostSize) bad_argument(std::string(name) + " is out of range");
  return size;
}

/// Reads the weights of one object, each by its name.
class WeightReader {
 public:
  WeightReader(const Napi::Object& from, const Handles& handles, const KernelSet& kernels)
      : from_(from), handles_(handles), kernels_(kernels) {}

  /// A weight of `rows` x `columns`; absent where it may be and is.
  Weight weight(const char* name, uint64_t rows, uint64_t columns, bool optional = false) const {
    const Napi::Value value = from_.Get(name);
    if (optional && value.IsUndefined()) return {};
    const Napi::Object view = object(value);
    Weight weight;
    weight.dtype = dtype_of(view.Get("dtype"));
    if (!is_float(weight.dtype)) bad_argument(std::string(name) + " must be of a float dtype");
    weight.rows = rows;
    weight.columns = columns;
    weight.source = handles_.source(view.Get("source"));
    const bool is_plain = view.Get("layout").IsUndefined();
    if (!is_plain || !view.Get("patches").IsUndefined()) {
      weight.patched = std::make_shared<PatchedTensor>(read_tensor(view, rows * columns, handles_), kernels_);
    }
    if (!is_plain) return weight;
    const uint64_t offset = whole(view.Get("offset"), "offset");
    check_range(offset, weight.bytes(), weight.source->size(), "source");
    weight.data = weight.source->data() + offset;
    return weight;
  }

  Linear linear(const char* name, const char* bias, uint64_t outputs, uint64_t inputs) const {
    return {weight(name, outputs, inputs), weight(bias, 1, outputs, true)};
  }

 private:
  const Napi::Object& from_;
  const Handles& handles_;
  const KernelSet& kernels_;
};

DecoderLayer read_layer(const Decoder& decoder, const Napi::Object& from, const Handles& handles,
                        const KernelSet& kernels) {
  const WeightReader read(from, handles, kernels);
  const uint64_t queries = decoder.heads * decoder.head_size, keys = decoder.key_heads * decoder.head_size;
  DecoderLayer layer;
  layer.attention_norm = read.weight("attentionNorm", 1, decoder.width);
  layer.query = read.linear("query", "queryBias", queries, decoder.width);
  layer.key = read.linear("key", "keyBias", keys, decoder.width);
  layer.value = read.linear("value", "valueBias", keys, decoder.width);
  layer.output = read.linear("output", "outputBias", decoder.width, queries);
  layer.query_norm = read.weight("queryNorm", 1, decoder.head_size, true);
  layer.key_norm = read.weight("keyNorm", 1, decoder.head_size, true);
  layer.mlp_norm = read.weight("mlpNorm", 1, decoder.width);
  layer.gate = read.linear("gate", "gateBias", decoder.intermediate, decoder.width);
  layer.up = read.linear("up", "upBias", decoder.intermediate, decoder.width);
  layer.down = read.linear("down", "downBias", decoder.width, decoder.intermediate);
  layer.window = whole(from.Get("window"), "window");
  return layer;
}

void read_batch(const Napi::Object& from, uint64_t vocabulary, Batch& batch) {
  if (!from.Get("ids").IsTypedArray() || from.Get("ids").As<Napi::TypedArray>().TypedArrayType() != napi_int32_array) {
    bad_argument("ids must be an Int32Array");
  }
  const Napi::Int32Array ids = from.Get("ids").As<Napi::Int32Array>();
  batch.ids.assign(ids.Data(), ids.Data() + ids.ElementLength());
  for (const int32_t id : batch.ids) {
    if (id < 0 || static_cast<uint64_t>(id) >= vocabulary) bad_argument("a token id is beyond the vocabulary");
  }
  if (!from.Get("lengths").IsArray()) bad_argument("lengths must be a list");
  const Napi::Array lengths = from.Get("lengths").As<Napi::Array>();
  batch.starts = {0};
  for (uint32_t s = 0; s < lengths.Length(); s++) {
    batch.starts.push_back(batch.starts.back() + size_of(lengths.Get(s), "lengths"));
  }
  if (batch.ids.empty() || batch.starts.back() != batch.ids.size()) bad_argument("lengths must add up to the ids");
}

States states_of(const Napi::Value& value) {
  const std::string name = text(value, "states");
  if (name == "last") return States::last;
  if (name == "average") return States::average;
  if (name != "none") bad_argument("states must be none, last or average");
  return States::none;
}

void read_device(const Napi::Object& from, ForwardJob& job) {
  job.strict = from.Get("strict").ToBoolean();
  const Napi::Value path = from.Get("library");
  const FoundLibrary& found = find_device_library(path.IsUndefined() ? "" : text(path, "library"));
  const int index = static_cast<int>(std::min<uint64_t>(whole(from.Get("index"), "index"), INT_MAX));
  std::string reason = found.message;
  if (found.library != nullptr) job.device = open_device(*found.library, index, reason);
  DeviceFacts facts{};
  if (job.device != nullptr && job.device->facts(facts) != DeviceStatus::ok) {
    reason = job.device->message();
    job.device = nullptr;
  }
  if (job.device == nullptr) {
    if (job.strict) throw Failure("DEVICE_FAILED", reason);
    job.device_failure = reason;
    return;
  }
  job.device_name = "cuda:" + std::to_string(index) + " (" + facts.name + ")";
  const Napi::Value library = from.Get("cublas");
  if (!library.IsUndefined()) job.cublas_file = text(library, "cublas");
  const Napi::Value memory = from.Get("memory");
  job.device_memory = memory.IsUndefined() ? facts.free / 2 : whole(memory, "memory");
  if (!from.Get("pinned").IsUndefined()) job.device_pinned = whole(from.Get("pinned"), "pinned");
}

}  // namespace

std::shared_ptr<ForwardJob> read_forward(const Napi::Object& from, const Handles& handles, const KernelSet& kernels) {
  auto job = std::make_shared<ForwardJob>();
  Decoder& decoder = job->decoder;
  decoder.width = size_of(from.Get("width"), "width");
  decoder.heads = size_of(from.Get("heads"), "heads");
  decoder.key_heads = size_of(from.Get("keyHeads"), "keyHeads");
  decoder.head_size = size_of(from.Get("headSize"), "headSize");
  decoder.intermediate = size_of(from.Get("intermediate"), "intermediate");
  const uint64_t vocabulary = size_of(from.Get("vocabulary"), "vocabulary");
  if (decoder.heads % decoder.key_heads != 0) bad_argument("keyHeads must divide heads");
  if (decoder.head_size % 2 != 0) bad_argument("headSize must be even");
  if (decoder.heads > kMostSize / decoder.head_size) bad_argument("heads are out of range");
  decoder.epsilon = real(from.Get("epsilon"), "epsilon");
  decoder.rotary_scale = static_cast<float>(real(from.Get("rotaryScale"), "rotaryScale"));
  if (!from.Get("frequencies").IsArray()) bad_argument("frequencies must be a list");
  const Napi::Array frequencies = from.Get("frequencies").As<Napi::Array>();
  for (uint32_t i = 0; i < frequencies.Length(); i++) {
    decoder.frequencies.push_back(static_cast<float>(real(frequencies.Get(i), "frequencies")));
  }
  if (decoder.frequencies.size() != decoder.head_size / 2) bad_argument("there is a frequency for each pair of a head");

  job->states = states_of(from.Get("states"));
  job->log_probabilities = from.Get("logProbabilities").ToBoolean();
  const WeightReader read(from, handles, kernels);
  decoder.embedding = read.weight("embedding", vocabulary, decoder.width);
  if (!from.Get("layers").IsArray()) bad_argument("layers must be a list");
  const Napi::Array layers = from.Get("layers").As<Napi::Array>();
  for (uint32_t i = 0; i < layers.Length(); i++) {
    decoder.layers.push_back(read_layer(decoder, object(layers.Get(i)), handles, kernels));
  }
  if (job->log_probabilities) {
    decoder.norm = read.weight("norm", 1, decoder.width);
    decoder.head = read.weight("head", vocabulary, decoder.width);
  }
  read_batch(from, vocabulary, job->batch);
  if (!from.Get("device").IsUndefined()) read_device(object(from.Get("device")), *job);
  return job;
}

bool ForwardJob::run_on_device(Team& team, const ProductKernels& products) {
  try {
    DeviceProducts multiplier(*device, cublas_file, device_memory, device_pinned);
    result = forward(decoder, batch, states, log_probabilities, team, products, cancelled, &multiplier);
    return true;
  } catch (const Failure& caught) {
    if (strict || std::string_view(caught.code) != "DEVICE_FAILED") throw;
    device_failure = caught.what();
    return false;
  }
}

void ForwardJob::run(unsigned threads, const std::string& target) {
  try {
    Team team(threads);
    const ProductKernels& products = *find_products(target);
    if (device == nullptr || !run_on_device(team, products)) {
      result = forward(decoder, batch, states, log_probabilities, team, products, cancelled);
    }
  } catch (const Failure& caught) {
    failure = caught;
  } catch (const std::exception& caught) {
    failure.emplace("BAD_ARGUMENT", caught.what());
  }
  decoder = {};
}

Napi::Value forward_result(Napi::Env env, const ForwardJob& job) {
  Napi::Object result = Napi::Object::New(env);
  const std::vector<float>& states = job.result.states;
  const std::vector<double>& probabilities = job.result.log_probabilities;
  Napi::Float32Array state_array = Napi::Float32Array::New(env, states.size());
  std::copy(states.begin(), states.end(), state_array.Data());
  Napi::Float64Array probability_array = Napi::Float64Array::New(env, probabilities.size());
  std::copy(probabilities.begin(), probabilities.end(), probability_array.Data());
  result.Set("states", state_array);
  result.Set("logProbabilities", probability_array);
  if (!job.device_failure.empty()) {
    result.Set("deviceFailure", job.device_failure);
  } else if (job.device != nullptr) {
    result.Set("device", job.device_name);
  }
  return result;
}

}  // namespace sinter
