// A library of device.h in host memory, for tests: its passes are the CPU's, its faults those that it is told of.
//
// Queues are threads, so that work begun too early shows; host-orders.h says what it can be told. What a pass is given is
// checked: every address must lie within an allocation, every slice begin where device.h says, limits be those of the job.
// Groups and masks are read from device memory.

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <thread>

#include "../cpu/dispatch.h"
#include "../engine/sums.h"
#include "device.h"
#include "host-memory.h"
#include "host-orders.h"
#include "host-queue.h"
#include "host-slice.h"

#ifndef SINTER_VERSION
#error "SINTER_VERSION comes from package.json through CMakeLists.txt"
#endif

namespace sinter {
namespace {

constexpr uint64_t kUsualMemory = uint64_t{1} << 30;

thread_local std::string g_message;

DeviceStatus say(DeviceStatus status, const std::string& message) {
  g_message = message;
  return status;
}

class HostDevice;

class HostLane final : public DeviceLane {
 public:
  explicit HostLane(HostDevice& device) : device_(device) {}

  DeviceStatus upload(void* to, const void* pinned, uint64_t bytes) override;
  DeviceStatus download(void* pinned, const void* from, uint64_t bytes) override;
  DeviceStatus clear(void* at, uint64_t bytes) override;
  DeviceStatus mark(Queue queue, Mark& mark) override;
  DeviceStatus wait(Queue queue, Mark mark) override;
  DeviceStatus reach(Mark mark) override;
  void* stream(Queue queue) override { return &queues_[static_cast<int>(queue)]; }
  DeviceStatus rank(int kernel, const Job& job, const Slice& slice, int input, const uint32_t* limits,
                    uint64_t* mask) override;
  DeviceStatus measure_rows(int kernel, const Job& job, const Slice& slice, double* table) override;
  DeviceStatus tally(int kernel, const Job& job, const Slice& slice, const TallyRequest* requests, int count) override;
  DeviceStatus reduce(int kernel, const Job& job, const Slice& slice, double* sums) override;
  DeviceStatus reduce_columns(int kernel, const Job& job, const Slice& slice, uint64_t block_rows,
                              double* sums) override;
  DeviceStatus map(int kernel, const Job& job, const Slice& slice, void* out, uint64_t* non_finite) override;

 private:
  DeviceStatus check_slice(const Kernel& kernel, const Job& job, const Slice& slice);
  DeviceStatus pass(std::function<void()> work);
  void add(Queue queue, std::function<void()> work);

  HostDevice& device_;
  std::atomic<bool> failed_{false};
  HostQueue queues_[3];
};

class HostDevice final : public Device {
 public:
  explicit HostDevice(int index) : index_(index) {}

  DeviceStatus facts(DeviceFacts& facts) override {
    if (lost) return say(DeviceStatus::lost, "the device is gone");
    std::snprintf(facts.name, sizeof(facts.name), "host memory %d", index_);
    facts.memory = orders().number("memory", kUsualMemory);
    facts.free = facts.memory - std::min(facts.memory, memory.bytes());
    facts.major = 9;
    facts.minor = 0;
    facts.driver = 12040;
    facts.runtime = 12040;
    facts.direct_storage = false;
    return DeviceStatus::ok;
  }
  DeviceStatus enter() override { return DeviceStatus::ok; }
  const char* message() override { return g_message.c_str(); }

  int find(const char* kernel) override {
    if (orders().text("lack") == kernel) return -1;
    const KernelSet& set = best_kernels();
    for (int i = 0; i < set.count; i++) {
      const Kernel& one = set.kernels[i];
      if (std::strcmp(one.name, kernel) == 0) return one.map != nullptr && one.input_kind == InputKind::whole ? i : -1;
    }
    return -1;
  }

  DeviceStatus allocate(uint64_t bytes, void** at) override {
    if (const DeviceStatus status = call(); status != DeviceStatus::ok) return status;
    const uint64_t number = ++allocations;
    const uint64_t most = orders().number("memory", kUsualMemory);
    if (number == orders().number("refuse-memory", 0) || number >= orders().number("no-memory", UINT64_MAX) ||
        memory.bytes() + bytes > most) {
      return say(DeviceStatus::out_of_memory, "no room for " + std::to_string(bytes) + " bytes");
    }
    *at = memory.take(bytes);
    return DeviceStatus::ok;
  }
  void release(void* at) override { memory.drop(at); }
  DeviceStatus allocate_pinned(uint64_t bytes, void** at) override {
    if (const DeviceStatus status = call(); status != DeviceStatus::ok) return status;
    if (++pinned_allocations == orders().number("no-pinned", 0)) {
      return say(DeviceStatus::out_of_memory, "no pinned memory");
    }
    // As wide as a page, as memory is that a driver gives.
    *at = pinned.take(bytes + 4096);
    const uintptr_t address = reinterpret_cast<uintptr_t>(*at);
    void* const aligned = reinterpret_cast<void*>((address + 4095) / 4096 * 4096);
    const std::lock_guard lock(aligned_mutex_);
    aligned_[aligned] = *at;
    *at = aligned;
    return DeviceStatus::ok;
  }
  void release_pinned(void* at) override {
    const std::lock_guard lock(aligned_mutex_);
    pinned.drop(aligned_[at]);
    aligned_.erase(at);
  }

  DeviceStatus create_lane(DeviceLane** lane) override {
    if (const DeviceStatus status = call(); status != DeviceStatus::ok) return status;
    *lane = new HostLane(*this);
    return DeviceStatus::ok;
  }
  void release(DeviceLane* lane) override { delete lane; }

  /// Counts a call; whether this one is to fail.
  DeviceStatus call() {
    const uint64_t number = ++calls;
    if (number == orders().number("lose", 0)) lost = true;
    if (lost) return say(DeviceStatus::lost, "the device is gone");
    if (number == orders().number("fail", 0)) return say(DeviceStatus::failed, "told to fail");
    return DeviceStatus::ok;
  }

  /// As new, but for what is allocated.
  void reset() {
    calls = passes = allocations = pinned_allocations = 0;
    lost = false;
    memory.forget_most();
    pinned.forget_most();
  }

  Allocations memory;
  Allocations pinned;
  std::atomic<uint64_t> calls{0};
  std::atomic<uint64_t> passes{0};
  std::atomic<uint64_t> allocations{0};
  std::atomic<uint64_t> pinned_allocations{0};
  std::atomic<bool> lost{false};

  // Marks that are reached; those of all lanes.
  std::mutex mutex;
  std::condition_variable reached_one;
  std::set<Mark> reached;
  Mark next_mark = 1;

 private:
  const int index_;
  std::mutex aligned_mutex_;
  std::map<void*, void*> aligned_;
};

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
void tally_task(const SelectFunctions<Bits>& functions, SliceJob& state, const std::vector<TallyRequest>& requests,
                uint64_t task) {
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
    std::memcpy(static_cast<Bits*>(request.values) + task * request.room, found[r].values.data(),
                collected * sizeof(Bits));
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

constexpr int kMostDevices = 8;

HostDevice& device_at(int index) {
  // Never destroyed: lanes may be at work when the process ends.
  static HostDevice* const devices[kMostDevices] = {new HostDevice(0), new HostDevice(1), new HostDevice(2),
                                                    new HostDevice(3), new HostDevice(4), new HostDevice(5),
                                                    new HostDevice(6), new HostDevice(7)};
  return *devices[index];
}

}  // namespace

extern "C" {

/// What it is to do from now on; counts begin anew.
__attribute__((visibility("default"))) void sinter_host_device_tell(const char* text) {
  orders().tell(text);
  for (int i = 0; i < kMostDevices; i++) device_at(i).reset();
}

/// Of one device since it was told: most bytes of device memory and of pinned memory, bytes of device memory now, calls,
/// passes.
__attribute__((visibility("default"))) void sinter_host_device_count(int index, uint64_t* counts) {
  HostDevice& device = device_at(index);
  counts[0] = device.memory.most();
  counts[1] = device.pinned.most();
  counts[2] = device.memory.bytes();
  counts[3] = device.calls;
  counts[4] = device.passes;
}

__attribute__((visibility("default"))) const DeviceLibrary* sinter_devices() {
  static DeviceLibrary library;
  static std::string version;
  static std::string absence;
  version = orders().text("version", SINTER_VERSION);
  absence = orders().text("absent");
  library.interface = static_cast<uint32_t>(orders().number("interface", kDeviceInterface));
  library.version = version.c_str();
  library.count =
      absence.empty() ? static_cast<int>(std::min<uint64_t>(orders().number("devices", 1), kMostDevices)) : 0;
  library.absence = absence.empty() ? nullptr : absence.c_str();
  library.open = [](int index) -> Device* { return &device_at(index); };
  return &library;
}
}

}  // namespace sinter
