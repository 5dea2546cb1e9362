// Orthogonal matching pursuit, in batches: each target as a combination of at most k points.
//
// Step: the point p with the largest |<r, p>| joins the support S of a target, where r = x - sum of c_i p_i is what is
// left of it; then c solves the least squares problem over S: (P P^T) c = P x. Among equals the first point is taken.
// Y. Pati, R. Rezaiifar, P. Krishnaprasad: "Orthogonal matching pursuit", Asilomar 1993. As a way to move tokens between
// models: C. Goddard, F. Fernandes Neto, "Training-Free Tokenizer Transplantation via Orthogonal Matching Pursuit",
// arXiv:2506.06607.
//
// <r, p> is a product in float32; Gram matrix, its Cholesky factor (which grows by a row a step), coefficients and r are
// float64, r rounded to float32 for the next step. A target stops early where r is nothing but rounding (below 1e-6 of
// x), and where the next point lies in the span of those it has: its coefficients say all that the points can.
#pragma once

#include "points.h"

namespace sinter {

/// Combinations of points: `count[t]` of at most `most` terms for target t.
struct Combinations {
  uint64_t most = 0;
  std::vector<uint32_t> count;
  std::vector<uint32_t> point;
  std::vector<double> weight;

  Combinations(uint64_t targets, uint64_t most)
      : most(most), count(targets), point(targets * most), weight(targets * most) {}
};

/// Calls `watch.advance(1)` per target and step, also for steps that a target does without.
Combinations pursue(Team& team, const PackedPoints& packed, const Vectors& points, const Vectors& targets, uint64_t k,
                    Watch& watch);

/// For each vector the point with the largest |<v, p>| that is not among its points in `taken`; `kNoPoint` where all
/// products are 0 or NaN.
constexpr uint32_t kNoPoint = ~0u;
std::vector<uint32_t> most_aligned(Team& team, const PackedPoints& packed, const Vectors& vectors,
                                   const Combinations& taken, Watch& watch);

}  // namespace sinter
