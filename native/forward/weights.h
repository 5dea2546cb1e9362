// Weights of a forward pass as they are read: small ones widened, the pages of large ones asked for and given back.
#pragma once

#include <vector>

#include "decoder.h"

namespace sinter {

/// Row `row` of a weight in float32.
void widen_row(const Weight& weight, uint64_t row, float* out);

/// A vector in float32.
std::vector<float> widen(const Weight& weight);

/// Makes what the weights of a layer need that an adapter changes; `release` gives it back.
void prepare(const DecoderLayer& layer, Team& team);
void prepare(const Weight& weight, Team& team);

/// Asks for the bytes of a layer before they are needed: a cold disk works while the cores compute.
void want(const DecoderLayer& layer);

/// Gives the mapped pages of a layer back, and what `prepare` made. They stay in the system's cache.
void release(const DecoderLayer& layer);

/// The same for rows [begin, end) of a weight.
void release(const Weight& weight, uint64_t begin, uint64_t end);

/// Throws Failure SOURCE_FAILED where a file of the layer shrank or failed.
void check(const DecoderLayer& layer);
void check(const Weight& weight);

}  // namespace sinter
