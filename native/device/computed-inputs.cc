#include "computed-inputs.h"

#include <exception>
#include <utility>

#include "../engine/gather-means.h"
#include "inflow.h"

namespace sinter {
namespace {

/// Calls `task(i)` for each of `tasks`, on the pool's threads. Throws what the first one threw, after all have ended.
template <class Task>
void run_all(HostPool& pool, uint32_t tasks, const Task& task) {
  std::mutex mutex;
  std::condition_variable ended;
  uint32_t left = tasks;
  std::exception_ptr failure;
  const auto part = [&](uint32_t i) {
    std::exception_ptr caught;
    try {
      task(i);
    } catch (...) {
      caught = std::current_exception();
    }
    const std::lock_guard lock(mutex);
    if (failure == nullptr) failure = caught;
    if (--left == 0) ended.notify_all();
  };
  // So small that no memory is taken for it: those that have begun refer to what is here.
  for (uint32_t i = 0; i < tasks; i++) pool.run([&part, i] { part(i); });
  std::unique_lock lock(mutex);
  ended.wait(lock, [&] { return left == 0; });
  if (failure != nullptr) std::rethrow_exception(failure);
}

}  // namespace

ComputedInputs::ComputedInputs(Op& op, HostPool& pool) : op_(op) {
  Job& job = op.job;
  for (int k = 0; k < job.inputs; k++) {
    if (!is_stored(job.input[k])) numbers_ |= uint64_t{1} << k;
  }
  if (numbers_ == 0) return;
  make(pool);
  stored_.id = job.id;
  stored_.inputs = job.inputs;
  stored_.count = job.count;
  stored_.wide = job.wide;
  for (int k = 0; k < job.inputs; k++) {
    stored_.input[k] = hidden_[k] = job.input[k];
    if (has(k)) hidden_[k] = {nullptr, job.wide ? Dtype::F64 : Dtype::F32, job.input[k].stream};
  }
  swap();
}

ComputedInputs::~ComputedInputs() {
  if (numbers_ == 0) return;
  swap();
  release_patches(op_.job);
}

void ComputedInputs::read(int input, uint64_t begin, uint64_t count, std::byte* to) {
  const bool non_finite = op_.kernels->load_work(stored_, input, begin, begin + count, to);
  if (non_finite) op_.non_finite.fetch_or(uint64_t{1} << input);
  check_sources(op_);
}

void ComputedInputs::make(HostPool& pool) {
  if (!op_.job.patches.empty()) {
    release_patches(op_.job);
    PatchPass pass(*op_.kernels, op_.job);
    for (uint32_t tasks = pass.tasks(); tasks > 0; tasks = pass.tasks()) {
      run_all(pool, tasks, [&](uint32_t task) { pass.run(task); });
      pass.advance();
    }
  }
  const uint32_t tasks = begin_means(op_);
  run_all(pool, tasks, [&](uint32_t task) { add_to_means(op_, task); });
  if (tasks > 0) finish_means(op_);
  check_sources(op_);
}

void ComputedInputs::swap() {
  for (int k = 0; k < op_.job.inputs; k++) std::swap(op_.job.input[k], hidden_[k]);
}

}  // namespace sinter
