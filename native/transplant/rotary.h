// Matching pursuit that may turn each point by a rotary position before it is subtracted.
//
// Step: of the points not taken yet, the one with the largest |<r, p>|; a position q for which R(q) p comes close to r,
// or to -r where that needs the smaller turn; then c = <r, R(q) p> / |p|^2 and r -= c R(q) p. In the end the weights of
// all turned points are found anew by least squares, and go to the same points of the other model, turned by the same
// positions with its own heads and base.
//
// R(q) turns the pair (i, i + h/2) of each head of h elements by q f_i, f_i = base^(-2i/h). The position of two vectors
// is the projection of the angles theta between their pairs on f: sum of theta_i f_i / (heads x sum of f_i^2).
// J. Su et al.: "RoFormer: Enhanced Transformer with Rotary Position Embedding", arXiv:2104.09864.
#pragma once

#include "neighbours.h"

namespace sinter {

struct Rotary {
  /// Width / heads is the even length of a head.
  uint64_t heads;
  double base;
};

struct TurnedCombinations {
  Combinations combinations;
  /// By term.
  std::vector<double> position;
};

TurnedCombinations pursue_turned(Team& team, const PackedPoints& packed, const Vectors& points, const Vectors& targets,
                                 uint64_t k, const Rotary& rotary, Watch& watch);

/// Writes R(position) x to `to`.
void turn(const float* x, uint64_t width, const Rotary& rotary, double position, float* to);

}  // namespace sinter
