#include "attention.h"

#include <algorithm>
#include <cmath>

namespace sinter {
namespace {

/// Tokens whose scores are in memory at a time, per thread.
constexpr uint64_t kQueryBlock = 64;

/// Some tokens of one sequence, in one head.
struct Part {
  uint64_t start;  // of the sequence
  uint64_t begin;  // of the tokens, within the sequence
  uint64_t end;
  uint64_t head;
};

void attend_part(const Decoder& decoder, uint64_t window, const Part& part, float* query, const float* key,
                 const float* value, Team& team, const ProductKernels& products, const ElementwiseKernels& loops) {
  const uint64_t size = decoder.head_size;
  const uint64_t query_stride = decoder.heads * size, key_stride = decoder.key_heads * size;
  const uint64_t key_head = part.head / (decoder.heads / decoder.key_heads);
  const uint64_t first = window == 0 || part.begin + 1 < window ? 0 : part.begin + 1 - window;
  const uint64_t seen = part.end - first;
  const uint64_t rows = part.end - part.begin;
  thread_local std::vector<float> scores;
  scores.resize(rows * seen);

  float* queries = query + (part.start + part.begin) * query_stride + part.head * size;
  const uint64_t keys = (part.start + first) * key_stride + key_head * size;
  gemm(team, Matrix::stored(queries, rows, size, query_stride),
       Matrix::stored(key + keys, seen, size, key_stride).transposed(), scores.data(), seen, 1.0f, 0.0f, products);
  const auto scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(size)));
  for (uint64_t r = 0; r < rows; r++) {
    const uint64_t position = part.begin + r;
    const uint64_t from = window == 0 || position + 1 < window ? 0 : position + 1 - window;
    float* row = scores.data() + r * seen;
    std::fill(row, row + (from - first), 0.0f);
    std::fill(row + (position + 1 - first), row + seen, 0.0f);
    loops.softmax(row + (from - first), scale, position + 1 - from);
  }
  gemm(team, Matrix::stored(scores.data(), rows, seen), Matrix::stored(value + keys, seen, size, key_stride), queries,
       query_stride, 1.0f, 0.0f, products);
}

}  // namespace

RotaryTable rotary_table(const Decoder& decoder, uint64_t longest) {
  const uint64_t half = decoder.head_size / 2;
  RotaryTable table{std::vector<float>(longest * half), std::vector<float>(longest * half)};
  for (uint64_t position = 0; position < longest; position++) {
    for (uint64_t i = 0; i < half; i++) {
      // The angle is rounded as models were trained with: to float32.
      const double angle = static_cast<float>(position) * decoder.frequencies[i];
      table.cosines[position * half + i] = static_cast<float>(std::cos(angle)) * decoder.rotary_scale;
      table.sines[position * half + i] = static_cast<float>(std::sin(angle)) * decoder.rotary_scale;
    }
  }
  return table;
}

void attend(const Decoder& decoder, uint64_t window, const Batch& batch, float* query, const float* key,
            const float* value, Team& team, const ProductKernels& products, const ElementwiseKernels& loops) {
  std::vector<Part> parts;
  for (uint64_t s = 0; s < batch.sequences(); s++) {
    const uint64_t length = batch.starts[s + 1] - batch.starts[s];
    for (uint64_t begin = 0; begin < length; begin += kQueryBlock) {
      for (uint64_t head = 0; head < decoder.heads; head++) {
        parts.push_back({batch.starts[s], begin, std::min(begin + kQueryBlock, length), head});
      }
    }
  }
  team.run(parts.size(),
           [&](uint64_t i) { attend_part(decoder, window, parts[i], query, key, value, team, products, loops); });
}

}  // namespace sinter
