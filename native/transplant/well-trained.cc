#include "well-trained.h"

#include <algorithm>
#include <cmath>
#include <functional>

namespace sinter {
namespace {

constexpr double kShare = 0.01;
constexpr double kLeastCosine = 0.5;
constexpr uint64_t kBlockRows = 1024;

/// One number for each row.
std::vector<double> measure(Team& team, const StoredRows& rows, const std::function<double(const float*)>& of_row) {
  std::vector<double> result(rows.rows);
  team.run((rows.rows + kBlockRows - 1) / kBlockRows, [&](uint64_t block) {
    thread_local std::vector<float> row;
    row.resize(rows.width);
    const uint64_t end = std::min(rows.rows, (block + 1) * kBlockRows);
    for (uint64_t r = block * kBlockRows; r < end; r++) {
      widen_row(rows, r, row.data());
      result[r] = of_row(row.data());
    }
  });
  return result;
}

double quantile(std::vector<double> values, double share) {
  if (values.empty()) return 0.0;
  std::sort(values.begin(), values.end());
  const double place = share * static_cast<double>(values.size() - 1);
  const auto below = static_cast<size_t>(place);
  const size_t above = std::min(below + 1, values.size() - 1);
  return values[below] + (values[above] - values[below]) * (place - static_cast<double>(below));
}

void mark_like_unused(Team& team, const StoredRows& rows, const std::vector<uint32_t>& unused,
                      std::vector<uint8_t>& trained) {
  std::vector<double> sum(rows.width);
  uint64_t count = 0;
  for (const uint32_t row : unused) {
    if (row >= rows.rows) continue;
    add_row(rows, row, 1.0, sum.data());
    count++;
  }
  if (count == 0) return;
  std::vector<float> mean(rows.width);
  for (uint64_t i = 0; i < rows.width; i++) mean[i] = static_cast<float>(sum[i] / static_cast<double>(count));
  const double norm = std::sqrt(dot(mean.data(), mean.data(), rows.width));
  const std::vector<double> cosines = measure(team, rows, [&](const float* row) {
    const double norms = std::sqrt(dot(row, row, rows.width)) * norm;
    return dot(row, mean.data(), rows.width) / std::max(norms, 1e-8);
  });
  const double limit = std::max(kLeastCosine, quantile(cosines, 1.0 - kShare));
  for (uint64_t r = 0; r < std::min<uint64_t>(rows.rows, trained.size()); r++) {
    if (cosines[r] > limit) trained[r] = 0;
  }
}

}  // namespace

std::vector<uint8_t> well_trained(Team& team, const StoredRows& embedding, const std::optional<StoredRows>& head,
                                  const std::vector<uint32_t>& unused) {
  std::vector<uint8_t> trained(embedding.rows, 1);
  for (const uint32_t row : unused) {
    if (row < trained.size()) trained[row] = 0;
  }
  if (head) {
    const std::vector<double> norms =
        measure(team, embedding, [&](const float* row) { return std::sqrt(dot(row, row, embedding.width)); });
    const double limit = quantile(norms, kShare);
    for (uint64_t r = 0; r < trained.size(); r++) {
      if (norms[r] < limit) trained[r] = 0;
    }
  }
  mark_like_unused(team, embedding, unused, trained);
  if (head) mark_like_unused(team, *head, unused, trained);
  return trained;
}

}  // namespace sinter
