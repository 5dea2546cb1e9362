#include "device-op.h"

#include <algorithm>
#include <cstring>

#include "../engine/sums.h"

namespace sinter {
namespace {

/// Values that each task of a tally may collect: twice what a bracket is expected to hold of the smallest samples.
constexpr uint64_t kTallyRoom = kTaskElements / 8;

uint64_t words_of(uint64_t bits) { return (bits + 63) / 64; }

}  // namespace

DeviceOp::DeviceOp(Op& op, int kernel, Slot& slot, HostPool& pool)
    : op_(op), job_(op.job), kernel_(*op.kernel), number_(kernel), slot_(slot), pool_(pool), lane_(slot.lane()) {}

void DeviceOp::run() {
  lay_out();
  measure_rows();
  rank();
  select();
  while (reduce()) job_.round++;
  upload_groups();
  map();
}

// ---- memory ----

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
  Inflow inflow(op_, lane_, pool_, slot_.ring());
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

// ---- select ----

/// Where the counts and the values of one slice's tally lie: for each wish those of all tasks.
struct DeviceOp::TallyRoom {
  std::byte* at;
  uint64_t tasks;
  uint64_t width;

  DeviceTally* tallies(size_t wish) const {
    return reinterpret_cast<DeviceTally*>(at + wish * align_buffer(tasks * sizeof(DeviceTally)));
  }
  std::byte* values(size_t wishes, size_t wish) const {
    return reinterpret_cast<std::byte*>(tallies(wishes)) + wish * tasks * kTallyRoom * width;
  }
};

void DeviceOp::select() {
  if (kernel_.selections == nullptr) return;
  const uint64_t step = step_of(slicing_, job_.count, unit());
  const std::unique_ptr<Selector> selector = Selector::create(kernel_, job_, step);
  Scratch scratch;
  for (uint32_t tasks = selector->tasks(); tasks > 0; tasks = selector->tasks()) {
    if (selector->tallies()) {
      tally(*selector, step);
    } else {
      for (uint32_t task = 0; task < tasks; task++) selector->run(task, scratch);
      check_sources(op_);
    }
    selector->advance();
  }
  job_.thresholds = selector->thresholds();
}

void DeviceOp::tally(Selector& selector, uint64_t step) {
  const std::vector<TallyWish> wishes = selector.wishes();
  const uint64_t tasks = tasks_of(step);
  const TallyRoom rooms[2] = {{tallies_[0], tasks, job_.wide ? 8u : 4u}, {tallies_[1], tasks, job_.wide ? 8u : 4u}};
  std::vector<TallyRequest> requests(wishes.size());
  uint64_t slices = 0;
  uint64_t last_tasks = 0;
  sweep(step, [&](uint64_t i, const Slice& slice) {
    for (size_t w = 0; w < wishes.size(); w++) {
      const TallyWish& wish = wishes[w];
      requests[w] = {wish.selection,
                     wish.low,
                     wish.high,
                     wish.collect ? kTallyRoom : 1,
                     rooms[i % 2].tallies(w),
                     rooms[i % 2].values(wishes.size(), w)};
    }
    lane_.require(lane_->tally(number_, job_, slice, requests.data(), static_cast<int>(requests.size())));
    // While the device counts this slice, the counts of the one before come back.
    lane_.wait(Queue::download, read_[(i + 1) % 2]);
    if (i > 0) take_tallies(selector, wishes, rooms[(i - 1) % 2], (i - 1) * tasks, tasks);
    slices = i + 1;
    last_tasks = tasks_of(slice.end - slice.begin);
  });
  lane_.wait(Queue::download, lane_.mark(Queue::compute));
  take_tallies(selector, wishes, rooms[(slices - 1) % 2], (slices - 1) * tasks, last_tasks);
}

/// What was counted in tasks [first, first + tasks).
void DeviceOp::take_tallies(Selector& selector, const std::vector<TallyWish>& wishes, const TallyRoom& room,
                            uint64_t first, uint64_t tasks) {
  std::vector<DeviceTally> counts(wishes.size() * tasks);
  std::vector<Part> parts;
  for (size_t w = 0; w < wishes.size(); w++) {
    parts.push_back({reinterpret_cast<std::byte*>(counts.data() + w * tasks),
                     reinterpret_cast<const std::byte*>(room.tallies(w)), tasks * sizeof(DeviceTally)});
  }
  fetch(parts);
  parts.clear();
  std::vector<std::vector<std::byte>> values(counts.size());
  for (size_t w = 0; w < wishes.size(); w++) {
    const uint64_t limit = wishes[w].collect ? kTallyRoom : 1;
    for (uint64_t task = 0; task < tasks; task++) {
      DeviceTally& found = counts[w * tasks + task];
      found.collected = std::min(found.collected, limit);
      if (found.collected == 0) continue;
      std::vector<std::byte>& to = values[w * tasks + task];
      to.resize(found.collected * room.width);
      parts.push_back(
          {to.data(), room.values(wishes.size(), w) + task * limit * room.width, found.collected * room.width});
    }
  }
  fetch(parts);
  for (size_t w = 0; w < wishes.size(); w++) {
    for (uint64_t task = 0; task < tasks; task++) {
      const DeviceTally& found = counts[w * tasks + task];
      const Tally<uint64_t> tally{found.above, found.equal_high, found.equal_low, found.inside, found.zeros, {}};
      selector.put(wishes[w].number, static_cast<uint32_t>(first + task), tally, values[w * tasks + task].data(),
                   found.collected);
    }
  }
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
