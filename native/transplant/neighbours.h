// The k points nearest to each target, and weights that make the target of them.
//
// Distances are compared in float32 products, |p|^2 - 2 <x, p> or <x, p> / |p|; a few more than k candidates are then
// measured in float64, and the nearest k of them taken, the first among equals.
// Weights, in float64:
//   distance_proportional: 1 / max(d, 1e-6), for cosines the cosine; divided by their sum; equal ones where the sum is no
//     more than 1e-6.
//   barycentric: the least |x - sum of w_i p_i| where the w_i sum to 1; of several such w the shortest.
//   least_squares: the same without the condition.
#pragma once

#include "pursuit.h"

namespace sinter {

enum class WeightScheme { distance_proportional, barycentric, least_squares };

Combinations nearest_neighbours(Team& team, const PackedPoints& packed, const Vectors& points, const Vectors& targets,
                                uint64_t k, bool cosine, WeightScheme scheme, Watch& watch);

/// The w that make |x - sum of w_i p_i| least; the shortest where several do. `atoms` holds `count` vectors.
void least_squares(const float* target, const float* atoms, uint64_t count, uint64_t width, double* weights);

}  // namespace sinter
