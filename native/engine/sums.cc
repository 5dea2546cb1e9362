#include "sums.h"

#include <algorithm>

#include "sum-tree.h"

namespace sinter {
namespace {

/// Partial sums along the first dimension, in all blocks of an op: 32 MiB. Results depend on it.
constexpr uint64_t kMostColumnSums = 4 << 20;

}  // namespace

uint64_t rows_per_part(const Job& job, uint64_t sums) {
  const uint64_t width = job.grouping == Grouping::rows ? job.columns : job.groups();
  const uint64_t least = std::max<uint64_t>(1, kTaskElements / width);
  if (job.grouping == Grouping::rows) return least;
  const uint64_t blocks = std::clamp<uint64_t>(kMostColumnSums / (sums * width), 1, 64);
  return std::max(least, (job.count / width + blocks - 1) / blocks);
}

void sum_rows(const Kernel& kernel, const Job& job, Scratch& scratch, uint64_t begin, uint64_t end, double* sums) {
  const uint64_t width = job.columns;
  const size_t count = static_cast<size_t>(kernel.sum_count(job));
  std::vector<double> blocks((width + kSumBlock - 1) / kSumBlock * count);
  for (uint64_t row = begin; row < end; row++) {
    for (uint64_t at = 0; at < width; at += kSumBlock) {
      const uint64_t first = row * width + at;
      kernel.reduce(job, scratch, first, std::min((row + 1) * width, first + kSumBlock),
                    blocks.data() + at / kSumBlock * count);
    }
    for (size_t s = 0; s < count; s++) *sums++ = sum_tree(blocks.data() + s, blocks.size() / count, count);
  }
}

void finish_sums(const Kernel& kernel, Job& job, const std::vector<double>& partial) {
  const size_t groups = job.groups();
  const size_t sums = job.sums.size() / groups;
  if (job.grouping == Grouping::whole) {
    const size_t added = sums - static_cast<size_t>(kernel.maxima);
    for (size_t s = 0; s < added; s++) job.sums[s] = sum_tree(partial.data() + s, partial.size() / sums, sums);
    for (size_t s = added; s < sums; s++) {
      for (size_t at = s; at < partial.size(); at += sums) job.sums[s] = std::max(job.sums[s], partial[at]);
    }
  } else if (job.grouping == Grouping::columns) {
    const size_t blocks = partial.size() / job.sums.size();
    for (size_t group = 0; group < groups; group++) {
      for (size_t s = 0; s < sums; s++) {
        job.sums[group * sums + s] = sum_tree(partial.data() + s * groups + group, blocks, sums * groups);
      }
    }
  }
}

}  // namespace sinter
