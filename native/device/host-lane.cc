#include "host-lane.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <memory>
#include <random>
#include <thread>

#include "../engine/sums.h"
#include "host-device.h"
#include "host-slice.h"

namespace sinter {

void HostLane::add(Queue queue, std::function<void()> work) {
  const uint64_t slow = orders().number("slow", 0);
  queues_[static_cast<int>(queue)].push([slow, work = std::move(work)] {
    if (slow > 0) {
      thread_local std::mt19937 random(std::random_device{}());
      std::this_thread::sleep_for(std::chrono::microseconds(random() % slow));
    }
    work();
  });
}

DeviceStatus HostLane::upload(void* to, const void* pinned, uint64_t bytes) {
  if (const DeviceStatus status = device_.call(); status != DeviceStatus::ok) return status;
  if (!device_.memory.holds(to, bytes) || !device_.pinned.holds(pinned, bytes)) {
    return say(DeviceStatus::failed, "an upload beyond what is allocated");
  }
  add(Queue::upload, [=] { std::memcpy(to, pinned, bytes); });
  return DeviceStatus::ok;
}

DeviceStatus HostLane::download(void* pinned, const void* from, uint64_t bytes) {
  if (const DeviceStatus status = device_.call(); status != DeviceStatus::ok) return status;
  if (!device_.memory.holds(from, bytes) || !device_.pinned.holds(pinned, bytes)) {
    return say(DeviceStatus::failed, "a download beyond what is allocated");
  }
  add(Queue::download, [=] { std::memcpy(pinned, from, bytes); });
  return DeviceStatus::ok;
}

DeviceStatus HostLane::download_rows(void* pinned, const void* from, uint64_t pitch, uint64_t bytes, uint64_t rows) {
  if (const DeviceStatus status = device_.call(); status != DeviceStatus::ok) return status;
  if (rows == 0 || bytes > pitch || !device_.memory.holds(from, (rows - 1) * pitch + bytes) ||
      !device_.pinned.holds(pinned, rows * bytes)) {
    return say(DeviceStatus::failed, "a download of rows beyond what is allocated");
  }
  add(Queue::download, [=] {
    for (uint64_t row = 0; row < rows; row++) {
      std::memcpy(static_cast<std::byte*>(pinned) + row * bytes, static_cast<const std::byte*>(from) + row * pitch,
                  bytes);
    }
  });
  return DeviceStatus::ok;
}

DeviceStatus HostLane::clear(void* at, uint64_t bytes) {
  if (const DeviceStatus status = device_.call(); status != DeviceStatus::ok) return status;
  if (!device_.memory.holds(at, bytes)) return say(DeviceStatus::failed, "clears what is not allocated");
  add(Queue::compute, [=] { std::memset(at, 0, bytes); });
  return DeviceStatus::ok;
}

DeviceStatus HostLane::mark(Queue queue, Mark& mark) {
  if (const DeviceStatus status = device_.call(); status != DeviceStatus::ok) return status;
  {
    const std::lock_guard lock(device_.mutex);
    mark = device_.next_mark++;
  }
  add(queue, [this, mark] {
    const std::lock_guard lock(device_.mutex);
    device_.reached.insert(mark);
    device_.reached_one.notify_all();
  });
  return DeviceStatus::ok;
}

DeviceStatus HostLane::wait(Queue queue, Mark mark) {
  if (const DeviceStatus status = device_.call(); status != DeviceStatus::ok) return status;
  add(queue, [this, mark] {
    std::unique_lock lock(device_.mutex);
    device_.reached_one.wait(lock, [&] { return device_.reached.count(mark) != 0; });
  });
  return DeviceStatus::ok;
}

DeviceStatus HostLane::reach(Mark mark) {
  if (const DeviceStatus status = device_.call(); status != DeviceStatus::ok) return status;
  std::unique_lock lock(device_.mutex);
  device_.reached_one.wait(lock, [&] { return device_.reached.count(mark) != 0; });
  return failed_ ? say(DeviceStatus::failed, "a pass failed") : DeviceStatus::ok;
}

DeviceStatus HostLane::pass(std::function<void()> work) {
  if (const DeviceStatus status = device_.call(); status != DeviceStatus::ok) return status;
  const bool fails = ++device_.passes == orders().number("fail-late", 0);
  add(Queue::compute, [this, fails, work = std::move(work)] {
    if (fails) failed_ = true;
    if (!failed_) work();
  });
  return DeviceStatus::ok;
}

DeviceStatus HostLane::check_slice(const Kernel& kernel, const Job& job, const Slice& slice) {
  if (slice.end <= slice.begin || slice.end > job.count || slice.end - slice.begin >= uint64_t{1} << 31) {
    return say(DeviceStatus::failed, "a slice of no such elements");
  }
  const uint64_t row = job.grouping == Grouping::columns ? job.groups() : job.columns;
  const uint64_t ranked = kernel.needs_ranks != nullptr ? kPrepareRows * job.columns : 0;
  if (slice.begin % kSumBlock != 0 && slice.begin % row != 0 && (ranked == 0 || slice.begin % ranked != 0)) {
    return say(DeviceStatus::failed, "a slice that begins anywhere");
  }
  for (int k = 0; k < job.inputs; k++) {
    const uint64_t bytes = (slice.end - slice.begin) * element_size(job.input[k].dtype);
    if (!device_.memory.holds(slice.input[k], bytes)) return say(DeviceStatus::failed, "an input that is not there");
  }
  return DeviceStatus::ok;
}

DeviceStatus HostLane::rank(int kernel, const Job& job, const Slice& slice, int input, const uint32_t* limits,
                            uint64_t* mask) {
  const Kernel& one = best_kernels().kernels[kernel];
  const uint64_t words = (slice.end - slice.begin + 63) / 64;
  if (const DeviceStatus status = check_slice(one, job, slice); status != DeviceStatus::ok) return status;
  if (!device_.memory.holds(limits, job.columns * 4) || !device_.memory.holds(mask, words * 8)) {
    return say(DeviceStatus::failed, "limits or a mask that are not there");
  }
  const auto state = std::make_shared<SliceJob>(job, slice);
  return pass([=, &one] {
    Job& own = state->job;
    const std::vector<uint32_t> wanted = one.rank_limits(own, input);
    if (std::memcmp(wanted.data(), limits, wanted.size() * 4) != 0) return;
    own.masks.resize(static_cast<size_t>(own.inputs));
    for (int k = 0; k < own.inputs; k++) {
      if (one.needs_ranks(own, k)) own.masks[static_cast<size_t>(k)].assign(slice.end / 64 + 64, 0);
    }
    one.prepare(own, state->scratch, slice.begin / own.columns, slice.end / own.columns);
    std::memcpy(mask, own.masks[static_cast<size_t>(input)].data() + slice.begin / 64, words * 8);
  });
}

DeviceStatus HostLane::measure_rows(int kernel, const Job& job, const Slice& slice, double* table) {
  const Kernel& one = best_kernels().kernels[kernel];
  if (const DeviceStatus status = check_slice(one, job, slice); status != DeviceStatus::ok) return status;
  const uint64_t rows = (slice.end - slice.begin) / job.columns;
  if (!device_.memory.holds(table, rows * 8)) return say(DeviceStatus::failed, "a table that is not there");
  const auto state = std::make_shared<SliceJob>(job, slice);
  return pass([=, &one] {
    const uint64_t first = slice.begin / state->job.columns;
    one.prepare(state->job, state->scratch, first, first + rows);
    std::memcpy(table, state->job.table.data() + first, rows * sizeof(double));
  });
}

template <class Bits>
static void tally_task(const SelectFunctions<Bits>& functions, SliceJob& state,
                       const std::vector<TallyRequest>& requests, uint64_t task) {
  const uint64_t begin = state.slice.begin + task * kTaskElements;
  const uint64_t end = std::min(state.slice.end, begin + kTaskElements);
  std::vector<Selection> selections;
  std::vector<Bracket<Bits>> brackets;
  std::vector<Tally<Bits>> found(requests.size());
  std::vector<Tally<Bits>*> tallies;
  for (size_t r = 0; r < requests.size(); r++) {
    selections.push_back(requests[r].selection);
    brackets.push_back({static_cast<Bits>(requests[r].low), static_cast<Bits>(requests[r].high), kTaskElements});
    tallies.push_back(&found[r]);
  }
  functions.tally(state.job, state.scratch, selections, brackets, begin, end, tallies);
  for (size_t r = 0; r < requests.size(); r++) {
    const TallyRequest& request = requests[r];
    const uint64_t collected = std::min<uint64_t>(request.room, found[r].values.size());
    request.tallies[task] = {found[r].above,  found[r].equal_high, found[r].equal_low,
                             found[r].inside, found[r].zeros,      collected};
    std::copy_n(found[r].values.begin(), collected, static_cast<Bits*>(request.values) + task * request.room);
  }
}

DeviceStatus HostLane::tally(int kernel, const Job& job, const Slice& slice, const TallyRequest* requests, int count) {
  const Kernel& one = best_kernels().kernels[kernel];
  if (const DeviceStatus status = check_slice(one, job, slice); status != DeviceStatus::ok) return status;
  const uint64_t tasks = (slice.end - slice.begin + kTaskElements - 1) / kTaskElements;
  const std::vector<TallyRequest> list(requests, requests + count);
  for (const TallyRequest& request : list) {
    if (request.room < 1 || !device_.memory.holds(request.tallies, tasks * sizeof(DeviceTally)) ||
        !device_.memory.holds(request.values, tasks * request.room * (job.wide ? 8 : 4))) {
      return say(DeviceStatus::failed, "room for tallies that is not there");
    }
  }
  const auto state = std::make_shared<SliceJob>(job, slice);
  return pass([=, &one] {
    state->take_groups(one);
    for (uint64_t task = 0; task < tasks; task++) {
      if (state->job.wide) {
        tally_task(one.select64, *state, list, task);
      } else {
        tally_task(one.select32, *state, list, task);
      }
    }
  });
}

DeviceStatus HostLane::reduce(int kernel, const Job& job, const Slice& slice, double* sums) {
  const Kernel& one = best_kernels().kernels[kernel];
  if (const DeviceStatus status = check_slice(one, job, slice); status != DeviceStatus::ok) return status;
  const uint64_t count = static_cast<uint64_t>(one.sum_count(job));
  const bool rows = job.grouping == Grouping::rows;
  const uint64_t each = rows ? job.columns : kSumBlock;
  const uint64_t groups = (slice.end - slice.begin + each - 1) / each;
  if (!device_.memory.holds(sums, groups * count * 8)) return say(DeviceStatus::failed, "sums that are not there");
  const auto state = std::make_shared<SliceJob>(job, slice);
  return pass([=, &one] {
    state->take_masks(one);
    if (rows) return sum_rows(one, state->job, state->scratch, slice.begin / each, slice.end / each, sums);
    for (uint64_t g = 0; g < groups; g++) {
      const uint64_t begin = slice.begin + g * each;
      one.reduce(state->job, state->scratch, begin, std::min(slice.end, begin + each), sums + g * count);
    }
  });
}

DeviceStatus HostLane::reduce_columns(int kernel, const Job& job, const Slice& slice, uint64_t block_rows,
                                      double* sums) {
  const Kernel& one = best_kernels().kernels[kernel];
  if (const DeviceStatus status = check_slice(one, job, slice); status != DeviceStatus::ok) return status;
  const uint64_t width = job.groups();
  const uint64_t numbers = static_cast<uint64_t>(one.sum_count(job)) * width;
  const uint64_t rows = (slice.end - slice.begin) / width;
  const uint64_t blocks = (rows + block_rows - 1) / block_rows;
  if (slice.begin / width % block_rows != 0) return say(DeviceStatus::failed, "blocks that are not the CPU's");
  if (!device_.memory.holds(sums, blocks * numbers * 8)) return say(DeviceStatus::failed, "sums that are not there");
  const auto state = std::make_shared<SliceJob>(job, slice);
  return pass([=, &one] {
    for (uint64_t block = 0; block < blocks; block++) {
      const uint64_t begin = slice.begin / width + block * block_rows;
      const uint64_t end = std::min(slice.end / width, begin + block_rows);
      one.reduce_columns(state->job, state->scratch, begin, end, sums + block * numbers);
    }
  });
}

DeviceStatus HostLane::map(int kernel, const Job& job, const Slice& slice, void* out, uint64_t* non_finite) {
  const Kernel& one = best_kernels().kernels[kernel];
  if (const DeviceStatus status = check_slice(one, job, slice); status != DeviceStatus::ok) return status;
  const uint64_t bytes = (slice.end - slice.begin) * element_size(job.out);
  if (!device_.memory.holds(out, bytes) || !device_.memory.holds(non_finite, 8)) {
    return say(DeviceStatus::failed, "an output that is not there");
  }
  const auto state = std::make_shared<SliceJob>(job, slice);
  return pass([=, &one] {
    state->take_groups(one);
    state->take_masks(one);
    uint64_t found = 0;
    one.map(state->job, state->scratch, slice.begin, slice.end, static_cast<std::byte*>(out), found);
    *non_finite |= found;
  });
}

}  // namespace sinter
