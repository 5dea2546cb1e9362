#include "svd.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "../io/error.h"
#include "../numeric/philox.h"
#include "eigen.h"

namespace sinter {
namespace {

using Square = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// Random vectors beyond the rank that is asked for: they make the last of the wanted ones converge.
constexpr uint64_t kOversampling = 16;
/// Up to here the exact decomposition takes milliseconds.
constexpr uint64_t kSmallSide = 48;
/// Elements up to which the exact decomposition is given the matrix itself, not its triangular factor.
constexpr uint64_t kDirect = 1 << 18;
/// Shift of a first Cholesky factor, and what float32 sums leave of a Gram matrix, as shares of its trace.
constexpr double kFirstShift = 1e-6;
constexpr double kGramRounding = 1e-7;
/// Most that an element of a Gram matrix differs from the identity's, for one more pass to be the last.
constexpr double kNearlyOrthonormal = 0.01;
constexpr int kMostIterations = 12;
/// Iterations end when the residual's norm falls by less than this share.
constexpr double kSettled = 2e-3;
/// Shares of the sum of squares: what float32 products leave, and what a device's float32 values are known to.
constexpr double kRounding = 1e-12;
constexpr double kDeviceRounding = 1e-6;
constexpr int kMostDeviceIterations = 16;
/// A residual may exceed what a device claims by this factor.
constexpr double kTrusted = 1.01;

/// Floats without gaps.
struct Block {
  uint64_t rows = 0, columns = 0;
  std::vector<float> values;
  /// Row-major, or column-major.
  bool by_rows = true;
  /// What the next product is written to: pages that are new to the process cost as much as a small product.
  std::vector<float> spare;

  Block() = default;
  Block(uint64_t rows, uint64_t columns) : rows(rows), columns(columns), values(rows * columns) {}
  Matrix view() const {
    return by_rows ? Matrix::stored(values.data(), rows, columns)
                   : Matrix::stored(values.data(), columns, rows).transposed();
  }
};

std::vector<float> product_by_rows(Team& team, const Matrix& a, const Matrix& b) {
  std::vector<float> result(a.rows * b.columns);
  gemm(team, a, b, result.data(), b.columns);
  return result;
}

/// block = a b, stored in the direction in which `a` is, so that no large `a` is turned round while it is packed. Either may
/// be a view of the block.
void set_product(Team& team, Block& block, const Matrix& a, const Matrix& b) {
  const bool by_rows = a.column_stride == 1;
  block.spare.resize(a.rows * b.columns);
  if (by_rows) {
    gemm(team, a, b, block.spare.data(), b.columns);
  } else {
    gemm(team, b.transposed(), a.transposed(), block.spare.data(), a.rows);
  }
  block.values.swap(block.spare);
  block.rows = a.rows;
  block.columns = b.columns;
  block.by_rows = by_rows;
}

Block product(Team& team, const Matrix& a, const Matrix& b) {
  Block block;
  set_product(team, block, a, b);
  return block;
}

Block as_block(const Square& matrix) {
  Block block(static_cast<uint64_t>(matrix.rows()), static_cast<uint64_t>(matrix.cols()));
  for (size_t i = 0; i < block.values.size(); i++) block.values[i] = static_cast<float>(matrix.data()[i]);
  return block;
}

/// The first `count` columns.
Square head(const Square& matrix, uint64_t count) { return matrix.leftCols(static_cast<Eigen::Index>(count)); }

double element(const Matrix& matrix, uint64_t i, uint64_t j) {
  float value;
  memcpy(&value, matrix.data + (i * matrix.row_stride + j * matrix.column_stride) * sizeof(float), sizeof(float));
  return value;
}

/// Sum of squares, in float64. The rows or the columns are contiguous.
double energy_of(Team& team, const Matrix& matrix) {
  const Matrix along = matrix.column_stride == 1 ? matrix : matrix.transposed();
  constexpr uint64_t kPart = 256;
  // Several sums, since one would wait for each addition to end.
  constexpr uint64_t kSums = 8;
  std::vector<double> rows(along.rows);
  team.run(along.rows, [&](uint64_t i) {
    double sums[kSums] = {};
    for (uint64_t j = 0; j < along.columns; j += kPart) {
      float part[kPart] = {};
      memcpy(part, along.data + (i * along.row_stride + j) * sizeof(float),
             std::min(kPart, along.columns - j) * sizeof(float));
      for (uint64_t first = 0; first < kPart; first += kSums) {
        for (uint64_t s = 0; s < kSums; s++) sums[s] += static_cast<double>(part[first + s]) * part[first + s];
      }
    }
    for (const double sum : sums) rows[i] += sum;
  });
  double sum = 0.0;
  for (const double row : rows) sum += row;
  if (!std::isfinite(sum)) throw Failure("BAD_ARGUMENT", "a matrix with a NaN or an infinity has no singular values");
  return sum;
}

/// Independent, uniform from -1/2 to 1/2.
Block random_block(Team& team, uint64_t rows, uint64_t columns, uint64_t seed) {
  constexpr uint64_t kWords = std::size(PhiloxBlock{}.word);
  Block block(rows, columns);
  team.run(rows, [&](uint64_t i) {
    float* row = block.values.data() + i * columns;
    for (uint64_t j = 0; j < columns; j += kWords) {
      const PhiloxBlock words =
          philox(static_cast<uint32_t>(i), static_cast<uint32_t>(i >> 32), static_cast<uint32_t>(j),
                 static_cast<uint32_t>(j >> 32), static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32));
      for (uint64_t w = 0; w < kWords && j + w < columns; w++) {
        row[j + w] = static_cast<float>(words.word[w] * 0x1p-32 - 0.5);
      }
    }
  });
  return block;
}

/// block^T block.
Square gram_of(Team& team, const Block& block) {
  const std::vector<float> gram = product_by_rows(team, block.view().transposed(), block.view());
  const Eigen::Index n = static_cast<Eigen::Index>(block.columns);
  return Eigen::Map<const Eigen::MatrixXf>(gram.data(), n, n).cast<double>();
}

enum class Orthonormal {
  /// But for roundings.
  kWell,
  /// As far as a product needs it that is made orthonormal itself.
  kRoughly,
};

/// Makes the columns orthonormal. @param gram that of what is given.
/// @returns the upper triangle R of (what was given) = (what is left) R.
Square orthonormalise(Team& team, Block& block, Square gram, Orthonormal how) {
  const Square one = Square::Identity(gram.rows(), gram.rows());
  Square all = one;
  bool is_nearly = false;
  for (int pass = 0; pass < 3; pass++) {
    if (pass > 0) gram = gram_of(team, block);
    const double trace = std::max(gram.trace(), 1e-300);
    // Only the first pass needs a shift; a Gram matrix that still has no factor gets ever larger ones.
    double shift = pass == 0 ? kFirstShift * trace : 0.0;
    Eigen::LLT<Square> factor(gram + shift * one);
    while (factor.info() != Eigen::Success) {
      shift = std::max(shift * 10.0, kGramRounding * trace);
      factor.compute(gram + shift * one);
    }
    const Square r = factor.matrixU();
    const Square inverse = r.triangularView<Eigen::Upper>().solve(one);
    set_product(team, block, block.view(), as_block(inverse).view());
    all = r * all;
    // Of columns that were nearly orthonormal, what is left are roundings.
    if (is_nearly) break;
    // inverse^T (gram + shift) inverse is the identity; so the shift, and as much of rounding, is what the columns lack.
    const double lack = (shift + kGramRounding * trace) * inverse.colwise().squaredNorm().maxCoeff();
    is_nearly = lack < kNearlyOrthonormal;
    if (is_nearly && how == Orthonormal::kRoughly) break;
  }
  return all;
}

Square orthonormalise(Team& team, Block& block) {
  return orthonormalise(team, block, gram_of(team, block), Orthonormal::kWell);
}

std::vector<float> transposed(const std::vector<float>& from, uint64_t rows, uint64_t columns) {
  std::vector<float> to(from.size());
  for (uint64_t i = 0; i < rows; i++) {
    for (uint64_t j = 0; j < columns; j++) to[j * rows + i] = from[i * columns + j];
  }
  return to;
}

/// Factors the other way round.
Svd flipped(Svd svd, const Matrix& matrix) {
  svd.left = transposed(svd.left, matrix.columns, svd.values.size());
  svd.right = transposed(svd.right, svd.values.size(), matrix.rows);
  std::swap(svd.left, svd.right);
  return svd;
}

/// How many of the values are kept.
uint64_t chosen_rank(const Eigen::VectorXd& values, const SvdRequest& request, double energy) {
  const uint64_t most = std::min<uint64_t>(request.rank, static_cast<uint64_t>(values.size()));
  double kept = 0.0;
  for (uint64_t k = 0; k < most; k++) {
    const double value = values[static_cast<Eigen::Index>(k)];
    if (request.epsilon > 0.0 && !(value > request.epsilon)) return k;
    if (request.share < 1.0 && kept >= request.share * energy) return k;
    kept += value * value;
  }
  return most;
}

std::vector<double> first_values(const Eigen::VectorXd& values, uint64_t count) {
  return {values.data(), values.data() + count};
}

/// Of a matrix whose rows are at least as many as its columns.
Svd exact_svd(Team& team, const Matrix& matrix, const SvdRequest& request, double energy) {
  Block q(matrix.rows, matrix.columns);
  Square r;
  const bool reduce = matrix.rows * matrix.columns > kDirect;
  if (reduce) {
    for (uint64_t i = 0; i < q.rows; i++) {
      for (uint64_t j = 0; j < q.columns; j++) q.values[i * q.columns + j] = static_cast<float>(element(matrix, i, j));
    }
    r = orthonormalise(team, q);
  } else {
    r.resize(static_cast<Eigen::Index>(matrix.rows), static_cast<Eigen::Index>(matrix.columns));
    for (uint64_t i = 0; i < matrix.rows; i++) {
      for (uint64_t j = 0; j < matrix.columns; j++) r.data()[i * matrix.columns + j] = element(matrix, i, j);
    }
  }
  const Eigen::BDCSVD<Eigen::MatrixXd> svd(r, Eigen::ComputeThinU | Eigen::ComputeThinV);
  const uint64_t rank = chosen_rank(svd.singularValues(), request, energy);
  Svd result;
  const Block left = as_block(head(svd.matrixU(), rank));
  result.left = reduce ? product_by_rows(team, q.view(), left.view()) : left.values;
  result.right = as_block(head(svd.matrixV(), rank).transpose()).values;
  result.values = first_values(svd.singularValues(), rank);
  result.energy = energy;
  return result;
}

/// The best approximation of a matrix within the columns of `left`, which are orthonormal: left right^T.
struct Projected {
  Block right;
  Square gram;
  /// Sum of squares of what `request.rank` values leave.
  double residual = 0.0;

  void project(Team& team, const Matrix& matrix, const Block& left, const SvdRequest& request, double energy) {
    set_product(team, right, matrix.transposed(), left.view());
    gram = gram_of(team, right);
    // Of iterations that go on only the residual is asked, for which eigenvalues are enough.
    const Eigen::SelfAdjointEigenSolver<Square> solver(gram, Eigen::EigenvaluesOnly);
    const Eigen::Index most = std::min<Eigen::Index>(gram.rows(), static_cast<Eigen::Index>(request.rank));
    residual = std::max(0.0, energy - solver.eigenvalues().tail(most).sum());
  }

  Svd result(Team& team, const Block& left, const SvdRequest& request, double energy, int iterations) {
    // matrix ~ left right^T = left (q r)^T = left r^T q^T.
    const Square r = orthonormalise(team, right, gram, Orthonormal::kWell);
    const Eigen::BDCSVD<Eigen::MatrixXd> svd(r.transpose(), Eigen::ComputeThinU | Eigen::ComputeThinV);
    const uint64_t rank = chosen_rank(svd.singularValues(), request, energy);
    Svd result;
    result.left = product_by_rows(team, left.view(), as_block(head(svd.matrixU(), rank)).view());
    const Block vectors = as_block(head(svd.matrixV(), rank));
    result.right = product_by_rows(team, vectors.view().transposed(), right.view().transposed());
    result.values = first_values(svd.singularValues(), rank);
    result.energy = energy;
    result.iterations = iterations;
    return result;
  }
};

/// Nothing is left but rounding, or the norm of what is left has settled.
bool has_settled(double residual, double before, double energy) {
  return residual <= kRounding * energy || residual >= before * (1.0 - kSettled) * (1.0 - kSettled);
}

Svd randomised_svd(Team& team, const Matrix& matrix, const SvdRequest& request, double energy,
                   const std::atomic<bool>& cancelled) {
  // Of the shorter side there is less to make orthonormal.
  if (matrix.rows > matrix.columns) {
    return flipped(randomised_svd(team, matrix.transposed(), request, energy, cancelled), matrix);
  }
  const uint64_t width = request.rank + kOversampling;
  Block left = product(team, matrix, random_block(team, matrix.columns, width, request.seed).view());
  orthonormalise(team, left);
  Projected found;
  double before = energy;
  for (int iteration = 1;; iteration++) {
    if (cancelled) throw Failure("CANCELLED", "cancelled");
    found.project(team, matrix, left, request, energy);
    if ((has_settled(found.residual, before, energy) && iteration > 1) || iteration == kMostIterations) {
      return found.result(team, left, request, energy, iteration);
    }
    before = found.residual;
    orthonormalise(team, found.right, found.gram, Orthonormal::kRoughly);
    set_product(team, left, matrix, found.right.view());
    orthonormalise(team, left);
  }
}

/// Of a matrix whose columns are contiguous. Throws Failure SOLVER_FAILED where the device fails or is wrong.
Svd device_svd(Team& team, const Matrix& matrix, const SvdRequest& request, double energy, Cusolver& device,
               const std::atomic<bool>& cancelled) {
  const uint64_t side = std::min(matrix.rows, matrix.columns);
  const uint64_t width = request.rank + kOversampling;
  const auto upload = device.upload(matrix, width, std::min(kOversampling, side - width));
  Subspace found;
  double claimed = energy;
  int iterations = 2;
  for (double before = energy;; iterations *= 2, before = claimed) {
    if (cancelled) throw Failure("CANCELLED", "cancelled");
    found = device.leading(*upload, iterations);
    claimed = energy;
    for (uint64_t k = 0; k < request.rank; k++) claimed -= static_cast<double>(found.values[k]) * found.values[k];
    claimed = std::max(0.0, claimed);
    if (iterations >= kMostDeviceIterations || (iterations > 2 && has_settled(claimed, before, energy))) break;
  }
  Block left(matrix.rows, width);
  bool is_finite = std::isfinite(claimed);
  for (uint64_t j = 0; j < width; j++) {
    for (uint64_t i = 0; i < matrix.rows; i++) {
      const float value = found.vectors[j * matrix.rows + i];
      is_finite = is_finite && std::isfinite(value);
      left.values[i * width + j] = value;
    }
  }
  if (!is_finite) throw Failure("SOLVER_FAILED", "cuSOLVER: its answer holds a NaN or an infinity");
  orthonormalise(team, left);
  Projected projected;
  projected.project(team, matrix, left, request, energy);
  // Of a residual of a few roundings nothing can be said.
  if (std::sqrt(projected.residual) > kTrusted * std::sqrt(claimed) + std::sqrt(kDeviceRounding * energy)) {
    throw Failure("SOLVER_FAILED", "cuSOLVER: its vectors leave more than its singular values say");
  }
  Svd result = projected.result(team, left, request, energy, iterations);
  result.on_device = true;
  return result;
}

/// A copy in float32: a product with the identity.
Block copy_of(Team& team, const Matrix& matrix) {
  const Eigen::Index n = static_cast<Eigen::Index>(matrix.columns);
  return product(team, matrix, as_block(Square::Identity(n, n)).view());
}

Svd large_svd(Team& team, const Matrix& matrix, const SvdRequest& request, double energy,
              const std::atomic<bool>& cancelled, Cusolver* device) {
  if (device == nullptr) return randomised_svd(team, matrix, request, energy, cancelled);
  try {
    if (matrix.row_stride == 1) return device_svd(team, matrix, request, energy, *device, cancelled);
    return flipped(device_svd(team, matrix.transposed(), request, energy, *device, cancelled), matrix);
  } catch (const Failure& failure) {
    if (std::string(failure.code) != "SOLVER_FAILED") throw;
    Svd result = randomised_svd(team, matrix, request, energy, cancelled);
    result.refused = failure.what();
    return result;
  }
}

}  // namespace

Svd truncated_svd(Team& team, const Matrix& matrix, const SvdRequest& request, const std::atomic<bool>& cancelled,
                  Cusolver* device) {
  const uint64_t side = std::min(matrix.rows, matrix.columns);
  const double energy = energy_of(team, matrix);
  if (energy == 0.0) return {};
  if (side > kSmallSide && 2 * (request.rank + kOversampling) <= side) {
    return large_svd(team, matrix, request, energy, cancelled, device);
  }
  if (matrix.rows >= matrix.columns) return exact_svd(team, matrix, request, energy);
  return flipped(exact_svd(team, matrix.transposed(), request, energy), matrix);
}

Svd product_svd(Team& team, const Matrix& b, const Matrix& a, double scale, const SvdRequest& request) {
  Block left = copy_of(team, b);
  Block right = copy_of(team, a.transposed());
  if (energy_of(team, left.view()) == 0.0 || energy_of(team, right.view()) == 0.0 || scale == 0.0) return {};
  const Square r_left = orthonormalise(team, left);
  const Square r_right = orthonormalise(team, right);
  const Square core = scale * r_left * r_right.transpose();
  const double energy = core.squaredNorm();
  const Eigen::BDCSVD<Eigen::MatrixXd> svd(core, Eigen::ComputeThinU | Eigen::ComputeThinV);
  const uint64_t rank = chosen_rank(svd.singularValues(), request, energy);
  Svd result;
  result.left = product_by_rows(team, left.view(), as_block(head(svd.matrixU(), rank)).view());
  const Block vectors = as_block(head(svd.matrixV(), rank));
  result.right = product_by_rows(team, vectors.view().transposed(), right.view().transposed());
  result.values = first_values(svd.singularValues(), rank);
  result.energy = energy;
  return result;
}

}  // namespace sinter
