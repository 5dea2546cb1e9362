#include "rotary.h"

#include <cmath>

namespace sinter {
namespace {

/// Squares of points below this count as it.
constexpr double kLeastSquare = 1e-8;

std::vector<double> frequencies(uint64_t width, const Rotary& rotary) {
  const uint64_t head = width / rotary.heads;
  std::vector<double> result(head / 2);
  for (uint64_t i = 0; i < result.size(); i++) {
    result[i] = std::pow(rotary.base, -2.0 * static_cast<double>(i) / static_cast<double>(head));
  }
  return result;
}

/// The position by which `from` should be turned to come close to `to`, or to its opposite (`sign` -1).
double position_between(const float* from, const float* to, uint64_t width, const Rotary& rotary,
                        const std::vector<double>& f, double sign) {
  const uint64_t half = f.size();
  double projection = 0.0;
  double squares = 0.0;
  for (uint64_t i = 0; i < half; i++) {
    double angles = 0.0;
    for (uint64_t h = 0; h < width; h += 2 * half) {
      const double a = from[h + i], b = from[h + half + i];
      const double c = sign * to[h + i], d = sign * to[h + half + i];
      angles += std::atan2(a * d - b * c, a * c + b * d);
    }
    projection += angles * f[i];
    squares += f[i] * f[i];
  }
  return projection / (static_cast<double>(rotary.heads) * squares);
}

}  // namespace

void turn(const float* x, uint64_t width, const Rotary& rotary, double position, float* to) {
  const std::vector<double> f = frequencies(width, rotary);
  const uint64_t half = f.size();
  for (uint64_t i = 0; i < half; i++) {
    const double cosine = std::cos(position * f[i]);
    const double sine = std::sin(position * f[i]);
    for (uint64_t h = 0; h < width; h += 2 * half) {
      const double a = x[h + i], b = x[h + half + i];
      to[h + i] = static_cast<float>(a * cosine - b * sine);
      to[h + half + i] = static_cast<float>(b * cosine + a * sine);
    }
  }
}

TurnedCombinations pursue_turned(Team& team, const PackedPoints& packed, const Vectors& points, const Vectors& targets,
                                 uint64_t k, const Rotary& rotary, Watch& watch) {
  const uint64_t width = points.width;
  const std::vector<double> f = frequencies(width, rotary);
  TurnedCombinations result{Combinations(targets.rows, k), std::vector<double>(targets.rows * k)};
  Combinations& taken = result.combinations;
  Vectors rests = targets;
  for (uint64_t step = 0; step < k; step++) {
    const std::vector<uint32_t> next = most_aligned(team, packed, rests, taken, watch);
    team.run(targets.rows, [&](uint64_t t) {
      if (next[t] == kNoPoint) return;
      thread_local std::vector<float> atom;
      atom.resize(width);
      float* rest = rests.row(t);
      const float* point = points.row(next[t]);
      const double along = position_between(point, rest, width, rotary, f, 1.0);
      const double against = position_between(point, rest, width, rotary, f, -1.0);
      const double position = std::fabs(along) < std::fabs(against) ? along : against;
      turn(point, width, rotary, position, atom.data());
      const double square = dot(atom.data(), atom.data(), width);
      const double weight = dot(rest, atom.data(), width) / (square > kLeastSquare ? square : kLeastSquare);
      for (uint64_t i = 0; i < width; i++) rest[i] = static_cast<float>(rest[i] - weight * atom[i]);
      const uint64_t term = t * k + taken.count[t]++;
      taken.point[term] = next[t];
      result.position[term] = position;
    });
    watch.advance(targets.rows);
  }
  team.run(targets.rows, [&](uint64_t t) {
    thread_local std::vector<float> atoms;
    const uint32_t count = taken.count[t];
    if (count == 0) return;
    atoms.resize(count * width);
    for (uint32_t j = 0; j < count; j++) {
      turn(points.row(taken.point[t * k + j]), width, rotary, result.position[t * k + j], atoms.data() + j * width);
    }
    least_squares(targets.row(t), atoms.data(), count, width, taken.weight.data() + t * k);
  });
  return result;
}

}  // namespace sinter
