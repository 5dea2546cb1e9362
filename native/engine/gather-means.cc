#include "gather-means.h"

#include <algorithm>

#include "sum-tree.h"

namespace sinter {
namespace {

/// Rows of gathered inputs that one task adds up. Results depend on it.
constexpr uint64_t kGatherRows = 4096;

uint32_t tasks_of(const Job& job) { return static_cast<uint32_t>((job.rows + kGatherRows - 1) / kGatherRows); }

}  // namespace

uint32_t begin_means(Op& op) {
  const Job& job = op.job;
  const bool wanted = std::any_of(op.gathers.begin(), op.gathers.end(), [](const auto& g) { return g->averaged > 0; });
  if (!wanted || job.count == 0) return 0;
  op.partial_sums.assign(tasks_of(job) * op.gathers.size() * (job.count / job.rows), 0.0);
  return tasks_of(job);
}

void add_to_means(Op& op, uint32_t task) {
  const uint64_t begin = task * kGatherRows;
  const uint64_t end = std::min(op.job.rows, begin + kGatherRows);
  for (size_t g = 0; g < op.gathers.size(); g++) {
    const RowGather& gather = *op.gathers[g];
    if (gather.averaged == 0) continue;
    op.kernels->add_rows(op.job, gather, begin, end,
                         op.partial_sums.data() + (task * op.gathers.size() + g) * gather.width);
  }
}

/// From the sums of blocks of rows.
void finish_means(Op& op) {
  for (size_t g = 0; g < op.gathers.size(); g++) {
    RowGather& gather = *op.gathers[g];
    if (gather.averaged == 0) continue;
    const size_t stride = op.gathers.size() * gather.width;
    gather.mean.resize(gather.width);
    for (size_t column = 0; column < gather.width; column++) {
      const double sum = sum_tree(op.partial_sums.data() + g * gather.width + column, tasks_of(op.job), stride);
      gather.mean[column] = sum / static_cast<double>(gather.averaged);
    }
  }
  op.partial_sums = {};
}

}  // namespace sinter
