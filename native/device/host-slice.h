// A slice of an op as the CPU's functions take it: a job whose inputs begin where the slice's would if the tensor lay whole.
#pragma once

#include <atomic>
#include <cstring>

#include "../engine/kernel.h"
#include "device.h"

namespace sinter {

/// The slice of a job as the CPU's functions take one. Made when a pass is called; what lies in device memory is looked at
/// when it runs.
struct SliceJob {
  Job job;
  Slice slice;
  Scratch scratch;

  SliceJob(const Job& from, const Slice& slice) : slice(slice) {
    static std::atomic<uint64_t> next_id{uint64_t{1} << 62};
    job.id = next_id++;
    job.inputs = from.inputs;
    for (int k = 0; k < from.inputs; k++) {
      job.input[k].dtype = from.input[k].dtype;
      job.input[k].stream = from.input[k].stream;
      const uint64_t before = slice.begin * element_size(from.input[k].dtype);
      job.input[k].data = static_cast<const std::byte*>(slice.input[k]) - before;
    }
    job.count = from.count;
    job.input_count = from.input_count;
    job.rows = from.rows;
    job.columns = from.columns;
    job.out = from.out;
    job.wide = from.wide;
    job.params = from.params;
    job.key = from.key;
    job.table = from.table;
    job.thresholds = from.thresholds;
    job.grouping = from.grouping;
    job.round = from.round;
    job.solved = from.solved;
  }

  uint64_t first_group() const { return job.grouping == Grouping::rows ? slice.begin / job.columns : 0; }

  uint64_t touched_groups() const {
    if (job.grouping == Grouping::columns) return job.groups();
    return (slice.end + job.columns - 1) / job.columns - slice.begin / job.columns;
  }

  /// The numbers of groups that a pass reads are those in device memory.
  void take_groups(const Kernel& kernel) {
    if (slice.groups == nullptr) return;
    const uint64_t values = static_cast<uint64_t>(kernel.group_values(job));
    double* const table = const_cast<double*>(kernel.group_table(job));
    std::memcpy(table + first_group() * values, slice.groups, touched_groups() * values * sizeof(double));
  }

  /// So are the masks.
  void take_masks(const Kernel& kernel) {
    if (kernel.needs_ranks == nullptr) return;
    job.masks.resize(static_cast<size_t>(job.inputs));
    for (int k = 0; k < job.inputs; k++) {
      if (slice.masks[k] == nullptr) continue;
      std::vector<uint64_t>& mask = job.masks[static_cast<size_t>(k)];
      mask.assign(slice.end / 64 + 64, 0);
      const uint64_t words = (slice.end - slice.begin + 63) / 64;
      std::memcpy(mask.data() + slice.begin / 64, slice.masks[k], words * 8);
    }
  }
};

}  // namespace sinter
