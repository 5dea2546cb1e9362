// A device in host memory: allocations, and the faults that it is told of (host-orders.h).
#pragma once

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <cstring>
#include <map>
#include <mutex>
#include <set>
#include <string>

#include "../cpu/dispatch.h"
#include "device.h"
#include "host-lane.h"
#include "host-memory.h"
#include "host-orders.h"

namespace sinter {

/// Bytes of a device, where nothing else is said.
constexpr uint64_t kUsualMemory = uint64_t{1} << 30;

/// What the last call of this thread that failed had to say.
inline std::string& host_message() {
  static thread_local std::string message;
  return message;
}

inline DeviceStatus say(DeviceStatus status, const std::string& message) {
  host_message() = message;
  return status;
}

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
  const char* message() override { return host_message().c_str(); }

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

}  // namespace sinter
