// What an op takes of a device's memory, and where in it each part lies.

#include <algorithm>

#include "../engine/sums.h"
#include "device-op.h"

namespace sinter {
namespace {

uint64_t words_of(uint64_t bits) { return (bits + 63) / 64; }

}  // namespace

bool DeviceOp::is_ranked(int input) const { return kernel_.needs_ranks != nullptr && kernel_.needs_ranks(job_, input); }

uint64_t DeviceOp::sum_count() const {
  return kernel_.sum_count == nullptr ? 0 : static_cast<uint64_t>(kernel_.sum_count(job_));
}

/// What slices of ordinary passes begin at multiples of.
uint64_t DeviceOp::unit() const {
  if (job_.grouping == Grouping::rows) return job_.columns;
  return job_.grouping == Grouping::columns ? job_.groups() : kSumBlock;
}

/// Rows of one block of `reduce_columns`: those of one of the CPU's parts, so that the same numbers are added.
uint64_t DeviceOp::part_rows() const { return rows_per_part(job_, sum_count()); }

/// Sums, tables, limits and masks are for the whole op; the rest is for slices.
Demand DeviceOp::demand() const {
  Demand demand;
  demand.count = job_.count;
  demand.inputs = job_.inputs;
  demand.output_bytes = element_size(job_.out);
  demand.unit = unit();
  demand.fixed = kBufferAlign;
  for (int k = 0; k < job_.inputs; k++) {
    demand.input_bytes += element_size(job_.input[k].dtype);
    if (!is_ranked(k)) continue;
    demand.fixed += align_buffer(job_.columns * sizeof(uint32_t)) + align_buffer(words_of(job_.count) * 8);
    demand.unit = std::max(demand.unit, kPrepareRows * job_.columns);
  }
  const uint64_t sums = sum_count();
  if (job_.grouping == Grouping::whole) {
    demand.fixed += align_buffer((job_.count + kSumBlock - 1) / kSumBlock * sums * sizeof(double));
  } else {
    uint64_t parts = 1;
    if (sums > 0 && job_.grouping == Grouping::columns) {
      parts = (job_.rows + part_rows() - 1) / part_rows();
      demand.unit = std::max(demand.unit, part_rows() * job_.groups());
    }
    demand.fixed += align_buffer(parts * job_.groups() * sums * sizeof(double));
    const uint64_t values = kernel_.group_values == nullptr ? 0 : static_cast<uint64_t>(kernel_.group_values(job_));
    demand.fixed += align_buffer(job_.groups() * values * sizeof(double));
    demand.fixed += align_buffer(job_.groups() * sizeof(double));
  }
  if (kernel_.selections != nullptr) {
    std::vector<Selection> selections;
    kernel_.selections(job_, selections);
    demand.tally_bytes = selections.size() * (sizeof(DeviceTally) + kTallyRoom * (job_.wide ? 8 : 4) + kBufferAlign);
  }
  return demand;
}

void DeviceOp::lay_out() {
  const Demand demand = this->demand();
  const std::optional<Slicing> slicing = cut(demand, slot_.memory());
  if (!slicing) throw NoRoom("the smallest part of the tensor that can be computed at a time is too large");
  slicing_ = *slicing;
  Arena& arena = slot_.arena();
  arena.clear(lane_.device(), slicing_.bytes, slot_.memory());

  for (int copy = 0; copy < (slicing_.resident ? 1 : 2); copy++) {
    for (int k = 0; k < job_.inputs; k++) {
      const uint64_t elements = slicing_.resident ? job_.count : slicing_.slice;
      inputs_[copy][k] = arena.take<std::byte>(elements * element_size(job_.input[k].dtype));
    }
  }
  for (int copy = 0; copy < 2; copy++) {
    out_[copy] = arena.take<std::byte>(slicing_.slice * demand.output_bytes);
    tallies_[copy] = arena.take<std::byte>(tasks_of(slicing_.slice) * demand.tally_bytes);
  }
  non_finite_ = arena.take<uint64_t>(1);
  const uint64_t sums = sum_count();
  const bool whole = job_.grouping == Grouping::whole;
  const bool columns = job_.grouping == Grouping::columns;
  const uint64_t parts = whole                 ? (job_.count + kSumBlock - 1) / kSumBlock
                         : columns && sums > 0 ? (job_.rows + part_rows() - 1) / part_rows()
                                               : 1;
  sums_first_ = sums;
  sums_ = arena.take<double>(parts * job_.groups() * sums);
  if (!whole) {
    table_ = arena.take<double>(job_.groups());
    const int values = kernel_.group_values == nullptr ? 0 : kernel_.group_values(job_);
    groups_ = arena.take<double>(job_.groups() * static_cast<uint64_t>(values));
  }
  for (int k = 0; k < job_.inputs; k++) {
    if (!is_ranked(k)) continue;
    limits_[k] = arena.take<uint32_t>(job_.columns);
    masks_[k] = arena.take<uint64_t>(words_of(job_.count));
  }
}

}  // namespace sinter
