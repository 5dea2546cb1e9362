// What all ops together may hold in buffers that grow with a tensor. Who does not get any works without them, slower.
#pragma once

#include <atomic>
#include <cstdint>

namespace sinter {

class Budget {
 public:
  explicit Budget(uint64_t bytes) : bytes_(bytes) {}

  void set(uint64_t bytes) { bytes_ = bytes; }

  /// @returns whether the bytes are the caller's now, to be given back.
  bool take(uint64_t bytes) {
    uint64_t used = used_.load();
    while (used + bytes <= bytes_.load()) {
      if (used_.compare_exchange_weak(used, used + bytes)) return true;
    }
    return false;
  }

  void give_back(uint64_t bytes) { used_ -= bytes; }

 private:
  std::atomic<uint64_t> bytes_;
  std::atomic<uint64_t> used_{0};
};

}  // namespace sinter
