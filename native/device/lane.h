// A device's memory and queues, owned: what calls answer becomes an exception, what was allocated is given back.
#pragma once

#include <cstddef>
#include <stdexcept>
#include <string>
#include <utility>

#include "device.h"
#include "library.h"

namespace sinter {

/// What a device could not do.
struct DeviceTrouble : std::runtime_error {
  DeviceStatus status;
  DeviceTrouble(Device& device, DeviceStatus status)
      : std::runtime_error(status_text(device, status)), status(status) {}
};

/// Throws DeviceTrouble unless all went well.
inline void require(Device& device, DeviceStatus status) {
  if (status != DeviceStatus::ok) throw DeviceTrouble(device, status);
}

/// Memory of a device, or host memory that it copies from and to.
class DeviceMemory {
 public:
  DeviceMemory() = default;
  static DeviceMemory on_device(Device& device, uint64_t bytes) {
    DeviceMemory memory(device, bytes, false);
    require(device, device.allocate(bytes, &memory.at_));
    return memory;
  }
  static DeviceMemory pinned(Device& device, uint64_t bytes) {
    DeviceMemory memory(device, bytes, true);
    require(device, device.allocate_pinned(bytes, &memory.at_));
    return memory;
  }
  ~DeviceMemory() {
    if (at_ != nullptr) pinned_ ? device_->release_pinned(at_) : device_->release(at_);
  }
  DeviceMemory(DeviceMemory&& other) noexcept { *this = std::move(other); }
  DeviceMemory& operator=(DeviceMemory&& other) noexcept {
    std::swap(device_, other.device_);
    std::swap(at_, other.at_);
    std::swap(bytes_, other.bytes_);
    std::swap(pinned_, other.pinned_);
    return *this;
  }

  std::byte* data() const { return static_cast<std::byte*>(at_); }
  uint64_t size() const { return at_ == nullptr ? 0 : bytes_; }

 private:
  DeviceMemory(Device& device, uint64_t bytes, bool pinned) : device_(&device), bytes_(bytes), pinned_(pinned) {}
  Device* device_ = nullptr;
  void* at_ = nullptr;
  uint64_t bytes_ = 0;
  bool pinned_ = false;
};

/// The queues of one lane, by name.
class Lane {
 public:
  explicit Lane(Device& device) : device_(device) { sinter::require(device, device.create_lane(&lane_)); }
  /// Waits for what is queued.
  ~Lane() { device_.release(lane_); }
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;

  Device& device() const { return device_; }
  /// For passes: `lane.require(lane->map(…))`.
  DeviceLane* operator->() const { return lane_; }
  void require(DeviceStatus status) const { sinter::require(device_, status); }

  Mark mark(Queue queue) const {
    Mark mark = 0;
    require(lane_->mark(queue, mark));
    return mark;
  }
  /// Where there is a mark.
  void wait(Queue queue, Mark mark) const {
    if (mark != 0) require(lane_->wait(queue, mark));
  }
  void reach(Mark mark) const {
    if (mark != 0) require(lane_->reach(mark));
  }

 private:
  Device& device_;
  DeviceLane* lane_ = nullptr;
};

}  // namespace sinter
