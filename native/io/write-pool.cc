#include "write-pool.h"

#include <cstdlib>
#include <new>

namespace sinter {
namespace {

/// Writes under way at once: enough for the bandwidth of one disk.
constexpr unsigned kWriters = 4;
/// Buffers beyond one per worker: those being written and those that wait.
constexpr unsigned kSpareBuffers = 8;

constexpr uint64_t kBufferBytes = WritePool::kBlockBytes + kDirectAlign;

/// Where a buffer begins, from an address in its first aligned block.
std::byte* buffer_of(std::byte* bytes) {
  return reinterpret_cast<std::byte*>(reinterpret_cast<uintptr_t>(bytes) / kDirectAlign * kDirectAlign);
}

}  // namespace

std::byte* WritePool::take(uint64_t offset, unsigned workers) {
  std::unique_lock lock(mutex_);
  while (free_.empty()) {
    if (all_.size() < workers + kSpareBuffers) {
      void* const buffer = std::aligned_alloc(kDirectAlign, kBufferBytes);
      if (buffer == nullptr) throw std::bad_alloc();
      all_.push_back(static_cast<std::byte*>(buffer));
      free_.push_back(static_cast<std::byte*>(buffer));
    } else {
      freed_.wait(lock);
    }
  }
  std::byte* const buffer = free_.back();
  free_.pop_back();
  return buffer + offset % kDirectAlign;
}

void WritePool::give_back(std::byte* bytes) {
  {
    const std::lock_guard lock(mutex_);
    free_.push_back(buffer_of(bytes));
  }
  freed_.notify_one();
}

void WritePool::write(std::shared_ptr<Sink> sink, uint64_t offset, std::byte* bytes, uint64_t count,
                      std::function<void(std::optional<Failure>)> done) {
  {
    const std::lock_guard lock(mutex_);
    if (threads_.empty()) {
      for (unsigned i = 0; i < kWriters; i++) threads_.emplace_back([this] { work(); });
    }
    queue_.push_back({std::move(sink), offset, bytes, count, std::move(done)});
  }
  wake_.notify_one();
}

void WritePool::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
  for (std::byte* buffer : all_) std::free(buffer);
  all_.clear();
  free_.clear();
  stopping_ = false;
}

void WritePool::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    if (queue_.empty()) return;
    Block block = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    std::optional<Failure> failure;
    try {
      block.sink->write_direct(block.offset, block.bytes, block.count);
    } catch (const Failure& caught) {
      failure = caught;
    }
    give_back(block.bytes);
    block.sink.reset();
    block.done(failure);
    lock.lock();
  }
}

}  // namespace sinter
