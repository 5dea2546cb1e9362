// Device memory for checks, and a lane to fill and read it with.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "../device.h"

namespace sinter::cuda {

/// Ends the program where the device fails: nothing that comes after would mean anything.
inline void must(DeviceStatus status) {
  if (status == DeviceStatus::ok) return;
  std::fprintf(stderr, "the device failed: %s\n", last_message());
  std::exit(3);
}

inline void must(cudaError_t error) { must(status_of(error, "asking the runtime")); }

/// What outputs hold before they are written.
constexpr int kPoison = 0xA5;
/// Bytes behind each buffer that nobody may write.
constexpr uint64_t kGuard = 256;

/// Device memory, all poison at first.
class Memory {
 public:
  Memory(Device& device, DeviceLane& lane, uint64_t bytes) : device_(device), lane_(lane), bytes_(bytes) {
    must(device_.allocate(bytes + kGuard, &at_));
    must(device_.allocate_pinned(bytes + kGuard, &host_));
    poison();
  }
  ~Memory() {
    device_.release(at_);
    device_.release_pinned(host_);
  }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  void poison() {
    std::memset(host_, kPoison, bytes_ + kGuard);
    put();
  }

  void write(const void* from, uint64_t bytes) {
    std::memcpy(host_, from, bytes);
    put();
  }

  /// After all that is queued. @returns the bytes in host memory.
  const std::byte* read() {
    Mark mark = 0;
    must(lane_.mark(Queue::compute, mark));
    must(lane_.wait(Queue::download, mark));
    must(lane_.download(host_, at_, bytes_ + kGuard));
    must(lane_.mark(Queue::download, mark));
    must(lane_.reach(mark));
    return static_cast<const std::byte*>(host_);
  }

  /// Whether what lies behind the buffer is as it was; after `read`.
  bool guarded() const {
    const auto* const behind = static_cast<const unsigned char*>(host_) + bytes_;
    for (uint64_t i = 0; i < kGuard; i++) {
      if (behind[i] != kPoison) return false;
    }
    return true;
  }

  void* at() const { return at_; }
  /// Host memory of the same size.
  void* pinned() const { return host_; }
  template <class T>
  T* as() const {
    return static_cast<T*>(at_);
  }
  uint64_t bytes() const { return bytes_; }

 private:
  void put() {
    Mark mark = 0;
    must(lane_.upload(at_, host_, bytes_ + kGuard));
    must(lane_.mark(Queue::upload, mark));
    must(lane_.reach(mark));
  }

  Device& device_;
  DeviceLane& lane_;
  uint64_t bytes_;
  void* at_ = nullptr;
  void* host_ = nullptr;
};

}  // namespace sinter::cuda
