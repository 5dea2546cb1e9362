// How sums of blocks become those of an op, the same whatever computed the blocks.
#pragma once

#include <vector>

#include "kernel.h"

namespace sinter {

/// Rows whose sums one part of the reduce pass takes, for groups that are rows or columns. Along the first dimension
/// results depend on it, so it depends on the shape alone.
uint64_t rows_per_part(const Job& job, uint64_t sums);

/// Sums of each of the rows [begin, end), Grouping::rows: `sums` numbers for each.
void sum_rows(const Kernel& kernel, const Job& job, Scratch& scratch, uint64_t begin, uint64_t end, double* sums);

/// Fills `job.sums`, which has its size, from those of all blocks of kSumBlock elements (Grouping::whole) or of
/// `rows_per_part` rows (Grouping::columns). Rows have summed themselves.
void finish_sums(const Kernel& kernel, Job& job, const std::vector<double>& partial);

}  // namespace sinter
