#include "landmarks.h"

#include <algorithm>

#include "spread.h"

namespace sinter {
namespace {

using Eigen::MatrixXd;
using Index = Eigen::Index;

/// Singular values below this share of the largest are rounding: products are float32.
constexpr double kRankShare = 1e-6;

/// The `count` directions of largest variance, as columns; largest first.
MatrixXd principal(const MatrixXd& covariance, uint64_t count) {
  const Eigen::SelfAdjointEigenSolver<MatrixXd> solver(covariance);
  return solver.eigenvectors().rowwise().reverse().leftCols(static_cast<Index>(count));
}

/// U V^T of M = U S V^T, over singular values that are not rounding.
MatrixXd nearest_rotation(const MatrixXd& m) {
  const Eigen::BDCSVD<MatrixXd> svd(m, Eigen::ComputeThinU | Eigen::ComputeThinV);
  const Eigen::VectorXd& values = svd.singularValues();
  Index rank = 0;
  while (rank < values.size() && values[rank] > kRankShare * values[0]) rank++;
  return svd.matrixU().leftCols(rank) * svd.matrixV().leftCols(rank).transpose();
}

Vectors in_float32(const MatrixXd& matrix) {
  Vectors result(static_cast<uint64_t>(matrix.rows()), static_cast<uint64_t>(matrix.cols()));
  for (Index i = 0; i < matrix.rows(); i++) {
    for (Index j = 0; j < matrix.cols(); j++) {
      result.row(static_cast<uint64_t>(i))[j] = static_cast<float>(matrix(i, j));
    }
  }
  return result;
}

/// Each combination of the points, as a row.
MatrixXd combined(const Combinations& combinations, const Vectors& points) {
  const uint64_t rows = combinations.count.size();
  MatrixXd result = MatrixXd::Zero(static_cast<Index>(rows), static_cast<Index>(points.width));
  for (uint64_t t = 0; t < rows; t++) {
    for (uint32_t j = 0; j < combinations.count[t]; j++) {
      const uint64_t term = t * combinations.most + j;
      const float* point = points.row(combinations.point[term]);
      for (uint64_t i = 0; i < points.width; i++) {
        result(static_cast<Index>(t), static_cast<Index>(i)) += combinations.weight[term] * point[i];
      }
    }
  }
  return result;
}

}  // namespace

AffineMap landmark_rotation(Team& team, const Vectors& donor, const Vectors& original, const ProductKernels& kernels,
                            Watch& watch) {
  AffineMap map{mean_of_rows(team, donor), {}, mean_of_rows(team, original)};
  Vectors a = donor;
  Vectors b = original;
  centre(team, a, map.from);
  centre(team, b, map.to);
  const MatrixXd common = crossed(team, a, b, kernels);
  watch.check();
  MatrixXd turned;
  if (a.width > b.width) {
    const MatrixXd directions = principal(crossed(team, a, a, kernels), b.width);
    turned = directions * nearest_rotation(directions.transpose() * common);
  } else if (a.width < b.width) {
    const MatrixXd directions = principal(crossed(team, b, b, kernels), a.width);
    turned = nearest_rotation(common * directions) * directions.transpose();
  } else {
    turned = nearest_rotation(common);
  }
  watch.check();
  map.matrix = in_float32(turned);
  return map;
}

AffineMap token_basis(Team& team, const Vectors& donor, const Vectors& original, std::vector<double> donor_mean,
                      std::vector<double> original_mean, uint64_t k, const ProductKernels& kernels, Watch& watch) {
  Vectors points = donor.width < original.width ? donor : original;
  centre(team, points, mean_of_rows(team, points));
  const MatrixXd directions = principal(crossed(team, points, points, kernels), points.width);
  watch.check();
  const PackedPoints packed(team, points, kernels);
  const Combinations combinations = pursue(team, packed, points, in_float32(directions.transpose()), k, watch);
  const MatrixXd donor_basis = combined(combinations, donor);
  const MatrixXd original_basis = combined(combinations, original);
  const MatrixXd matrix = donor_basis.completeOrthogonalDecomposition().solve(original_basis);
  watch.check();
  return {std::move(donor_mean), in_float32(matrix), std::move(original_mean)};
}

void apply_map(Team& team, const AffineMap& map, const Vectors& rows, const ProductKernels& kernels, double* to) {
  Vectors centred = rows;
  centre(team, centred, map.from);
  const uint64_t width = map.matrix.width;
  Vectors mapped(rows.rows, width);
  gemm(team, Matrix::stored(centred.row(0), rows.rows, rows.width),
       Matrix::stored(map.matrix.row(0), map.matrix.rows, width), mapped.row(0), width, 1.0f, 0.0f, kernels);
  for (uint64_t r = 0; r < rows.rows; r++) {
    for (uint64_t i = 0; i < width; i++) to[r * width + i] = static_cast<double>(mapped.row(r)[i]) + map.to[i];
  }
}

}  // namespace sinter
