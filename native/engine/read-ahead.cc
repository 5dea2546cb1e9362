#include "read-ahead.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>

namespace sinter {
namespace {

/// Bytes asked for at once: long enough for the disk's bandwidth, short enough that inputs arrive together.
constexpr uint64_t kSlice = 8 << 20;

}  // namespace

void ask_for(const std::byte* data, uint64_t bytes) {
  static const uintptr_t page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const uintptr_t begin = reinterpret_cast<uintptr_t>(data) & ~(page - 1);
  const uintptr_t end = reinterpret_cast<uintptr_t>(data) + bytes;
  // Only advice: where it fails the workers read the pages themselves.
  madvise(reinterpret_cast<void*>(begin), end - begin, MADV_WILLNEED);
}

ReadAhead::~ReadAhead() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void ReadAhead::want(std::vector<ByteRange> ranges) {
  const std::lock_guard lock(mutex_);
  queue_.push_back(std::move(ranges));
  if (!thread_.joinable()) thread_ = std::thread([this] { work(); });
  wake_.notify_one();
}

void ReadAhead::clear() {
  const std::lock_guard lock(mutex_);
  queue_.clear();
}

void ReadAhead::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    if (stopping_) return;
    const std::vector<ByteRange> ranges = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    uint64_t longest = 0;
    for (const ByteRange& range : ranges) longest = std::max(longest, range.bytes);
    for (uint64_t at = 0; at < longest; at += kSlice) {
      for (const ByteRange& range : ranges) {
        if (at < range.bytes) ask_for(range.data + at, std::min(kSlice, range.bytes - at));
      }
    }
    lock.lock();
  }
}

}  // namespace sinter
