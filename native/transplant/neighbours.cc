#include "neighbours.h"

#include <algorithm>
#include <cmath>

#include "../linear/eigen.h"

namespace sinter {
namespace {

/// Candidates beyond k: more than float32 products can misplace.
constexpr uint64_t kSpare = 16;
/// Floats of the products that are kept at a time.
constexpr uint64_t kKeptProducts = 16 << 20;
/// Pivots of a Cholesky factor, squared and as a share of the largest, below which its matrix counts as singular.
constexpr double kSingular = 1e-9;

struct Candidate {
  double distance;
  uint32_t point;
  bool operator<(const Candidate& other) const {
    return distance < other.distance || (distance == other.distance && point < other.point);
  }
};

/// The `count` candidates with the lowest score, in no order.
void lowest(const float* products, const std::vector<float>& squares, bool cosine, uint64_t count,
            std::vector<Candidate>& heap) {
  heap.clear();
  for (uint64_t i = 0; i < squares.size(); i++) {
    const float score =
        cosine ? (squares[i] > 0.0f ? -products[i] / std::sqrt(squares[i]) : 0.0f) : squares[i] - 2.0f * products[i];
    if (heap.size() < count) {
      heap.push_back({score, static_cast<uint32_t>(i)});
      std::push_heap(heap.begin(), heap.end());
    } else if (score < heap.front().distance) {
      std::pop_heap(heap.begin(), heap.end());
      heap.back() = {score, static_cast<uint32_t>(i)};
      std::push_heap(heap.begin(), heap.end());
    }
  }
}

double distance(const float* a, const float* b, uint64_t width, bool cosine) {
  if (cosine) {
    const double norms = std::sqrt(dot(a, a, width)) * std::sqrt(dot(b, b, width));
    return 1.0 - dot(a, b, width) / std::max(norms, 1e-6);
  }
  double square = 0.0;
  for (uint64_t i = 0; i < width; i++) {
    const double difference = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    square += difference * difference;
  }
  return std::sqrt(square);
}

void distance_weights(const std::vector<Candidate>& nearest, bool cosine, double* weights) {
  double sum = 0.0;
  for (size_t i = 0; i < nearest.size(); i++) {
    weights[i] = cosine ? 1.0 - nearest[i].distance : 1.0 / std::max(nearest[i].distance, 1e-6);
    sum += weights[i];
  }
  for (size_t i = 0; i < nearest.size(); i++) {
    weights[i] = sum > 1e-6 ? weights[i] / sum : 1.0 / static_cast<double>(nearest.size());
  }
}

using Matrix = Eigen::MatrixXd;
using Vector = Eigen::VectorXd;

Matrix gram_of(const float* atoms, uint64_t count, uint64_t width) {
  Matrix gram(count, count);
  for (uint64_t i = 0; i < count; i++) {
    for (uint64_t j = 0; j <= i; j++) gram(i, j) = gram(j, i) = dot(atoms + i * width, atoms + j * width, width);
  }
  return gram;
}

Vector products_of(const float* target, const float* atoms, uint64_t count, uint64_t width) {
  Vector products(count);
  for (uint64_t i = 0; i < count; i++) products[i] = dot(target, atoms + i * width, width);
  return products;
}

bool is_regular(const Eigen::LLT<Matrix>& factored) {
  if (factored.info() != Eigen::Success) return false;
  const auto pivots = factored.matrixLLT().diagonal();
  const double least = pivots.minCoeff();
  const double most = pivots.maxCoeff();
  return least * least > kSingular * most * most;
}

void barycentric(const float* target, const float* atoms, uint64_t count, uint64_t width, double* weights) {
  const Matrix gram = gram_of(atoms, count, width);
  const Vector products = products_of(target, atoms, count, width);
  Eigen::Map<Vector> result(weights, static_cast<Eigen::Index>(count));
  const Eigen::LLT<Matrix> factored(gram);
  if (is_regular(factored)) {
    const Vector free = factored.solve(products);
    const Vector ones = factored.solve(Vector::Ones(static_cast<Eigen::Index>(count)));
    result = free - ones * ((free.sum() - 1.0) / ones.sum());
    return;
  }
  // With the condition's multiplier as one more unknown; the shortest solution.
  const Eigen::Index n = static_cast<Eigen::Index>(count);
  Matrix bordered = Matrix::Zero(n + 1, n + 1);
  bordered.topLeftCorner(n, n) = gram;
  bordered.col(n).head(n).setOnes();
  bordered.row(n).head(n).setOnes();
  Vector right(n + 1);
  right << products, 1.0;
  result = bordered.completeOrthogonalDecomposition().solve(right).head(n);
}

}  // namespace

void least_squares(const float* target, const float* atoms, uint64_t count, uint64_t width, double* weights) {
  Eigen::Map<Vector> result(weights, static_cast<Eigen::Index>(count));
  const Eigen::LLT<Matrix> factored(gram_of(atoms, count, width));
  if (count <= width && is_regular(factored)) {
    result = factored.solve(products_of(target, atoms, count, width));
    return;
  }
  const auto n = static_cast<Eigen::Index>(count);
  const auto w = static_cast<Eigen::Index>(width);
  const Matrix columns = Eigen::Map<const Eigen::MatrixXf>(atoms, w, n).cast<double>();
  const Vector right = Eigen::Map<const Eigen::VectorXf>(target, w).cast<double>();
  result = columns.completeOrthogonalDecomposition().solve(right);
}

Combinations nearest_neighbours(Team& team, const PackedPoints& packed, const Vectors& points, const Vectors& targets,
                                uint64_t k, bool cosine, WeightScheme scheme, Watch& watch) {
  const uint64_t width = points.width;
  Combinations result(targets.rows, k);
  std::vector<float> squares(points.rows);
  team.run(packed.tiles(), [&](uint64_t tile) {
    const uint64_t end = std::min(points.rows, (tile + 1) * PackedPoints::kTilePoints);
    for (uint64_t i = tile * PackedPoints::kTilePoints; i < end; i++) {
      squares[i] = static_cast<float>(dot(points.row(i), points.row(i), width));
    }
  });
  const uint64_t at_a_time = std::max<uint64_t>(16, kKeptProducts / points.rows);
  for (uint64_t begin = 0; begin < targets.rows; begin += at_a_time) {
    const uint64_t rows = std::min(at_a_time, targets.rows - begin);
    Vectors part(rows, width);
    std::copy_n(targets.row(begin), rows * width, part.values.data());
    Vectors products(rows, points.rows);
    packed.multiply(team, part, watch, [&](const PackedPoints::Block& block) {
      for (uint64_t i = 0; i < block.vectors; i++) {
        std::copy_n(block.products + i * block.stride, block.points,
                    products.row(block.first_vector + i) + block.tile * PackedPoints::kTilePoints);
      }
    });
    team.run(rows, [&](uint64_t i) {
      thread_local std::vector<Candidate> nearest;
      thread_local std::vector<float> atoms;
      const float* target = part.row(i);
      lowest(products.row(i), squares, cosine, std::min(points.rows, k + kSpare), nearest);
      for (Candidate& one : nearest) one.distance = distance(target, points.row(one.point), width, cosine);
      std::sort(nearest.begin(), nearest.end());
      nearest.resize(k);
      const uint64_t t = begin + i;
      double* weights = result.weight.data() + t * k;
      result.count[t] = static_cast<uint32_t>(k);
      for (uint64_t j = 0; j < k; j++) result.point[t * k + j] = nearest[j].point;
      if (scheme == WeightScheme::distance_proportional) return distance_weights(nearest, cosine, weights);
      atoms.resize(k * width);
      for (uint64_t j = 0; j < k; j++) std::copy_n(points.row(nearest[j].point), width, atoms.data() + j * width);
      if (scheme == WeightScheme::barycentric)
        barycentric(target, atoms.data(), k, width, weights);
      else
        least_squares(target, atoms.data(), k, width, weights);
    });
    watch.advance(rows);
  }
  return result;
}

}  // namespace sinter
