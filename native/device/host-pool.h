// Threads that do what they are given in turn: read inputs into pinned memory, checksum and write what came back.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <new>
#include <optional>
#include <system_error>
#include <thread>
#include <vector>

#include "../io/error.h"

namespace sinter {

class HostPool {
 public:
  /// As many threads as the system starts, up to `threads`. Throws Failure DEVICE_FAILED where it starts none.
  explicit HostPool(unsigned threads) {
    threads_.reserve(threads);
    try {
      while (threads_.size() < threads) threads_.emplace_back([this] { work(); });
    } catch (const std::system_error& caught) {
      if (threads_.empty()) throw Failure("DEVICE_FAILED", std::string("no thread can be started: ") + caught.what());
    }
  }
  /// Does what is queued first.
  ~HostPool() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }
  HostPool(const HostPool&) = delete;
  HostPool& operator=(const HostPool&) = delete;

  /// `job` does not throw. Where there is no memory to queue it, it is done at once: who counts on it waits for it.
  void run(std::function<void()> job) noexcept {
    try {
      const std::lock_guard lock(mutex_);
      jobs_.push_back(std::move(job));
    } catch (const std::bad_alloc&) {
      return job();
    }
    wake_.notify_one();
  }

 private:
  void work() {
    std::unique_lock lock(mutex_);
    while (true) {
      wake_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
      if (jobs_.empty()) return;
      const std::function<void()> job = std::move(jobs_.front());
      jobs_.pop_front();
      lock.unlock();
      job();
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> jobs_;
  std::vector<std::thread> threads_;
  bool stopping_ = false;
};

}  // namespace sinter
