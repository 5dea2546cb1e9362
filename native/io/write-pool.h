// WritePool: a few threads that write blocks around the page cache, while the engine's workers compute the next ones.
//
// A direct write returns when the disk has the bytes: a worker that waited for it would leave its core idle. Buffers are
// few, so that workers wait for the disk where it is the slower one, and memory stays constant.
#pragma once

#include <condition_variable>
#include <cstring>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "error.h"
#include "sink.h"

namespace sinter {

class WritePool {
 public:
  /// Most bytes of one block.
  static constexpr uint64_t kBlockBytes = 1 << 20;

  ~WritePool() { stop(); }

  /// A buffer for one block that begins at `offset` of its file: waits for one that is free. The block's bytes go to the
  /// address that is returned, equal to the offset modulo kDirectAlign.
  std::byte* take(uint64_t offset, unsigned workers);
  /// Gives back a buffer without writing it.
  void give_back(std::byte* bytes);
  /// Writes a block in a buffer of `take`, gives the buffer back and calls `done` on the writing thread.
  void write(std::shared_ptr<Sink> sink, uint64_t offset, std::byte* bytes, uint64_t count,
             std::function<void(std::optional<Failure>)> done);
  /// Writes what is queued, ends all threads and frees all buffers.
  void stop();

 private:
  struct Block {
    std::shared_ptr<Sink> sink;
    uint64_t offset;
    std::byte* bytes;
    uint64_t count;
    std::function<void(std::optional<Failure>)> done;
  };
  void work();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable freed_;
  std::deque<Block> queue_;
  std::vector<std::byte*> free_;
  std::vector<std::byte*> all_;
  std::vector<std::thread> threads_;
  bool stopping_ = false;
};

/// A growing block of one file in a buffer of a pool. Blocks that are full end where the file's own blocks do: what lies
/// beyond begins the next one.
class WriteBlock {
 public:
  WriteBlock(WritePool& pool, unsigned workers, uint64_t offset) : pool_(pool), workers_(workers), offset_(offset) {}
  ~WriteBlock() {
    if (bytes_ != nullptr) pool_.give_back(bytes_);
  }
  WriteBlock(const WriteBlock&) = delete;
  WriteBlock& operator=(const WriteBlock&) = delete;

  /// Where the next `count` bytes go. Where they no longer fit, the block's buffer is handed to `full(offset, bytes, count)`
  /// first.
  template <class Full>
  std::byte* room(uint64_t count, const Full& full) {
    if (bytes_ == nullptr) {
      bytes_ = pool_.take(offset_, workers_);
    } else if (size_ + count > WritePool::kBlockBytes) {
      const uint64_t end = offset_ + size_;
      const uint64_t rest = end % kDirectAlign;
      std::byte carried[kDirectAlign];
      std::memcpy(carried, bytes_ + (size_ - rest), rest);
      full(offset_, std::exchange(bytes_, nullptr), size_ - rest);
      offset_ = end - rest;
      size_ = rest;
      bytes_ = pool_.take(offset_, workers_);
      std::memcpy(bytes_, carried, rest);
    }
    return bytes_ + size_;
  }
  void grow(uint64_t count) { size_ += count; }

  /// Hands over what is left.
  template <class Full>
  void finish(const Full& full) {
    if (bytes_ != nullptr) full(offset_, std::exchange(bytes_, nullptr), size_);
  }

 private:
  WritePool& pool_;
  unsigned workers_;
  uint64_t offset_;
  uint64_t size_ = 0;
  std::byte* bytes_ = nullptr;
};

}  // namespace sinter
