// A decoder of the llama kind: what a forward pass is given, and what it finds.
//
// Each layer is x += o(attention(norm(x))), x += down(silu(gate(norm(x))) * up(norm(x))), with RMS norms, rotary position
// embedding (halves rotated), grouped-query causal attention within each sequence, optionally within a sliding window, and
// optionally norms of queries and keys per head. Weights are read where they are mapped, layer by layer, in whatever float
// dtype they are stored; all work is in float32, sums of norms and of probabilities in float64.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "../engine/patched-tensor.h"
#include "../io/source.h"
#include "../linear/gemm.h"

namespace sinter {

class DeviceProducts;

/// A stored tensor, row-major: a matrix, or a vector of one row. Absent where `source` is null.
struct Weight {
  std::shared_ptr<Source> source;
  /// Null where the elements do not lie one after another.
  const std::byte* data = nullptr;
  Dtype dtype = Dtype::F32;
  uint64_t rows = 0;
  uint64_t columns = 0;
  /// Reads the weight where an adapter changes it, or its elements do not lie one after another; else null.
  std::shared_ptr<PatchedTensor> patched = nullptr;

  explicit operator bool() const { return source != nullptr; }
  uint64_t bytes() const { return rows * columns * element_size(dtype); }
  /// As the right operand of a product: its rows are outputs. Only of what is read as it is stored.
  Matrix matrix() const { return Matrix::stored(data, dtype, rows, columns, columns).transposed(); }
};

/// A linear map: outputs x inputs, and perhaps a bias.
struct Linear {
  Weight weight;
  Weight bias;
};

struct DecoderLayer {
  Weight attention_norm;
  Linear query, key, value, output;
  /// Per head; absent in most families.
  Weight query_norm, key_norm;
  Weight mlp_norm;
  Linear gate, up, down;
  /// Positions that a position sees, itself included; 0: all before it.
  uint64_t window = 0;
};

struct Decoder {
  uint64_t width = 0;
  uint64_t heads = 0;
  uint64_t key_heads = 0;
  /// Even.
  uint64_t head_size = 0;
  uint64_t intermediate = 0;
  double epsilon = 0.0;
  /// Radians per position, one for each pair of a head's elements; and what sines and cosines are multiplied by.
  std::vector<float> frequencies;
  float rotary_scale = 1.0f;
  Weight embedding;
  std::vector<DecoderLayer> layers;
  Weight norm;
  /// Absent where no log-probabilities are wanted.
  Weight head;
};

/// Sequences of tokens, one after the other. Sequence s is ids [starts[s], starts[s + 1]); none is empty.
struct Batch {
  std::vector<int32_t> ids;
  std::vector<uint64_t> starts;

  uint64_t sequences() const { return starts.size() - 1; }
};

enum class States { none, last, average };

struct ForwardResult {
  /// What each layer is given, of each sequence: layers x sequences x width. Its last token's, or the mean of all.
  std::vector<float> states;
  /// log p(token | tokens before it in its sequence); 0 for the first of a sequence.
  std::vector<double> log_probabilities;
};

/// Runs a batch through a decoder. Throws Failure SOURCE_FAILED where an input file shrank or failed, CANCELLED where
/// `cancelled` became true, DEVICE_FAILED where a device did that was to multiply with the weights. Memory: some (4 width + heads head_size + 2 intermediate) floats a token, scores of 64 tokens
/// against all a thread, and no weights beyond the packed panels of `gemm` (with an adapter: 8 MiB of one, and the
/// factors of one layer); pages of the files are given back.
ForwardResult forward(const Decoder& decoder, const Batch& batch, States states, bool log_probabilities, Team& team,
                      const ProductKernels& products, const std::atomic<bool>& cancelled,
                      DeviceProducts* device = nullptr);

}  // namespace sinter
