// The select pass on a device: the host's selector decides, the device tallies.

#include <algorithm>

#include "device-op.h"

namespace sinter {

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
      computed_.as_stored([&] {
        for (uint32_t task = 0; task < tasks; task++) selector->run(task, scratch);
      });
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
  for (size_t w = 0; w < wishes.size(); w++) {
    const uint64_t limit = wishes[w].collect ? kTallyRoom : 1;
    uint64_t most = 0;
    for (uint64_t task = 0; task < tasks; task++) {
      DeviceTally& found = counts[w * tasks + task];
      found.collected = std::min(found.collected, limit);
      most = std::max(most, found.collected);
    }
    // Of every task as many values as of the fullest, so that a copy serves many tasks.
    const uint64_t bytes = most * room.width;
    const uint64_t together = bytes == 0 ? tasks : kControlBytes / bytes;
    for (uint64_t begin = 0; begin < tasks; begin += together) {
      const uint64_t rows = std::min(together, tasks - begin);
      if (bytes > 0) {
        const std::byte* const from = room.values(wishes.size(), w) + begin * limit * room.width;
        lane_.require(lane_->download_rows(slot_.control(), from, limit * room.width, bytes, rows));
        lane_.reach(lane_.mark(Queue::download));
      }
      for (uint64_t row = 0; row < rows; row++) {
        const DeviceTally& found = counts[w * tasks + begin + row];
        const Tally<uint64_t> tally{found.above, found.equal_high, found.equal_low, found.inside, found.zeros, {}};
        selector.put(wishes[w].number, static_cast<uint32_t>(first + begin + row), tally, slot_.control() + row * bytes,
                     found.collected);
      }
    }
  }
}

}  // namespace sinter
