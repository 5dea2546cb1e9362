#include "pursuit.h"

#include <cmath>

#include "loops.h"

namespace sinter {
namespace {

/// What is left of a target, as a share of it, where float32 cannot tell more.
constexpr double kExhausted = 1e-6;
/// Share of a point's square that must stand outside the span of the others.
constexpr double kDependent = 1e-10;

/// The largest |product| of one vector with the points of one tile.
struct Best {
  float value = 0.0f;
  uint32_t point = kNoPoint;
};

/// Of `count` products; the first among equals. NaN is never larger.
Best largest(const float* products, uint64_t count, uint32_t first) {
  const float most = vector_loops().largest(products, count);
  if (!(most > 0.0f)) return {};
  uint32_t i = 0;
  while (std::fabs(products[i]) != most) i++;
  return {most, first + i};
}

/// One target under way.
class Pursuit {
 public:
  Pursuit(const Vectors& points, const float* target, uint64_t k)
      : points_(points), target_(target), factor_(k * k), moved_(k) {
    square_ = dot(target, target, points.width);
  }

  bool ended() const { return ended_; }
  void end() { ended_ = true; }

  /// Takes a point into the support, and what is left of the target into `rest`.
  void take(uint32_t point, uint32_t* support, double* weights, uint32_t& count, float* rest) {
    const uint64_t width = points_.width;
    const float* atom = points_.row(point);
    const uint64_t k = moved_.size();
    // The new row l of the Cholesky factor L of the Gram matrix: L' l = P atom, and the rest of the square.
    double* row = factor_.data() + count * k;
    double square = dot(atom, atom, width);
    double outside = square;
    for (uint32_t i = 0; i < count; i++) {
      double value = dot(atom, points_.row(support[i]), width);
      const double* other = factor_.data() + i * k;
      for (uint32_t j = 0; j < i; j++) value -= row[j] * other[j];
      row[i] = value / other[i];
      outside -= row[i] * row[i];
    }
    if (!(outside > kDependent * square)) {
      ended_ = true;
      return;
    }
    row[count] = std::sqrt(outside);
    // Forward substitution of P x goes on by one; then back substitution.
    double value = dot(atom, target_, width);
    for (uint32_t j = 0; j < count; j++) value -= row[j] * moved_[j];
    moved_[count] = value / row[count];
    support[count++] = point;
    for (uint32_t i = count; i-- > 0;) {
      double weight = moved_[i];
      for (uint32_t j = i + 1; j < count; j++) weight -= factor_[j * k + i] * weights[j];
      weights[i] = weight / factor_[i * k + i];
    }
    leave(support, weights, count, rest);
  }

 private:
  void leave(const uint32_t* support, const double* weights, uint32_t count, float* rest) {
    const uint64_t width = points_.width;
    thread_local std::vector<double> sum;
    sum.resize(width);
    for (uint64_t i = 0; i < width; i++) sum[i] = static_cast<double>(target_[i]);
    for (uint32_t j = 0; j < count; j++) {
      const float* atom = points_.row(support[j]);
      vector_loops().add(atom, width, -weights[j], sum.data());
    }
    double left = 0.0;
    for (uint64_t i = 0; i < width; i++) {
      left += sum[i] * sum[i];
      rest[i] = static_cast<float>(sum[i]);
    }
    if (!(left > kExhausted * kExhausted * square_)) ended_ = true;
  }

  const Vectors& points_;
  const float* target_;
  std::vector<double> factor_;
  /// P x after forward substitution.
  std::vector<double> moved_;
  double square_;
  bool ended_ = false;
};

}  // namespace

std::vector<uint32_t> most_aligned(Team& team, const PackedPoints& packed, const Vectors& vectors,
                                   const Combinations& taken, Watch& watch) {
  std::vector<Best> bests(packed.tiles() * vectors.rows);
  packed.multiply(team, vectors, watch, [&](const PackedPoints::Block& block) {
    const uint32_t first = static_cast<uint32_t>(block.tile * PackedPoints::kTilePoints);
    for (uint64_t i = 0; i < block.vectors; i++) {
      const uint64_t vector = block.first_vector + i;
      float* products = block.products + i * block.stride;
      for (uint32_t j = 0; j < taken.count[vector]; j++) {
        const uint32_t place = taken.point[vector * taken.most + j] - first;
        if (place < block.points) products[place] = 0.0f;
      }
      bests[block.tile * vectors.rows + vector] = largest(products, block.points, first);
    }
  });
  std::vector<uint32_t> points(vectors.rows, kNoPoint);
  for (uint64_t vector = 0; vector < vectors.rows; vector++) {
    Best best;
    for (uint64_t tile = 0; tile < packed.tiles(); tile++) {
      const Best& candidate = bests[tile * vectors.rows + vector];
      if (candidate.value > best.value) best = candidate;
    }
    points[vector] = best.point;
  }
  return points;
}

Combinations pursue(Team& team, const PackedPoints& packed, const Vectors& points, const Vectors& targets, uint64_t k,
                    Watch& watch) {
  Combinations result(targets.rows, k);
  std::vector<Pursuit> pursuits;
  for (uint64_t t = 0; t < targets.rows; t++) pursuits.emplace_back(points, targets.row(t), k);
  Vectors rests = targets;
  for (uint64_t step = 0; step < k; step++) {
    const std::vector<uint32_t> next = most_aligned(team, packed, rests, result, watch);
    std::atomic<uint64_t> active{0};
    team.run(targets.rows, [&](uint64_t t) {
      if (pursuits[t].ended()) return;
      if (next[t] == kNoPoint) return pursuits[t].end();
      pursuits[t].take(next[t], result.point.data() + t * k, result.weight.data() + t * k, result.count[t],
                       rests.row(t));
      if (!pursuits[t].ended()) active++;
    });
    watch.advance(targets.rows);
    if (active == 0) {
      watch.advance(targets.rows * (k - step - 1));
      break;
    }
  }
  return result;
}

}  // namespace sinter
