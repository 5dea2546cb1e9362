// Causal attention of one layer, sequence by sequence: a token sees itself and what is before it in its own sequence.
#pragma once

#include "decoder.h"
#include "elementwise.h"

namespace sinter {

/// Cosines and sines of the positions [0, longest), times the decoder's scale: longest x head_size / 2 each.
struct RotaryTable {
  std::vector<float> cosines;
  std::vector<float> sines;
};

RotaryTable rotary_table(const Decoder& decoder, uint64_t longest);

/// Queries, keys and values of all tokens: tokens x (heads or key_heads) head_size. `query` becomes what the heads read.
void attend(const Decoder& decoder, uint64_t window, const Batch& batch, float* query, const float* key,
            const float* value, Team& team, const ProductKernels& products, const ElementwiseKernels& loops);

}  // namespace sinter
