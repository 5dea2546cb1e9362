#include <algorithm>
#include <cmath>

#include "../device/products.h"
#include "../io/error.h"
#include "attention.h"
#include "decoder.h"
#include "elementwise.h"
#include "weights.h"

namespace sinter {
namespace {

/// Tokens that one task of an elementwise loop takes.
constexpr uint64_t kRowsPerTask = 8;

/// Tokens whose intermediate activations are in memory at a time.
constexpr uint64_t kMlpRows = 1024;

/// Floats of a weight with an adapter's changes that are in memory at a time: 8 MiB.
constexpr uint64_t kPatchedFloats = 2 << 20;

/// Those that one task makes: a multiple of the 1024 that are made at once.
constexpr uint64_t kPatchedTask = 64 << 10;

/// Floats of logits that are in memory at a time: 32 MiB.
constexpr uint64_t kLogits = 8 << 20;

class Pass {
 public:
  Pass(const Decoder& decoder, const Batch& batch, Team& team, const ProductKernels& products, DeviceProducts* device)
      : decoder_(decoder),
        batch_(batch),
        team_(team),
        products_(products),
        device_(device),
        loops_(elementwise_kernels(products.target)),
        tokens_(batch.ids.size()),
        x_(tokens_ * decoder.width),
        normed_(tokens_ * decoder.width),
        query_(tokens_ * decoder.heads * decoder.head_size),
        key_(tokens_ * decoder.key_heads * decoder.head_size),
        value_(key_.size()),
        gate_(std::min(tokens_, kMlpRows) * decoder.intermediate),
        up_(gate_.size()) {
    uint64_t longest = 0;
    for (uint64_t s = 0; s < batch.sequences(); s++) {
      longest = std::max(longest, batch.starts[s + 1] - batch.starts[s]);
      for (uint64_t i = batch.starts[s]; i < batch.starts[s + 1]; i++) positions_.push_back(i - batch.starts[s]);
    }
    rotary_ = rotary_table(decoder, longest);
  }

  void embed() {
    prepare(decoder_.embedding, team_);
    rows([this](uint64_t row) {
      widen_row(decoder_.embedding, static_cast<uint64_t>(batch_.ids[row]), x_.data() + row * decoder_.width);
    });
    check(decoder_.embedding);
  }

  void layer(const DecoderLayer& layer) {
    prepare(layer, team_);
    normalise(layer.attention_norm);
    apply(layer.query, normed_.data(), tokens_, query_.data(), 0.0f);
    apply(layer.key, normed_.data(), tokens_, key_.data(), 0.0f);
    apply(layer.value, normed_.data(), tokens_, value_.data(), 0.0f);
    position(query_.data(), decoder_.heads, layer.query_norm);
    position(key_.data(), decoder_.key_heads, layer.key_norm);
    attend(decoder_, layer.window, batch_, query_.data(), key_.data(), value_.data(), team_, products_, loops_);
    apply(layer.output, query_.data(), tokens_, x_.data(), 1.0f);
    normalise(layer.mlp_norm);
    for (uint64_t begin = 0; begin < tokens_; begin += kMlpRows) mlp(layer, begin, std::min(begin + kMlpRows, tokens_));
    check(layer);
  }

  /// What the next layer is given, of each sequence.
  void record(States states, float* out) const {
    std::vector<double> sums(decoder_.width);
    for (uint64_t s = 0; s < batch_.sequences(); s++) {
      const uint64_t begin = batch_.starts[s], end = batch_.starts[s + 1];
      const uint64_t from = states == States::last ? end - 1 : begin;
      std::fill(sums.begin(), sums.end(), 0.0);
      for (uint64_t row = from; row < end; row++) {
        const float* x = x_.data() + row * decoder_.width;
        for (uint64_t i = 0; i < decoder_.width; i++) sums[i] += x[i];
      }
      for (uint64_t i = 0; i < decoder_.width; i++) {
        out[s * decoder_.width + i] = static_cast<float>(sums[i] / static_cast<double>(end - from));
      }
    }
  }

  /// Logits of all tokens, some of the vocabulary at a time.
  std::vector<double> log_probabilities(const std::atomic<bool>& cancelled) {
    const Weight& head = decoder_.head;
    prepare(decoder_.norm, team_);
    prepare(head, team_);
    normalise(decoder_.norm);
    const uint64_t chunk = std::clamp<uint64_t>(kLogits / tokens_, 256, 16384);
    std::vector<float> logits(tokens_ * std::min(chunk, head.rows));
    std::vector<double> max(tokens_, -1e300), sum(tokens_, 0.0), own(tokens_, 0.0);
    for (uint64_t begin = 0; begin < head.rows; begin += chunk) {
      if (cancelled) throw Failure("CANCELLED", "cancelled");
      const uint64_t end = std::min(begin + chunk, head.rows), count = end - begin;
      multiply(Matrix::stored(normed_.data(), tokens_, decoder_.width), head, begin, end, logits.data(), count, 0.0f);
      rows([&](uint64_t row) {
        const float* of_row = logits.data() + row * count;
        loops_.log_sum_exp(of_row, count, max[row], sum[row]);
        const uint64_t next = row + 1 < tokens_ ? static_cast<uint64_t>(batch_.ids[row + 1]) : head.rows;
        if (next >= begin && next < end) own[row] = of_row[next - begin];
      });
      release(head, begin, end);
      check(head);
    }
    std::vector<double> found(tokens_, 0.0);
    for (uint64_t row = 1; row < tokens_; row++) {
      if (positions_[row] > 0) found[row] = own[row - 1] - max[row - 1] - std::log(sum[row - 1]);
    }
    return found;
  }

 private:
  /// Calls `use` for each token's row, side by side.
  template <class Use>
  void rows(Use use) {
    team_.run((tokens_ + kRowsPerTask - 1) / kRowsPerTask, [&](uint64_t task) {
      const uint64_t end = std::min((task + 1) * kRowsPerTask, tokens_);
      for (uint64_t row = task * kRowsPerTask; row < end; row++) use(row);
    });
  }

  void normalise(const Weight& norm) {
    const std::vector<float> weight = widen(norm);
    const uint64_t width = decoder_.width;
    rows([&](uint64_t row) {
      loops_.rms_norm(x_.data() + row * width, weight.data(), decoder_.epsilon, width, normed_.data() + row * width);
    });
  }

  /// out = keep out + the product with rows [begin, end) of a weight, rows of `out` `stride` floats apart.
  void multiply(const Matrix& in, const Weight& weight, uint64_t begin, uint64_t end, float* out, uint64_t stride,
                float keep) {
    const uint64_t columns = weight.columns;
    if (weight.patched == nullptr) {
      const std::byte* const data = weight.data + begin * columns * element_size(weight.dtype);
      return multiply(in, Matrix::stored(data, weight.dtype, end - begin, columns, columns), out, stride, keep);
    }
    const uint64_t some = std::max<uint64_t>(1, kPatchedFloats / columns);
    patched_.resize(std::min(some, end - begin) * columns);
    for (uint64_t row = begin; row < end; row += some) {
      const uint64_t count = std::min(some, end - row);
      const uint64_t elements = count * columns;
      team_.run((elements + kPatchedTask - 1) / kPatchedTask, [&](uint64_t task) {
        const uint64_t from = task * kPatchedTask;
        weight.patched->read(row * columns + from, row * columns + std::min(from + kPatchedTask, elements),
                             patched_.data() + from);
      });
      multiply(in, Matrix::stored(patched_.data(), count, columns), out + (row - begin), stride, keep);
    }
  }

  /// out = keep out + in W^T, the weight row-major without gaps.
  void multiply(const Matrix& in, const Matrix& weight, float* out, uint64_t stride, float keep) {
    if (device_ == nullptr) return gemm(team_, in, weight.transposed(), out, stride, 1.0f, keep, products_);
    device_->multiply(team_, weight, reinterpret_cast<const float*>(in.data), in.rows, out, stride, keep);
  }

  /// out = keep out + weight in + bias.
  void apply(const Linear& linear, const float* in, uint64_t count, float* out, float keep) {
    const uint64_t width = linear.weight.rows;
    multiply(Matrix::stored(in, count, linear.weight.columns), linear.weight, 0, width, out, width, keep);
    if (!linear.bias) return;
    const std::vector<float> bias = widen(linear.bias);
    team_.run(count, [&](uint64_t row) { loops_.add(out + row * width, bias.data(), width); });
  }

  /// Norms and rotates queries or keys, head by head.
  void position(float* vectors, uint64_t heads, const Weight& norm) {
    const std::vector<float> weight = norm ? widen(norm) : std::vector<float>();
    const uint64_t size = decoder_.head_size, half = size / 2;
    rows([&](uint64_t row) {
      for (uint64_t head = 0; head < heads; head++) {
        float* vector = vectors + (row * heads + head) * size;
        if (norm) loops_.rms_norm(vector, weight.data(), decoder_.epsilon, size, vector);
        loops_.rotate(vector, rotary_.cosines.data() + positions_[row] * half,
                      rotary_.sines.data() + positions_[row] * half, half);
      }
    });
  }

  void mlp(const DecoderLayer& layer, uint64_t begin, uint64_t end) {
    const uint64_t count = end - begin, wide = decoder_.intermediate;
    const float* in = normed_.data() + begin * decoder_.width;
    apply(layer.gate, in, count, gate_.data(), 0.0f);
    apply(layer.up, in, count, up_.data(), 0.0f);
    team_.run(count, [&](uint64_t row) { loops_.swiglu(gate_.data() + row * wide, up_.data() + row * wide, wide); });
    apply(layer.down, gate_.data(), count, x_.data() + begin * decoder_.width, 1.0f);
  }

  const Decoder& decoder_;
  const Batch& batch_;
  Team& team_;
  const ProductKernels& products_;
  /// Null: the CPU multiplies.
  DeviceProducts* device_;
  const ElementwiseKernels& loops_;
  uint64_t tokens_;
  /// Each token's position in its sequence.
  std::vector<uint64_t> positions_;
  RotaryTable rotary_;
  /// The residual stream, tokens x width, and other activations.
  std::vector<float> x_, normed_, query_, key_, value_, gate_, up_;
  /// Some rows of a weight that an adapter changes.
  std::vector<float> patched_;
};

}  // namespace

ForwardResult forward(const Decoder& decoder, const Batch& batch, States states, bool log_probabilities, Team& team,
                      const ProductKernels& products, const std::atomic<bool>& cancelled, DeviceProducts* device) {
  ForwardResult result;
  const uint64_t layers = decoder.layers.size();
  const uint64_t layer_states = batch.sequences() * decoder.width;
  if (states != States::none) result.states.resize(layers * layer_states);
  Pass pass(decoder, batch, team, products, device);
  pass.embed();
  for (uint64_t i = 0; i < layers; i++) {
    if (cancelled) throw Failure("CANCELLED", "cancelled");
    if (states != States::none) pass.record(states, result.states.data() + i * layer_states);
    // Nobody asks what the last layer makes of it.
    if (i + 1 == layers && !log_probabilities) break;
    if (i + 1 < layers) want(decoder.layers[i + 1]);
    pass.layer(decoder.layers[i]);
    release(decoder.layers[i]);
  }
  if (log_probabilities) result.log_probabilities = pass.log_probabilities(cancelled);
  return result;
}

}  // namespace sinter
