// Memory of a device in host memory, and its pinned memory: filled with one pattern when it is allocated and with another
// when it is released, so that what is read too early or too late shows.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>

namespace sinter {

constexpr int kFreshMemory = 0xA5;
constexpr int kStaleMemory = 0xDD;

/// Allocations of one kind, each filled with a pattern.
class Allocations {
 public:
  void* take(uint64_t bytes) {
    auto memory = std::make_unique<std::byte[]>(bytes + 64);
    std::memset(memory.get(), kFreshMemory, bytes + 64);
    void* const at = memory.get();
    const std::lock_guard lock(mutex_);
    blocks_[static_cast<std::byte*>(at)] = {bytes, std::move(memory)};
    bytes_ += bytes;
    most_ = std::max(most_, bytes_);
    return at;
  }
  bool drop(void* at) {
    const std::lock_guard lock(mutex_);
    const auto block = blocks_.find(static_cast<std::byte*>(at));
    if (block == blocks_.end()) return false;
    std::memset(at, kStaleMemory, block->second.bytes);
    bytes_ -= block->second.bytes;
    blocks_.erase(block);
    return true;
  }
  bool holds(const void* at, uint64_t bytes) {
    const std::lock_guard lock(mutex_);
    const std::byte* const first = static_cast<const std::byte*>(at);
    auto block = blocks_.upper_bound(const_cast<std::byte*>(first));
    if (block == blocks_.begin()) return bytes == 0;
    block--;
    return first + bytes <= block->first + block->second.bytes;
  }
  uint64_t bytes() {
    const std::lock_guard lock(mutex_);
    return bytes_;
  }
  uint64_t most() {
    const std::lock_guard lock(mutex_);
    return most_;
  }
  void forget_most() {
    const std::lock_guard lock(mutex_);
    most_ = bytes_;
  }

 private:
  struct Block {
    uint64_t bytes;
    std::unique_ptr<std::byte[]> memory;
  };
  std::mutex mutex_;
  std::map<std::byte*, Block> blocks_;
  uint64_t bytes_ = 0;
  uint64_t most_ = 0;
};

}  // namespace sinter
