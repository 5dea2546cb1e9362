// Threads beside the engine's workers: what waits for the disk, or computes for seconds, off the JavaScript thread.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace sinter {

/// Runs what takes long, as waiting for the disk does, in turn, off the JavaScript thread and the workers.
class Waiter {
 public:
  /// `threads`: jobs that may run at once.
  explicit Waiter(unsigned threads = 1) : most_threads_(threads) {}
  ~Waiter() { stop(); }

  void run(std::function<void()> job) {
    const std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(job));
    if (threads_.size() < most_threads_ && threads_.size() < ++begun_) threads_.emplace_back([this] { work(); });
    wake_.notify_one();
  }

  void stop() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

 private:
  void work() {
    std::unique_lock lock(mutex_);
    while (true) {
      wake_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
      if (stopping_) return;
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
  const unsigned most_threads_;
  unsigned begun_ = 0;
  bool stopping_ = false;
};

/// Threads that each run one job; `stop` waits for all of them.
class JobThreads {
 public:
  ~JobThreads() { stop(); }

  /// Called on the JavaScript thread only.
  void run(std::function<void()> job) {
    sweep();
    auto ended = std::make_shared<std::atomic<bool>>(false);
    threads_.push_back({std::thread([job = std::move(job), ended] {
                          job();
                          *ended = true;
                        }),
                        ended});
  }

  void stop() {
    for (Running& one : threads_) one.thread.join();
    threads_.clear();
  }

 private:
  struct Running {
    std::thread thread;
    std::shared_ptr<std::atomic<bool>> ended;
  };

  void sweep() {
    for (auto one = threads_.begin(); one != threads_.end();) {
      if (*one->ended) {
        one->thread.join();
        one = threads_.erase(one);
      } else {
        one++;
      }
    }
  }

  std::list<Running> threads_;
};

}  // namespace sinter
