// A team of threads for dense numerics: runs the iterations of one loop side by side and waits for all of them.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace sinter {

class Team {
 public:
  /// `threads` includes the one that calls `run`; 0 means one per CPU.
  explicit Team(unsigned threads = 0);
  ~Team();
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

  unsigned size() const { return static_cast<unsigned>(workers_.size()) + 1; }

  /// Calls `task(i)` for each i in [0, count), in any order, on all threads of the team; returns when all have ended, and
  /// rethrows the first exception of a task. A call from inside a task runs its loop on that thread alone. Only one
  /// thread may call it at a time.
  void run(uint64_t count, const std::function<void(uint64_t)>& task);

 private:
  void work();
  void take_tasks();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable rest_;
  std::vector<std::thread> workers_;
  bool stopping_ = false;
  std::atomic<uint64_t> round_{0};
  std::atomic<unsigned> busy_{0};
  std::atomic<uint64_t> next_{0};
  uint64_t count_ = 0;
  const std::function<void(uint64_t)>* task_ = nullptr;
  std::exception_ptr failure_;
};

}  // namespace sinter
