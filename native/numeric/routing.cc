#include "routing.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "../linear/eigen.h"

namespace sinter {
namespace {

using Rows = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

constexpr double kLeastNorm = 1e-8;

Eigen::VectorXd part_of(const float* vectors, uint32_t width, const std::vector<uint32_t>& indices, PromptPart part) {
  Eigen::VectorXd sum = Eigen::VectorXd::Zero(width);
  for (const uint32_t index : indices) {
    sum += Eigen::Map<const Eigen::VectorXf>(vectors + static_cast<size_t>(index) * width, width).cast<double>();
  }
  if (indices.empty()) return sum;
  return sum / (part == PromptPart::mean ? static_cast<double>(indices.size()) : std::max(sum.norm(), kLeastNorm));
}

/// From the eigenvalues of the rows' inner products: squares of the singular values.
double condition_of(const Eigen::MatrixXd& cosines) {
  if (!cosines.allFinite()) return std::numeric_limits<double>::quiet_NaN();
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(cosines, Eigen::EigenvaluesOnly);
  const double least = solver.eigenvalues().minCoeff();
  const double most = solver.eigenvalues().maxCoeff();
  // What is left of a zero after rounding.
  const double zero = 1e-14 * static_cast<double>(cosines.rows()) * most;
  return least <= zero ? std::numeric_limits<double>::infinity() : std::sqrt(most / least);
}

}  // namespace

Routing route(const float* vectors, uint32_t layers, uint32_t count, uint32_t width,
              const std::vector<Prompts>& experts, PromptPart part) {
  const Eigen::Index rows = static_cast<Eigen::Index>(experts.size());
  const size_t gate_count = experts.size() * width;
  Routing routing;
  routing.gates.resize(layers * gate_count);
  routing.cosines.resize(layers * experts.size() * experts.size());
  for (uint32_t layer = 0; layer < layers; layer++) {
    const float* own = vectors + static_cast<size_t>(layer) * count * width;
    Eigen::Map<Rows> gates(routing.gates.data() + layer * gate_count, rows, width);
    for (Eigen::Index row = 0; row < rows; row++) {
      const Prompts& prompts = experts[static_cast<size_t>(row)];
      const Eigen::VectorXd gate =
          part_of(own, width, prompts.positive, part) - part_of(own, width, prompts.negative, part);
      gates.row(row) = gate.transpose() / std::max(gate.norm(), kLeastNorm);
    }
    const Eigen::MatrixXd cosines = gates * gates.transpose();
    Eigen::Map<Rows>(routing.cosines.data() + layer * experts.size() * experts.size(), rows, rows) = cosines;
    routing.condition.push_back(condition_of(cosines));
  }
  return routing;
}

}  // namespace sinter
