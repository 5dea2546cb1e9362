#include "low-rank.h"

#include <cmath>
#include <cstring>

#include "../io/error.h"
#include "../numeric/convert.h"

namespace sinter {
namespace {

template <class D>
void narrow_all(const std::vector<float>& from, std::byte* to) {
  for (size_t i = 0; i < from.size(); i++) {
    const typename D::Stored bits = narrow<D>(from[i]);
    memcpy(to + i * sizeof(bits), &bits, sizeof(bits));
  }
}

void write_factor(const LowRankTask& task, const std::vector<float>& values, uint64_t offset) {
  std::vector<std::byte> bytes(values.size() * element_size(task.dtype));
  switch (task.dtype) {
    case Dtype::F64:
      narrow_all<F64>(values, bytes.data());
      break;
    case Dtype::F32:
      narrow_all<F32>(values, bytes.data());
      break;
    case Dtype::F16:
      narrow_all<F16>(values, bytes.data());
      break;
    default:
      narrow_all<BF16>(values, bytes.data());
  }
  task.sink->write(offset, bytes.data(), bytes.size());
}

/// [rows, rank] with zeros up to the width.
std::vector<float> widened(const std::vector<float>& values, uint64_t rank, uint64_t width) {
  std::vector<float> wide(values.size() / rank * width);
  for (uint64_t i = 0; i < values.size(); i++) wide[i / rank * width + i % rank] = values[i];
  return wide;
}

}  // namespace

LowRankResult write_low_rank(const LowRankTask& task, const std::atomic<bool>& cancelled) {
  Team team(task.threads);
  Svd svd = task.is_product ? product_svd(team, task.b, task.a, task.scale, task.request)
                            : truncated_svd(team, task.matrix, task.request, cancelled, task.device.get());
  if (task.source->failed()) throw Failure("SOURCE_FAILED", "the differences failed while they were read", 0);
  const uint64_t rank = svd.values.size();
  const uint64_t columns = task.matrix.columns;
  LowRankResult result;
  result.rank = rank;
  result.energy = svd.energy;
  result.iterations = svd.iterations;
  result.on_device = svd.on_device;
  result.refused = svd.refused;
  for (uint64_t k = 0; k < rank; k++) {
    const double value = svd.values[k];
    const double of_b = task.distribute ? std::sqrt(value) : 1.0;
    const double of_a = task.distribute ? std::sqrt(value) : value;
    for (uint64_t j = 0; j < columns; j++) {
      svd.right[k * columns + j] = static_cast<float>(svd.right[k * columns + j] * of_a);
    }
    for (uint64_t i = 0; i < task.matrix.rows; i++) {
      svd.left[i * rank + k] = static_cast<float>(svd.left[i * rank + k] * of_b);
    }
    result.kept += value * value;
  }
  if (rank > 0) {
    result.largest = svd.values.front();
    result.smallest = svd.values.back();
    write_factor(task, svd.right, task.a_offset);
    write_factor(task, task.b_width > rank ? widened(svd.left, rank, task.b_width) : svd.left, task.b_offset);
  }
  return result;
}

}  // namespace sinter
