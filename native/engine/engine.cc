#include "engine.h"

#include <sched.h>

#include <algorithm>
#include <cstring>

#include "../cpu/dispatch.h"
#include "sum-tree.h"

namespace sinter {
namespace {

/// Bytes computed between two writes: stays in the second-level cache on its way to the checksum and the file.
constexpr uint64_t kPieceBytes = 256 << 10;

uint32_t ceil_div(uint64_t a, uint64_t b) { return static_cast<uint32_t>((a + b - 1) / b); }

void check_sources(const Op& op) {
  for (size_t i = 0; i < op.sources.size(); i++) {
    if (op.sources[i]->failed()) {
      throw Failure("SOURCE_FAILED", op.sources[i]->path() + " shrank or failed while it was read",
                    static_cast<int>(i));
    }
  }
}

}  // namespace

unsigned available_cpus() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return static_cast<unsigned>(std::max(1, CPU_COUNT(&set)));
  return std::max(1u, std::thread::hardware_concurrency());
}

Engine::Engine() : kernels_(&best_kernels()) { start(available_cpus()); }

Engine::~Engine() { stop(); }

void Engine::start(unsigned threads) {
  stopping_ = false;
  for (unsigned i = 0; i < threads; i++) workers_.emplace_back([this] { work(); });
}

void Engine::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
  workers_.clear();
}

void Engine::configure(unsigned threads, const std::string& target) {
  const KernelSet* kernels = target.empty() ? &best_kernels() : find_kernels(target);
  if (kernels == nullptr) throw Failure("BAD_ARGUMENT", "this CPU does not run the target " + target);
  {
    const std::lock_guard lock(mutex_);
    if (!ops_.empty()) throw Failure("BAD_ARGUMENT", "cannot configure while ops are running");
  }
  kernels_ = kernels;
  const unsigned wanted = threads == 0 ? available_cpus() : threads;
  if (wanted == workers_.size()) return;
  stop();
  start(wanted);
}

void Engine::submit(std::shared_ptr<Op> op) {
  op->kernels = kernels_;
  for (int i = 0; i < kernels_->count; i++) {
    if (op->kernel_name == kernels_->kernels[i].name) op->kernel = &kernels_->kernels[i];
  }
  if (op->kernel == nullptr) throw Failure("BAD_ARGUMENT", "no kernel is named " + op->kernel_name);
  if (!op->kernel->valid(op->job)) {
    throw Failure("BAD_ARGUMENT", "the numbers or inputs of " + op->kernel_name + " do not fit it");
  }
  {
    const std::lock_guard lock(mutex_);
    enter(*op, Op::Pass::select);
    op->tasks = op->pass_tasks;
    ops_.push_back(std::move(op));
  }
  wake_.notify_all();
}

void Engine::cancel() {
  {
    const std::lock_guard lock(mutex_);
    for (const std::shared_ptr<Op>& op : ops_) {
      if (!op->failure) op->failure.emplace("CANCELLED", "cancelled");
      op->next_task = op->tasks;
    }
  }
  wake_.notify_all();
}

/// Each worker takes the next task of the oldest op that has one. Who ends an op's last task moves it on.
void Engine::work() {
  Scratch scratch;
  std::unique_lock lock(mutex_);
  while (true) {
    std::shared_ptr<Op> op;
    for (const std::shared_ptr<Op>& candidate : ops_) {
      if (candidate->next_task < candidate->tasks || candidate->running == 0) {
        op = candidate;
        break;
      }
    }
    if (stopping_) return;
    if (op == nullptr) {
      wake_.wait(lock);
      continue;
    }
    op->running++;
    if (op->next_task < op->tasks) {
      const uint32_t task = op->next_task++;
      lock.unlock();
      std::optional<Failure> failure;
      try {
        run_task(*op, task, scratch);
        check_sources(*op);
      } catch (const Failure& caught) {
        failure = caught;
      } catch (const std::exception& caught) {
        failure.emplace("BAD_ARGUMENT", caught.what());
      }
      lock.lock();
      if (failure && !op->failure) {
        op->failure = failure;
        op->next_task = op->tasks;
      }
    }
    if (op->next_task == op->tasks && op->running == 1) {
      // Nobody else can take a task of this op now: the end of the pass is computed outside the lock.
      const bool failed = op->failure.has_value();
      lock.unlock();
      const std::optional<Failure> failure = failed ? std::nullopt : leave_pass(*op);
      lock.lock();
      if (failure && !op->failure) op->failure = failure;
      const bool finished = op->failure || op->pass == Op::Pass::finished;
      if (!finished) {
        op->next_task = 0;
        op->tasks = op->pass_tasks;
      }
      if (finished) ops_.erase(std::find(ops_.begin(), ops_.end(), op));
      wake_.notify_all();
      if (finished) {
        // Only now does anybody hear of it: by then the engine holds the op no longer.
        lock.unlock();
        settle(*op);
        lock.lock();
      }
    }
    op->running--;
  }
}

/// Sets up a pass, or the next one where there is nothing to do in it. Its tasks are not published yet.
void Engine::enter(Op& op, Op::Pass pass) {
  op.pass = pass;
  op.pass_tasks = 0;
  const Job& job = op.job;
  if (pass == Op::Pass::select) {
    if (op.kernel->selections == nullptr || job.count == 0) return enter(op, Op::Pass::reduce);
    if (op.selector == nullptr) op.selector = Selector::create(*op.kernel, job);
    op.pass_tasks = op.selector->tasks();
    if (op.pass_tasks == 0) {
      op.job.thresholds = op.selector->thresholds();
      op.selector.reset();
      return enter(op, Op::Pass::reduce);
    }
  } else if (pass == Op::Pass::reduce) {
    const int sums = op.kernel->sum_count == nullptr ? 0 : op.kernel->sum_count(job);
    op.job.sums.assign(static_cast<size_t>(sums), 0.0);
    if (sums == 0 || job.count == 0) return enter(op, Op::Pass::map);
    op.partial_sums.resize(ceil_div(job.count, kSumBlock) * static_cast<size_t>(sums));
    op.pass_tasks = ceil_div(job.count, kTaskElements);
  } else if (pass == Op::Pass::map) {
    if (op.kernel->solve != nullptr) op.kernel->solve(op.job);
    op.pass_tasks = ceil_div(job.count * element_size(job.out), kDigestBytes);
    op.digests.resize(op.pass_tasks);
    op.crcs.resize(op.pass_tasks);
    if (op.pass_tasks == 0) enter(op, Op::Pass::finished);
  }
}

std::optional<Failure> Engine::leave_pass(Op& op) {
  try {
    if (op.pass == Op::Pass::select) {
      op.selector->advance();
      enter(op, Op::Pass::select);
    } else if (op.pass == Op::Pass::reduce) {
      const size_t sums = op.job.sums.size();
      for (size_t s = 0; s < sums; s++) {
        op.job.sums[s] = sum_tree(op.partial_sums.data() + s, op.partial_sums.size() / sums, sums);
      }
      op.partial_sums = {};
      enter(op, Op::Pass::map);
    } else if (op.pass == Op::Pass::map) {
      enter(op, Op::Pass::finished);
    }
  } catch (const Failure& caught) {
    return caught;
  } catch (const std::exception& caught) {
    return Failure("BAD_ARGUMENT", caught.what());
  }
  return std::nullopt;
}

void Engine::settle(Op& op) {
  op.checksum = xxh3_128(op.digests.data(), op.digests.size() * sizeof(Digest));
  if (op.want_crc32) {
    const uint64_t bytes = op.job.count * element_size(op.job.out);
    for (size_t i = 0; i < op.crcs.size(); i++) {
      op.crc32 = crc32_join(op.crc32, op.crcs[i], std::min(kDigestBytes, bytes - i * kDigestBytes));
    }
  }
  op.sources.clear();
  op.sink.reset();
  // Whoever waits may hold the op itself: letting go of the function here breaks that circle.
  const std::function<void(Op&)> done = std::move(op.done);
  op.done = nullptr;
  done(op);
}

void Engine::run_task(Op& op, uint32_t task, Scratch& scratch) {
  if (op.pass == Op::Pass::select) return op.selector->run(task, scratch);
  if (op.pass == Op::Pass::map) return run_map_task(op, task, scratch);
  const uint64_t begin = task * kTaskElements;
  const uint64_t end = std::min(op.job.count, begin + kTaskElements);
  const size_t sums = op.job.sums.size();
  for (uint64_t at = begin; at < end; at += kSumBlock) {
    op.kernel->reduce(op.job, scratch, at, std::min(end, at + kSumBlock),
                      op.partial_sums.data() + at / kSumBlock * sums);
  }
}

/// Computes, checksums and writes one digest block of the output, piece by piece.
void Engine::run_map_task(Op& op, uint32_t task, Scratch& scratch) {
  const Job& job = op.job;
  const uint64_t width = element_size(job.out);
  const uint64_t begin = task * (kDigestBytes / width);
  const uint64_t end = std::min(job.count, begin + kDigestBytes / width);
  const uint64_t piece = kPieceBytes / width;
  thread_local DigestStream digest;
  digest.reset();
  uint32_t crc = 0;
  uint64_t non_finite = 0;
  for (uint64_t at = begin; at < end; at += piece) {
    const uint64_t to = std::min(end, at + piece);
    const std::byte* bytes;
    if (op.kernel->map == nullptr) {
      bytes = job.input[0].data + at * width;
      non_finite |= op.kernels->has_non_finite(bytes, job.out, to - at) ? 1u : 0u;
    } else {
      if (scratch.out.size() < kPieceBytes) scratch.out.resize(kPieceBytes);
      op.kernel->map(job, scratch, at, to, scratch.out.data(), non_finite);
      bytes = scratch.out.data();
    }
    digest.update(bytes, (to - at) * width);
    if (op.want_crc32) crc = crc32(crc, bytes, (to - at) * width);
    op.sink->write(op.sink_offset + at * width, bytes, (to - at) * width);
  }
  op.digests[task] = digest.digest();
  op.crcs[task] = crc;
  if (non_finite != 0) op.non_finite.fetch_or(non_finite);
}

}  // namespace sinter
