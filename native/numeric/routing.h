// Routing vectors: what the router of a mixture of experts compares a hidden state with, one row per expert.
//
// Of an expert with positive prompts P and negative prompts N, given a vector for each: g = part(P) - part(N), divided by
// its norm. part is the mean, or the sum divided by its norm. A norm below 1e-8 counts as 1e-8. Everything is in double,
// in the order given.
//
// Source of the formula: the gate modes of mergekit-moe, docs/moe.md.
#pragma once

#include <cstdint>
#include <vector>

namespace sinter {

/// Indices into the vectors of a layer.
struct Prompts {
  std::vector<uint32_t> positive;
  std::vector<uint32_t> negative;
};

enum class PromptPart { mean, direction };

struct Routing {
  /// [layers, experts, width]
  std::vector<double> gates;
  /// [layers, experts, experts]: inner products of a layer's rows; cosines, as the rows have norm 1.
  std::vector<double> cosines;
  /// By layer: largest by smallest singular value of the rows; infinite where they are dependent, NaN where one is.
  std::vector<double> condition;
};

/// @param vectors [layers, count, width]; `experts` is not empty, and its indices are below `count`.
Routing route(const float* vectors, uint32_t layers, uint32_t count, uint32_t width,
              const std::vector<Prompts>& experts, PromptPart part);

}  // namespace sinter
