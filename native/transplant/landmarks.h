// Affine maps from one model's vectors to another's, x -> (x - from) T + to, found from landmarks: tokens that both have.
//
// rotation (`landmark_pca`): landmarks A (donor) and B (original), centred. Of the wider side only the min(width)
// directions of largest variance count. T turns A onto B: with A^T B = U S V^T (in those directions), T = U V^T, the
// orthogonal Procrustes solution. Directions in which the landmarks say nothing (singular values below 1e-6 of the
// largest) are dropped. P. Schönemann: "A generalized solution of the orthogonal Procrustes problem", 1966.
//
// token basis (`stb`): the principal directions of the narrower side's landmarks, each approached by a combination of at
// most k centred landmarks (matching pursuit). The same combinations of both sides' landmarks, not centred, give bases
// D and O; T = D^+ O, `from` and `to` are the means of all rows.
#pragma once

#include "pursuit.h"

namespace sinter {

struct AffineMap {
  std::vector<double> from;
  /// Donor's width x original's width.
  Vectors matrix;
  std::vector<double> to;
};

AffineMap landmark_rotation(Team& team, const Vectors& donor, const Vectors& original, const ProductKernels& kernels,
                            Watch& watch);

/// Advances the watch by min(width) x k.
AffineMap token_basis(Team& team, const Vectors& donor, const Vectors& original, std::vector<double> donor_mean,
                      std::vector<double> original_mean, uint64_t k, const ProductKernels& kernels, Watch& watch);

/// Maps each row; `to` has the original's width.
void apply_map(Team& team, const AffineMap& map, const Vectors& rows, const ProductKernels& kernels, double* to);

}  // namespace sinter
