#include "spread.h"

#include <algorithm>
#include <numeric>

namespace sinter {
namespace {

/// Rows of one block of a sum. Results depend on it.
constexpr uint64_t kBlockRows = 4096;

/// sum += A^T B of some rows.
void add_crossed(Team& team, const float* a, uint64_t a_width, const float* b, uint64_t b_width, uint64_t rows,
                 const ProductKernels& kernels, Vectors& products, Eigen::MatrixXd& sum) {
  gemm(team, Matrix::stored(a, rows, a_width).transposed(), Matrix::stored(b, rows, b_width), products.values.data(),
       b_width, 1.0f, 0.0f, kernels);
  for (uint64_t j = 0; j < b_width; j++) {
    for (uint64_t i = 0; i < a_width; i++) {
      sum(static_cast<Eigen::Index>(i), static_cast<Eigen::Index>(j)) += static_cast<double>(products.row(i)[j]);
    }
  }
}

Eigen::MatrixXd zeros(uint64_t rows, uint64_t columns) {
  return Eigen::MatrixXd::Zero(static_cast<Eigen::Index>(rows), static_cast<Eigen::Index>(columns));
}

}  // namespace

Eigen::MatrixXd crossed(Team& team, const Vectors& a, const Vectors& b, const ProductKernels& kernels) {
  Eigen::MatrixXd sum = zeros(a.width, b.width);
  Vectors products(a.width, b.width);
  for (uint64_t begin = 0; begin < a.rows; begin += kBlockRows) {
    const uint64_t rows = std::min(kBlockRows, a.rows - begin);
    add_crossed(team, a.row(begin), a.width, b.row(begin), b.width, rows, kernels, products, sum);
  }
  return sum;
}

void centre(Team& team, Vectors& rows, const std::vector<double>& mean) {
  team.run((rows.rows + kBlockRows - 1) / kBlockRows, [&](uint64_t block) {
    const uint64_t end = std::min(rows.rows, (block + 1) * kBlockRows);
    for (uint64_t r = block * kBlockRows; r < end; r++) {
      float* row = rows.row(r);
      for (uint64_t i = 0; i < rows.width; i++) row[i] = static_cast<float>(static_cast<double>(row[i]) - mean[i]);
    }
  });
}

Eigen::MatrixXd covariance(Team& team, const StoredRows& from, const std::vector<double>& mean,
                           const ProductKernels& kernels) {
  Eigen::MatrixXd sum = zeros(from.width, from.width);
  Vectors products(from.width, from.width);
  for (uint64_t begin = 0; begin < from.rows; begin += kBlockRows) {
    std::vector<uint32_t> indices(std::min(kBlockRows, from.rows - begin));
    std::iota(indices.begin(), indices.end(), static_cast<uint32_t>(begin));
    Vectors rows = gather_rows(team, from, indices);
    centre(team, rows, mean);
    add_crossed(team, rows.row(0), rows.width, rows.row(0), rows.width, rows.rows, kernels, products, sum);
  }
  return sum / static_cast<double>(std::max<uint64_t>(from.rows, 1));
}

}  // namespace sinter
