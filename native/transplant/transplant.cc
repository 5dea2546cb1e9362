#include "transplant.h"

#include <algorithm>
#include <iterator>
#include <memory>

#include "normal.h"
#include "spread.h"

namespace sinter {
namespace {

constexpr const char* kNames[] = {"omp",   "common_interpolation", "subword",      "mean", "zero",
                                  "randn", "john_hewitt",          "landmark_pca", "stb",  "mp_rope"};

/// Streams of random numbers.
constexpr uint32_t kSamples = 1, kNoise = 2;

[[noreturn]] void bad(const std::string& message) { throw Failure("BAD_ARGUMENT", message); }

bool uses_points(Approximation method) {
  return method == Approximation::omp || method == Approximation::common_interpolation ||
         method == Approximation::mp_rope;
}

bool uses_landmarks(Approximation method) {
  return uses_points(method) || method == Approximation::landmark_pca || method == Approximation::stb;
}

void check_rows(const std::vector<uint32_t>& rows, uint64_t limit, const char* name) {
  for (const uint32_t row : rows) {
    if (row >= limit) bad(std::string(name) + " names row " + std::to_string(row) + " of " + std::to_string(limit));
  }
}

void check_pieces(const Transplant& of) {
  if (of.piece_ends.size() != of.targets.size()) bad("every target needs its pieces");
  if (of.piece_weights.size() != of.pieces.size()) bad("every piece needs a weight");
  if (!std::is_sorted(of.piece_ends.begin(), of.piece_ends.end())) bad("pieces must be in order");
  if (!of.piece_ends.empty() && of.piece_ends.back() != of.pieces.size()) bad("pieces must belong to targets");
  check_rows(of.pieces, of.original.rows, "pieces");
}

void check_rotary(const Rotary& rotary, uint64_t width) {
  const bool fits = rotary.heads > 0 && width % rotary.heads == 0 && width / rotary.heads % 2 == 0;
  if (!fits || !(rotary.base > 0.0)) bad("heads and base of the rotary positions do not fit the width");
}

/// Approximates targets, a batch at a time. What all batches share is computed once.
class Approximator {
 public:
  Approximator(const Transplant& transplant, Team& team, const ProductKernels& kernels, Watch& watch)
      : of_(transplant), team_(team), kernels_(kernels), watch_(watch) {
    const uint64_t targets = of_.targets.size();
    const bool by_terms = of_.method == Approximation::omp || of_.method == Approximation::mp_rope;
    const uint64_t basis = std::min(of_.donor.width, of_.original.width) * of_.k;
    watch_.total = targets * (by_terms ? of_.k : 1) + (of_.method == Approximation::stb ? basis : 0);
    if (targets > 0) prepare();
  }

  /// Targets [begin, begin + count) to `rows`, which are zero; `count` x original's width.
  void approximate(uint64_t begin, uint64_t count, double* rows) {
    switch (of_.method) {
      case Approximation::zero:
        break;
      case Approximation::mean:
        for (uint64_t i = 0; i < count; i++) std::copy(mean_.begin(), mean_.end(), rows + i * mean_.size());
        break;
      case Approximation::randn:
        each_row(count, [&](uint64_t i) { draw(begin + i, kSamples, 1.0, rows + i * of_.original.width); });
        break;
      case Approximation::john_hewitt:
        sample(begin, count, rows);
        break;
      case Approximation::subword:
        each_row(count, [&](uint64_t i) { add_pieces(begin + i, rows + i * of_.original.width); });
        break;
      case Approximation::landmark_pca:
      case Approximation::stb:
        apply_map(team_, map_, donor_rows(begin, count), kernels_, rows);
        break;
      default:
        combine(donor_rows(begin, count), rows);
    }
    const bool advanced = uses_points(of_.method);
    if (!advanced) watch_.advance(count);
    finish(begin, count, rows);
  }

 private:
  void prepare() {
    if (of_.method == Approximation::mean) mean_ = mean_of_rows(team_, of_.original);
    if (of_.method == Approximation::john_hewitt) prepare_samples();
    if (!uses_landmarks(of_.method)) return;
    points_ = gather_rows(team_, of_.donor, of_.shared_donor);
    watch_.check();
    if (uses_points(of_.method)) {
      packed_ = std::make_unique<PackedPoints>(team_, points_, kernels_);
      return;
    }
    const Vectors landmarks = gather_rows(team_, of_.original, of_.shared_original);
    if (of_.method == Approximation::landmark_pca) {
      map_ = landmark_rotation(team_, points_, landmarks, kernels_, watch_);
    } else {
      map_ = token_basis(team_, points_, landmarks, mean_of_rows(team_, of_.donor), mean_of_rows(team_, of_.original),
                         of_.k, kernels_, watch_);
    }
  }

  /// A factor F of the covariance, F F^T: of Cholesky, or where a direction has no variance, of L D L^T.
  void prepare_samples() {
    mean_ = mean_of_rows(team_, of_.original);
    const Eigen::MatrixXd spread = covariance(team_, of_.original, mean_, kernels_);
    watch_.check();
    Eigen::MatrixXd factor;
    const Eigen::LLT<Eigen::MatrixXd> regular(spread);
    if (regular.info() == Eigen::Success) {
      factor = regular.matrixL();
    } else {
      const Eigen::LDLT<Eigen::MatrixXd> singular(spread);
      const Eigen::VectorXd deviations = singular.vectorD().cwiseMax(0.0).cwiseSqrt();
      const Eigen::MatrixXd lower = singular.matrixL();
      factor = singular.transpositionsP().transpose() * (lower * deviations.asDiagonal());
    }
    const uint64_t width = of_.original.width;
    factor_ = Vectors(width, width);
    for (uint64_t i = 0; i < width; i++) {
      for (uint64_t j = 0; j < width; j++) {
        factor_.row(i)[j] = static_cast<float>(factor(static_cast<Eigen::Index>(i), static_cast<Eigen::Index>(j)));
      }
    }
  }

  void sample(uint64_t begin, uint64_t count, double* rows) {
    const uint64_t width = of_.original.width;
    Vectors normals(count, width);
    each_row(count, [&](uint64_t i) {
      std::vector<double> row(width);
      draw(begin + i, kSamples, 1.0, row.data());
      for (uint64_t c = 0; c < width; c++) normals.row(i)[c] = static_cast<float>(row[c]);
    });
    Vectors spread(count, width);
    gemm(team_, Matrix::stored(normals.row(0), count, width), Matrix::stored(factor_.row(0), width, width).transposed(),
         spread.row(0), width, 1.0f, 0.0f, kernels_);
    for (uint64_t i = 0; i < count; i++) {
      for (uint64_t c = 0; c < width; c++) rows[i * width + c] = mean_[c] + static_cast<double>(spread.row(i)[c]);
    }
  }

  void add_pieces(uint64_t target, double* row) {
    const uint32_t begin = target == 0 ? 0 : of_.piece_ends[target - 1];
    for (uint32_t j = begin; j < of_.piece_ends[target]; j++) {
      add_row(of_.original, of_.pieces[j], of_.piece_weights[j], row);
    }
  }

  void combine(const Vectors& targets, double* rows) {
    if (of_.method == Approximation::mp_rope) return combine_turned(targets, rows);
    const Combinations found =
        of_.method == Approximation::omp
            ? pursue(team_, *packed_, points_, targets, of_.k, watch_)
            : nearest_neighbours(team_, *packed_, points_, targets, of_.k, of_.cosine, of_.scheme, watch_);
    each_row(targets.rows, [&](uint64_t t) {
      for (uint64_t term = t * found.most; term < t * found.most + found.count[t]; term++) {
        add_row(of_.original, of_.shared_original[found.point[term]], found.weight[term],
                rows + t * of_.original.width);
      }
    });
  }

  void combine_turned(const Vectors& targets, double* rows) {
    const TurnedCombinations found = pursue_turned(team_, *packed_, points_, targets, of_.k, of_.donor_rotary, watch_);
    const uint64_t width = of_.original.width;
    each_row(targets.rows, [&](uint64_t t) {
      std::vector<float> row(width), turned(width);
      const Combinations& terms = found.combinations;
      for (uint64_t term = t * terms.most; term < t * terms.most + terms.count[t]; term++) {
        widen_row(of_.original, of_.shared_original[terms.point[term]], row.data());
        turn(row.data(), width, of_.original_rotary, found.position[term], turned.data());
        for (uint64_t i = 0; i < width; i++) rows[t * width + i] += terms.weight[term] * turned[i];
      }
    });
  }

  Vectors donor_rows(uint64_t begin, uint64_t count) {
    const auto first = of_.targets.begin() + static_cast<std::ptrdiff_t>(begin);
    return gather_rows(team_, of_.donor, std::vector<uint32_t>(first, first + static_cast<std::ptrdiff_t>(count)));
  }

  /// Adds normal numbers to a target's row. They depend on its token, not on the batch.
  void draw(uint64_t target, uint32_t stream, double deviation, double* row) {
    const uint64_t width = of_.original.width;
    const uint64_t first = of_.targets[target] * width;
    for (uint64_t i = 0; i < width; i++) row[i] += deviation * standard_normal(of_.key, stream, first + i);
  }

  void finish(uint64_t begin, uint64_t count, double* rows) {
    if (of_.noise == 0.0 && of_.scale == 1.0) return;
    const uint64_t width = of_.original.width;
    each_row(count, [&](uint64_t i) {
      double* row = rows + i * width;
      if (of_.noise != 0.0) draw(begin + i, kNoise, of_.noise, row);
      for (uint64_t c = 0; c < width; c++) row[c] *= of_.scale;
    });
  }

  void each_row(uint64_t count, const std::function<void(uint64_t)>& task) { team_.run(count, task); }

  const Transplant& of_;
  Team& team_;
  const ProductKernels& kernels_;
  Watch& watch_;
  /// The donor's rows of the shared tokens.
  Vectors points_;
  std::unique_ptr<PackedPoints> packed_;
  AffineMap map_;
  std::vector<double> mean_;
  Vectors factor_;
};

void check_sources(const Transplant& of) {
  for (size_t i = 0; i < of.sources.size(); i++) {
    if (!of.sources[i]->failed()) continue;
    throw Failure("SOURCE_FAILED", of.sources[i]->path() + " shrank or failed while it was read", static_cast<int>(i));
  }
}

}  // namespace

Approximation approximation_of(const std::string& name) {
  for (size_t i = 0; i < std::size(kNames); i++) {
    if (name == kNames[i]) return static_cast<Approximation>(i);
  }
  bad("no approximation is named " + name);
}

void check_transplant(const Transplant& of) {
  if (of.shared_original.size() != of.shared_donor.size()) bad("shared rows must be pairs");
  check_rows(of.shared_original, of.original.rows, "sharedOriginal");
  if (of.original.width == 0) bad("rows must have elements");
  if (of.batch == 0) bad("a batch has at least one target");
  if (of.method == Approximation::subword) check_pieces(of);
  if (!uses_landmarks(of.method) || of.targets.empty()) return;
  check_rows(of.shared_donor, of.donor.rows, "sharedDonor");
  check_rows(of.targets, of.donor.rows, "targets");
  if (of.donor.width == 0 || of.shared_donor.empty()) bad("this approximation needs tokens that both models have");
  if (of.method == Approximation::landmark_pca) return;
  if (of.k == 0 || of.k > of.shared_donor.size()) bad("k must be from 1 to the number of shared tokens");
  if (of.method != Approximation::mp_rope) return;
  check_rotary(of.donor_rotary, of.donor.width);
  check_rotary(of.original_rotary, of.original.width);
}

void run_transplant(const Transplant& of, Team& team, const ProductKernels& kernels, Watch& watch) {
  const uint64_t width = of.original.width;
  const uint64_t row_bytes = width * element_size(of.original.dtype);
  Approximator approximator(of, team, kernels, watch);
  for (uint64_t begin = 0; begin < of.targets.size(); begin += of.batch) {
    const uint64_t count = std::min<uint64_t>(of.batch, of.targets.size() - begin);
    std::vector<double> rows(count * width);
    approximator.approximate(begin, count, rows.data());
    team.run(count, [&](uint64_t i) {
      std::vector<std::byte> bytes(row_bytes);
      narrow_row(rows.data() + i * width, width, of.original.dtype, bytes.data());
      of.sink->write(of.offset + (begin + i) * row_bytes, bytes.data(), row_bytes);
    });
    check_sources(of);
  }
  check_sources(of);
}

}  // namespace sinter
