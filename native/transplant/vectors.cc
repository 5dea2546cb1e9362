#include "vectors.h"

#include <algorithm>
#include <functional>

#include "../numeric/convert.h"
#include "loops.h"

namespace sinter {
namespace {

/// Rows of one block of a sum over rows. Results depend on it.
constexpr uint64_t kBlockRows = 1024;

template <class D>
void widen_as(const std::byte* from, uint64_t width, float* to) {
  const auto* stored = reinterpret_cast<const typename Loose<D>::Stored*>(from);
  for (uint64_t i = 0; i < width; i++) to[i] = static_cast<float>(D::widen(stored[i]));
}

template <class D>
void add_as(const std::byte* from, uint64_t width, double weight, double* to) {
  const auto* stored = reinterpret_cast<const typename Loose<D>::Stored*>(from);
  for (uint64_t i = 0; i < width; i++) to[i] += weight * static_cast<double>(D::widen(stored[i]));
}

template <class D>
void narrow_as(const double* from, uint64_t width, std::byte* to) {
  auto* stored = reinterpret_cast<typename Loose<D>::Stored*>(to);
  for (uint64_t i = 0; i < width; i++) stored[i] = narrow<D>(from[i]);
}

/// @param add adds one row to the sums.
std::vector<double> mean_of(Team& team, uint64_t rows, uint64_t width,
                            const std::function<void(uint64_t, double*)>& add) {
  const uint64_t blocks = (rows + kBlockRows - 1) / kBlockRows;
  std::vector<double> sums(blocks * width);
  team.run(blocks, [&](uint64_t block) {
    const uint64_t end = std::min(rows, (block + 1) * kBlockRows);
    for (uint64_t row = block * kBlockRows; row < end; row++) add(row, sums.data() + block * width);
  });
  std::vector<double> mean(width);
  for (uint64_t block = 0; block < blocks; block++) {
    for (uint64_t i = 0; i < width; i++) mean[i] += sums[block * width + i];
  }
  for (double& value : mean) value /= static_cast<double>(std::max<uint64_t>(rows, 1));
  return mean;
}

}  // namespace

void widen_row(const StoredRows& from, uint64_t row, float* to) {
  switch (from.dtype) {
    case Dtype::BF16:
      return widen_as<BF16>(from.row(row), from.width, to);
    case Dtype::F16:
      return widen_as<F16>(from.row(row), from.width, to);
    case Dtype::F64:
      return widen_as<F64>(from.row(row), from.width, to);
    default:
      return widen_as<F32>(from.row(row), from.width, to);
  }
}

void add_row(const StoredRows& from, uint64_t row, double weight, double* to) {
  switch (from.dtype) {
    case Dtype::BF16:
      return add_as<BF16>(from.row(row), from.width, weight, to);
    case Dtype::F16:
      return add_as<F16>(from.row(row), from.width, weight, to);
    case Dtype::F64:
      return add_as<F64>(from.row(row), from.width, weight, to);
    default:
      return add_as<F32>(from.row(row), from.width, weight, to);
  }
}

void narrow_row(const double* from, uint64_t width, Dtype dtype, std::byte* to) {
  switch (dtype) {
    case Dtype::BF16:
      return narrow_as<BF16>(from, width, to);
    case Dtype::F16:
      return narrow_as<F16>(from, width, to);
    case Dtype::F64:
      return narrow_as<F64>(from, width, to);
    default:
      return narrow_as<F32>(from, width, to);
  }
}

Vectors gather_rows(Team& team, const StoredRows& from, const std::vector<uint32_t>& indices) {
  Vectors vectors(indices.size(), from.width);
  const uint64_t blocks = (indices.size() + kBlockRows - 1) / kBlockRows;
  team.run(blocks, [&](uint64_t block) {
    const uint64_t end = std::min<uint64_t>(indices.size(), (block + 1) * kBlockRows);
    for (uint64_t i = block * kBlockRows; i < end; i++) widen_row(from, indices[i], vectors.row(i));
  });
  return vectors;
}

std::vector<double> mean_of_rows(Team& team, const StoredRows& from) {
  return mean_of(team, from.rows, from.width, [&](uint64_t row, double* sums) { add_row(from, row, 1.0, sums); });
}

std::vector<double> mean_of_rows(Team& team, const Vectors& from) {
  return mean_of(team, from.rows, from.width, [&](uint64_t row, double* sums) {
    const float* values = from.row(row);
    for (uint64_t i = 0; i < from.width; i++) sums[i] += static_cast<double>(values[i]);
  });
}

double dot(const float* a, const float* b, uint64_t count) { return vector_loops().dot(a, b, count); }

}  // namespace sinter
