// Rows of a model's embedding or head for tokens that it does not have, approximated from another model's that has them.
// Each row is rounded once and goes to a Sink.
#pragma once

#include <memory>
#include <string>

#include "../io/sink.h"
#include "../io/source.h"
#include "landmarks.h"
#include "neighbours.h"
#include "rotary.h"

namespace sinter {

/// The names are those of the command line: src/transplant/methods.ts says what each does.
enum class Approximation {
  omp,
  common_interpolation,
  subword,
  mean,
  zero,
  randn,
  john_hewitt,
  landmark_pca,
  stb,
  mp_rope
};

struct Transplant {
  Approximation method = Approximation::zero;
  /// The model whose space the result lies in, and the one whose tokens it gets.
  StoredRows original;
  StoredRows donor;
  /// Rows of the tokens that both have: shared_original[i] and shared_donor[i] are the same token's.
  std::vector<uint32_t> shared_original;
  std::vector<uint32_t> shared_donor;
  /// Tokens to approximate, as rows of the donor. Random numbers depend on these numbers, too.
  std::vector<uint32_t> targets;
  /// subword: target i is the sum of rows pieces[j] of the original times piece_weights[j], j from piece_ends[i - 1] (0
  /// for the first) to piece_ends[i].
  std::vector<uint32_t> piece_ends;
  std::vector<uint32_t> pieces;
  std::vector<double> piece_weights;
  /// Most terms, or neighbours.
  uint64_t k = 0;
  bool cosine = false;
  WeightScheme scheme = WeightScheme::distance_proportional;
  Rotary donor_rotary{1, 1.0};
  Rotary original_rotary{1, 1.0};
  /// Targets at a time.
  uint64_t batch = 1;
  /// Of the random numbers.
  uint64_t key = 0;
  /// Added to approximated rows: normal numbers of this deviation. Then the rows are multiplied by `scale`.
  double noise = 0.0;
  double scale = 1.0;
  /// The output, from `offset` on: a row of the original's width and dtype for each target, in their order.
  std::shared_ptr<Sink> sink;
  uint64_t offset = 0;
  /// Kept open while this runs: the original's, the donor's.
  std::vector<std::shared_ptr<Source>> sources;
};

/// The method of that name. Throws Failure BAD_ARGUMENT.
Approximation approximation_of(const std::string& name);

/// Throws Failure BAD_ARGUMENT where row numbers, widths or counts do not fit.
void check_transplant(const Transplant& transplant);

/// Blocks until all is written. Throws Failure: CANCELLED, SOURCE_FAILED (`source`: index in `sources`), SINK_WRITE.
void run_transplant(const Transplant& transplant, Team& team, const ProductKernels& kernels, Watch& watch);

}  // namespace sinter
