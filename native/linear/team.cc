#include "team.h"

#include "../engine/engine.h"

namespace sinter {
namespace {

thread_local bool inside_task = false;

/// Rounds of waiting before a thread goes to sleep: loops follow each other within microseconds.
constexpr int kSpins = 2000;

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

}  // namespace

Team::Team(unsigned threads) {
  const unsigned wanted = threads == 0 ? available_cpus() : threads;
  for (unsigned i = 1; i < wanted; i++) workers_.emplace_back([this] { work(); });
}

Team::~Team() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    round_++;
  }
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void Team::run(uint64_t count, const std::function<void(uint64_t)>& task) {
  if (inside_task || workers_.empty() || count <= 1) {
    for (uint64_t i = 0; i < count; i++) task(i);
    return;
  }
  {
    const std::lock_guard lock(mutex_);
    task_ = &task;
    count_ = count;
    next_ = 0;
    failure_ = nullptr;
    busy_ = static_cast<unsigned>(workers_.size());
    round_++;
  }
  wake_.notify_all();
  take_tasks();
  for (int spin = 0; spin < kSpins && busy_ != 0; spin++) pause();
  std::unique_lock lock(mutex_);
  rest_.wait(lock, [this] { return busy_ == 0; });
  if (failure_) std::rethrow_exception(failure_);
}

void Team::take_tasks() {
  inside_task = true;
  try {
    for (uint64_t i = next_++; i < count_; i = next_++) (*task_)(i);
  } catch (...) {
    const std::lock_guard lock(mutex_);
    if (!failure_) failure_ = std::current_exception();
    next_ = count_;
  }
  inside_task = false;
}

void Team::work() {
  uint64_t seen = 0;
  while (true) {
    for (int spin = 0; spin < kSpins && round_ == seen; spin++) pause();
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this, seen] { return round_ != seen; });
      if (stopping_) return;
      seen = round_;
    }
    take_tasks();
    if (--busy_ == 0) {
      const std::lock_guard lock(mutex_);
      rest_.notify_one();
    }
  }
}

}  // namespace sinter
