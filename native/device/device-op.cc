#include "device-op.h"

#include <algorithm>
#include <cstring>

#include "../engine/sums.h"

namespace sinter {

DeviceOp::DeviceOp(Op& op, int kernel, Slot& slot, HostPool& pool)
    : op_(op),
      job_(op.job),
      kernel_(*op.kernel),
      number_(kernel),
      slot_(slot),
      pool_(pool),
      computed_(op, pool),
      lane_(slot.lane()) {}

void DeviceOp::run() {
  lay_out();
  measure_rows();
  rank();
  select();
  while (reduce()) job_.round++;
  upload_groups();
  map();
}

// ---- passes over slices ----

std::byte* DeviceOp::place(int input, uint64_t slice, uint64_t begin, uint64_t element) const {
  const uint64_t width = element_size(job_.input[input].dtype);
  if (slicing_.resident) return inputs_[0][input] + element * width;
  return inputs_[slice % 2][input] + (element - begin) * width;
}

Slice DeviceOp::slice_at(uint64_t number, uint64_t begin, uint64_t end) const {
  Slice slice;
  slice.begin = begin;
  slice.end = end;
  for (int k = 0; k < job_.inputs; k++) {
    slice.input[k] = place(k, number, begin, begin);
    if (has_masks_ && masks_[k] != nullptr) slice.masks[k] = masks_[k] + begin / 64;
  }
  if (has_groups_) {
    const uint64_t first = job_.grouping == Grouping::rows ? begin / job_.columns : 0;
    slice.groups = groups_ + first * static_cast<uint64_t>(kernel_.group_values(job_));
  }
  return slice;
}

void DeviceOp::sweep(uint64_t step, const std::function<void(uint64_t, const Slice&)>& pass) {
  Inflow inflow(op_, computed_, lane_, pool_, slot_.ring(), slot_.direct());
  for (uint64_t i = 0, begin = 0; begin < job_.count; i++, begin += step) {
    const uint64_t end = std::min(job_.count, begin + step);
    const uint64_t from = slicing_.resident ? std::max(begin, loaded_) : begin;
    for (int k = 0; k < job_.inputs; k++) inflow.add(k, from, std::max(from, end), place(k, i, begin, from));
    inflow.end_group();
  }
  if (slicing_.resident) loaded_ = job_.count;
  for (uint64_t i = 0, begin = 0; begin < job_.count; i++, begin += step) {
    if (op_.cancelled) throw Failure("CANCELLED", "cancelled");
    lane_.wait(Queue::compute, inflow.load(slicing_.resident ? 0 : read_[i % 2]));
    pass(i, slice_at(i, begin, std::min(job_.count, begin + step)));
    read_[i % 2] = lane_.mark(Queue::compute);
    inflow.read_on();
  }
}

void DeviceOp::measure_rows() {
  if (kernel_.prepare == nullptr || kernel_.needs_ranks != nullptr) return;
  Budget none(0);
  kernel_.make_room(job_, none);
  sweep(step_of(slicing_, job_.count, job_.columns), [&](uint64_t, const Slice& slice) {
    lane_.require(lane_->measure_rows(number_, job_, slice, table_ + slice.begin / job_.columns));
  });
  fetch(job_.table.data(), table_, job_.table.size() * sizeof(double));
  upload_groups();
}

void DeviceOp::rank() {
  bool any = false;
  for (int k = 0; k < job_.inputs; k++) {
    if (!is_ranked(k)) continue;
    const std::vector<uint32_t> limits = kernel_.rank_limits(job_, k);
    send(limits_[k], limits.data(), limits.size() * sizeof(uint32_t));
    any = true;
  }
  if (!any) return;
  sweep(step_of(slicing_, job_.count, kPrepareRows * job_.columns), [&](uint64_t, const Slice& slice) {
    for (int k = 0; k < job_.inputs; k++) {
      if (!is_ranked(k)) continue;
      lane_.require(lane_->rank(number_, job_, slice, k, limits_[k], masks_[k] + slice.begin / 64));
    }
  });
  has_masks_ = true;
}

// ---- reduce and solve ----

/// @returns whether to do so again.
bool DeviceOp::reduce() {
  const uint64_t sums = sum_count();
  job_.sums.assign(sums * job_.groups(), 0.0);
  if (sums > 0) {
    if (sums > sums_first_) throw NoRoom("a later round of the method asks for more sums than the first");
    std::vector<double> partial;
    if (job_.grouping == Grouping::rows) {
      sweep(step_of(slicing_, job_.count, job_.columns), [&](uint64_t, const Slice& slice) {
        lane_.require(lane_->reduce(number_, job_, slice, sums_ + slice.begin / job_.columns * sums));
      });
      fetch(job_.sums.data(), sums_, job_.sums.size() * sizeof(double));
    } else if (job_.grouping == Grouping::columns) {
      const uint64_t part = part_rows() * job_.groups();
      sweep(step_of(slicing_, job_.count, part), [&](uint64_t, const Slice& slice) {
        double* const to = sums_ + slice.begin / part * job_.sums.size();
        lane_.require(lane_->reduce_columns(number_, job_, slice, part_rows(), to));
      });
      partial.resize((job_.count + part - 1) / part * job_.sums.size());
    } else {
      sweep(step_of(slicing_, job_.count, kSumBlock), [&](uint64_t, const Slice& slice) {
        lane_.require(lane_->reduce(number_, job_, slice, sums_ + slice.begin / kSumBlock * sums));
      });
      partial.resize((job_.count + kSumBlock - 1) / kSumBlock * sums);
    }
    fetch(partial.data(), sums_, partial.size() * sizeof(double));
    finish_sums(kernel_, job_, partial);
  }
  return kernel_.solve != nullptr && kernel_.solve(job_);
}

void DeviceOp::upload_groups() {
  if (job_.grouping == Grouping::whole || kernel_.group_table == nullptr) return;
  const uint64_t numbers = job_.groups() * static_cast<uint64_t>(kernel_.group_values(job_));
  send(groups_, kernel_.group_table(job_), numbers * sizeof(double));
  has_groups_ = true;
}

// ---- map ----

void DeviceOp::map() {
  const uint64_t width = element_size(job_.out);
  lane_.require(lane_->clear(non_finite_, sizeof(uint64_t)));
  Outflow outflow(op_, lane_, pool_, slot_.blocks());
  Mark downloaded[2] = {};
  sweep(step_of(slicing_, job_.count, unit()), [&](uint64_t i, const Slice& slice) {
    lane_.wait(Queue::compute, downloaded[i % 2]);
    lane_.require(lane_->map(number_, job_, slice, out_[i % 2], non_finite_));
    lane_.wait(Queue::download, lane_.mark(Queue::compute));
    outflow.take(out_[i % 2], (slice.end - slice.begin) * width);
    downloaded[i % 2] = lane_.mark(Queue::download);
  });
  uint64_t non_finite = 0;
  fetch(&non_finite, non_finite_, sizeof(non_finite));
  outflow.finish();
  op_.non_finite.fetch_or(non_finite);
}

// ---- small things ----

void DeviceOp::send(void* to, const void* from, uint64_t bytes) {
  for (uint64_t at = 0; at < bytes; at += kControlBytes) {
    const uint64_t n = std::min(kControlBytes, bytes - at);
    std::memcpy(slot_.control(), static_cast<const std::byte*>(from) + at, n);
    lane_.require(lane_->upload(static_cast<std::byte*>(to) + at, slot_.control(), n));
    lane_.reach(lane_.mark(Queue::upload));
  }
}

void DeviceOp::fetch(void* to, const void* from, uint64_t bytes) {
  lane_.wait(Queue::download, lane_.mark(Queue::compute));
  fetch({{static_cast<std::byte*>(to), static_cast<const std::byte*>(from), bytes}});
}

/// As many at a time as the pinned memory holds.
void DeviceOp::fetch(const std::vector<Part>& parts) {
  std::vector<Part> queued;
  uint64_t used = 0;
  const auto take = [&] {
    if (queued.empty()) return;
    lane_.reach(lane_.mark(Queue::download));
    for (const Part& part : queued) std::memcpy(part.to, part.from, part.bytes);
    queued.clear();
    used = 0;
  };
  for (const Part& part : parts) {
    for (uint64_t at = 0; at < part.bytes;) {
      if (used == kControlBytes) take();
      const uint64_t n = std::min(part.bytes - at, kControlBytes - used);
      std::byte* const pinned = slot_.control() + used;
      lane_.require(lane_->download(pinned, part.from + at, n));
      queued.push_back({part.to + at, pinned, n});
      used += n;
      at += n;
    }
  }
  take();
}

}  // namespace sinter
