#include "engine.h"

#include <sched.h>

#include <algorithm>
#include <cstring>

#include "../cpu/dispatch.h"
#include "gather-means.h"
#include "sums.h"

namespace sinter {
namespace {

/// Bytes computed between two writes: stays in the second-level cache on its way to the checksum and the file.
constexpr uint64_t kPieceBytes = 256 << 10;

uint32_t ceil_div(uint64_t a, uint64_t b) { return static_cast<uint32_t>((a + b - 1) / b); }

/// Publishes the tasks of the pass that was set up. With the mutex held.
void begin_pass(Op& op) {
  op.next_task = 0;
  op.tasks = op.pass_tasks;
  const bool is_last = op.pass == (writes_tensor(*op.kernel) ? Op::Pass::map : Op::Pass::reduce);
  op.share_before += op.share_of_pass;
  op.share_of_pass = (1 - op.share_before) * (is_last ? 1 : 0.5);
}

}  // namespace

void check_sources(const Op& op) {
  const size_t inputs = static_cast<size_t>(op.job.inputs);
  for (size_t i = 0; i < op.sources.size(); i++) {
    if (!op.sources[i]->failed()) continue;
    // Factors of patches are blamed themselves, by numbers that count on from the inputs.
    const size_t served = op.served_inputs.size();
    const size_t blamed = i < inputs            ? i
                          : i < inputs + served ? static_cast<size_t>(op.served_inputs[i - inputs])
                                                : i - served;
    throw Failure("SOURCE_FAILED", op.sources[i]->path() + " shrank or failed while it was read",
                  static_cast<int>(blamed));
  }
}

unsigned available_cpus() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return static_cast<unsigned>(std::max(1, CPU_COUNT(&set)));
  return std::max(1u, std::thread::hardware_concurrency());
}

uint64_t next_job_id() {
  static std::atomic<uint64_t> next{1};
  return next++;
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
  write_pool_.stop();
}

void Engine::configure(unsigned threads, const std::string& target, uint64_t memory) {
  const KernelSet* kernels = target.empty() ? &best_kernels() : find_kernels(target);
  if (kernels == nullptr) throw Failure("BAD_ARGUMENT", "this CPU does not run the target " + target);
  {
    const std::lock_guard lock(mutex_);
    if (!ops_.empty()) throw Failure("BAD_ARGUMENT", "cannot configure while ops are running");
  }
  kernels_ = kernels;
  budget_.set(kFreeScratch + memory);
  const unsigned wanted = threads == 0 ? available_cpus() : threads;
  if (wanted == workers_.size()) return;
  stop();
  start(wanted);
}

void Engine::submit(std::shared_ptr<Op> op) {
  admit(*op);
  enqueue(std::move(op));
}

void Engine::admit(Op& op) {
  op.job.id = next_job_id();
  op.kernels = kernels_;
  for (int i = 0; i < kernels_->count; i++) {
    if (op.kernel_name == kernels_->kernels[i].name) op.kernel = &kernels_->kernels[i];
  }
  if (op.kernel == nullptr) throw Failure("BAD_ARGUMENT", "no kernel is named " + op.kernel_name);
  if (op.sink != nullptr && !writes_tensor(*op.kernel)) {
    throw Failure("BAD_ARGUMENT", op.kernel_name + " writes nothing");
  }
  const Job& job = op.job;
  const InputKind kind = op.kernel->input_kind;
  if ((job.inputs == 0) != (kind == InputKind::none)) {
    throw Failure("BAD_ARGUMENT", op.kernel_name + (kind == InputKind::none ? " takes no inputs" : " takes inputs"));
  }
  if (kind == InputKind::whole && job.input_count != job.count) {
    throw Failure("BAD_ARGUMENT", "the inputs of " + op.kernel_name + " have as many elements as its output");
  }
  if (!op.kernel->valid(op.job)) {
    throw Failure("BAD_ARGUMENT", "the numbers or inputs of " + op.kernel_name + " do not fit it");
  }
  std::vector<ByteRange> ranges;
  for (int i = 0; i < job.inputs; i++) {
    const InputSpan& input = job.input[i];
    if (input.gather != nullptr && op.kernel->map == nullptr && op.sink != nullptr) {
      throw Failure("BAD_ARGUMENT", op.kernel_name + " takes no gathered rows");
    }
    if (input.gather == nullptr) {
      const uint64_t elements = input.layout == nullptr ? job.input_count : input.layout->extent();
      ranges.push_back({op.sources[static_cast<size_t>(i)], input.data, elements * element_size(input.dtype)});
    }
  }
  // Gathered rows come in any order: all of each piece is asked for.
  size_t next = static_cast<size_t>(job.inputs);
  for (const std::unique_ptr<RowGather>& gather : op.gathers) {
    for (const RowPiece& piece : gather->pieces) {
      ranges.push_back({op.sources[next++], piece.data, piece.rows * gather->width * element_size(piece.dtype)});
    }
  }
  if (op.reads_ahead) read_ahead_.want(std::move(ranges));
  if (op.kernel->grouping != nullptr && job.count > 0) op.job.grouping = op.kernel->grouping(job);
}

void Engine::enqueue(std::shared_ptr<Op> op) {
  {
    const std::lock_guard lock(mutex_);
    enter(*op, Op::Pass::patch);
    begin_pass(*op);
    ops_.push_back(std::move(op));
  }
  wake_.notify_all();
}

double Engine::underway() {
  const std::lock_guard lock(mutex_);
  double bytes = 0;
  for (const std::shared_ptr<Op>& op : ops_) {
    const Job& job = op->job;
    uint64_t width = writes_tensor(*op->kernel) ? element_size(job.out) : 0;
    for (int i = 0; i < job.inputs; i++) width += element_size(job.input[i].dtype);
    const uint32_t done = op->next_task - std::min(op->next_task, op->running);
    const double of_pass = op->tasks == 0 ? 0 : static_cast<double>(done) / op->tasks;
    bytes += (op->share_before + op->share_of_pass * of_pass) * static_cast<double>(job.count * width);
  }
  return bytes;
}

void Engine::cancel() {
  read_ahead_.clear();
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
      const std::optional<Failure> failure = failure_of([&] {
        run_task(op, task, scratch);
        check_sources(*op);
      });
      lock.lock();
      end_part(op, failure, lock);
    } else {
      end_part(op, std::nullopt, lock);
    }
  }
}

/// Called when a task or a write has ended, with the mutex held. Who ends the last one of a pass moves the op on.
void Engine::end_part(const std::shared_ptr<Op>& op, const std::optional<Failure>& failure,
                      std::unique_lock<std::mutex>& lock) {
  if (failure && !op->failure) {
    op->failure = failure;
    op->next_task = op->tasks;
  }
  if (op->next_task == op->tasks && op->running == 1) {
    // Nobody else can take a task of this op now: the end of the pass is computed outside the lock.
    const bool failed = op->failure.has_value();
    lock.unlock();
    const std::optional<Failure> at_end = failed ? std::nullopt : leave_pass(*op);
    lock.lock();
    if (at_end && !op->failure) op->failure = at_end;
    const bool finished = op->failure || op->pass == Op::Pass::finished;
    if (!finished) begin_pass(*op);
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

/// Sets up a pass, or the next one where there is nothing to do in it. Its tasks are not published yet.
void Engine::enter(Op& op, Op::Pass pass) {
  op.pass = pass;
  op.pass_tasks = 0;
  Job& job = op.job;
  const Kernel& kernel = *op.kernel;
  if (pass == Op::Pass::patch) {
    if (job.patches.empty() || job.count == 0) return enter(op, Op::Pass::gather);
    if (op.patcher == nullptr) op.patcher = std::make_unique<PatchPass>(*op.kernels, job);
    op.pass_tasks = op.patcher->tasks();
    if (op.pass_tasks == 0) {
      op.patcher.reset();
      return enter(op, Op::Pass::gather);
    }
  } else if (pass == Op::Pass::gather) {
    op.pass_tasks = begin_means(op);
    if (op.pass_tasks == 0) return enter(op, Op::Pass::prepare);
  } else if (pass == Op::Pass::prepare) {
    if (job.count == 0 || kernel.make_room == nullptr || !kernel.make_room(job, budget_))
      return enter(op, Op::Pass::select);
    op.rows_per_task = ceil_div(ceil_div(kTaskElements, job.columns), kPrepareRows) * kPrepareRows;
    op.pass_tasks = ceil_div(job.count / job.columns, op.rows_per_task);
  } else if (pass == Op::Pass::select) {
    if (kernel.selections == nullptr || job.count == 0) return enter(op, Op::Pass::reduce);
    if (op.selector == nullptr) op.selector = Selector::create(kernel, job);
    op.pass_tasks = op.selector->tasks();
    if (op.pass_tasks == 0) {
      job.thresholds = op.selector->thresholds();
      op.selector.reset();
      return enter(op, Op::Pass::reduce);
    }
  } else if (pass == Op::Pass::reduce) {
    const uint64_t sums = kernel.sum_count == nullptr ? 0 : static_cast<uint64_t>(kernel.sum_count(job));
    job.sums.assign(sums * job.groups(), 0.0);
    if (sums == 0 || job.count == 0) return enter(op, Op::Pass::map);
    if (job.grouping == Grouping::whole) {
      op.partial_sums.resize(ceil_div(job.count, kSumBlock) * sums);
      op.pass_tasks = ceil_div(job.count, kTaskElements);
    } else {
      const uint64_t width = job.grouping == Grouping::rows ? job.columns : job.groups();
      const uint64_t rows = job.count / width;
      op.rows_per_task = rows_per_part(job, sums);
      op.pass_tasks = ceil_div(rows, op.rows_per_task);
      if (job.grouping == Grouping::columns) op.partial_sums.resize(op.pass_tasks * sums * width);
    }
  } else if (pass == Op::Pass::map) {
    if (kernel.solve != nullptr && job.count > 0 && kernel.solve(job)) {
      job.round++;
      return enter(op, Op::Pass::reduce);
    }
    // Kernels that write no tensor are asked for their sums only.
    op.pass_tasks = writes_tensor(kernel) ? ceil_div(job.count * element_size(job.out), kDigestBytes) : 0;
    op.digests.resize(op.pass_tasks);
    op.crcs.resize(op.pass_tasks);
    if (op.pass_tasks == 0) enter(op, Op::Pass::finished);
  }
}

std::optional<Failure> Engine::leave_pass(Op& op) {
  return failure_of([&] {
    if (op.pass == Op::Pass::patch) {
      op.patcher->advance();
      enter(op, Op::Pass::patch);
    } else if (op.pass == Op::Pass::gather) {
      finish_means(op);
      enter(op, Op::Pass::prepare);
    } else if (op.pass == Op::Pass::prepare) {
      enter(op, Op::Pass::select);
    } else if (op.pass == Op::Pass::select) {
      op.selector->advance();
      enter(op, Op::Pass::select);
    } else if (op.pass == Op::Pass::reduce) {
      finish_sums(*op.kernel, op.job, op.partial_sums);
      op.partial_sums = {};
      enter(op, Op::Pass::map);
    } else if (op.pass == Op::Pass::map) {
      enter(op, Op::Pass::finished);
    }
  });
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
  op.gathers.clear();
  op.sink.reset();
  op.job.masks = {};
  op.job.patches.clear();
  budget_.give_back(op.job.taken);
  // Whoever waits may hold the op itself: letting go of the function here breaks that circle.
  const std::function<void(Op&)> done = std::move(op.done);
  op.done = nullptr;
  done(op);
}

void Engine::run_task(const std::shared_ptr<Op>& shared, uint32_t task, Scratch& scratch) {
  Op& op = *shared;
  if (op.pass == Op::Pass::patch) return op.patcher->run(task);
  if (op.pass == Op::Pass::gather) return add_to_means(op, task);
  if (op.pass == Op::Pass::select) return op.selector->run(task, scratch);
  if (op.pass == Op::Pass::reduce) return run_reduce_task(op, task, scratch);
  if (op.pass == Op::Pass::map) return run_map_task(shared, task, scratch);
  const uint64_t begin = task * op.rows_per_task;
  op.kernel->prepare(op.job, scratch, begin, std::min(op.job.count / op.job.columns, begin + op.rows_per_task));
}

void Engine::run_reduce_task(Op& op, uint32_t task, Scratch& scratch) {
  const Job& job = op.job;
  const size_t sums = job.sums.size() / job.groups();
  if (job.grouping == Grouping::whole) {
    const uint64_t begin = task * kTaskElements;
    const uint64_t end = std::min(job.count, begin + kTaskElements);
    for (uint64_t at = begin; at < end; at += kSumBlock) {
      op.kernel->reduce(job, scratch, at, std::min(end, at + kSumBlock),
                        op.partial_sums.data() + at / kSumBlock * sums);
    }
    return;
  }
  const uint64_t width = job.grouping == Grouping::rows ? job.columns : job.groups();
  const uint64_t begin = task * op.rows_per_task;
  const uint64_t end = std::min(job.count / width, begin + op.rows_per_task);
  if (job.grouping == Grouping::columns) {
    return op.kernel->reduce_columns(job, scratch, begin, end, op.partial_sums.data() + task * sums * width);
  }
  sum_rows(*op.kernel, job, scratch, begin, end, op.job.sums.data() + begin * sums);
}

/// Computes, checksums and, where there is a sink, writes one digest block of the output, piece by piece.
void Engine::run_map_task(const std::shared_ptr<Op>& shared, uint32_t task, Scratch& scratch) {
  Op& op = *shared;
  const Job& job = op.job;
  const uint64_t width = element_size(job.out);
  const uint64_t begin = task * (kDigestBytes / width);
  const uint64_t end = std::min(job.count, begin + kDigestBytes / width);
  const bool direct =
      op.sink != nullptr && op.sink->path_to_disk() == WritePath::direct && (end - begin) * width >= kLeastDirect;
  thread_local DigestStream digest;
  digest.reset();
  uint32_t crc = 0;
  uint64_t non_finite = 0;
  WriteBlock block(write_pool_, threads(), op.sink_offset + begin * width);
  const auto write = [&](uint64_t offset, std::byte* bytes, uint64_t size) {
    write_later(shared, offset, bytes, size);
  };
  for (uint64_t at = begin; at < end;) {
    const uint64_t to = std::min(end, at + kPieceBytes / width);
    const uint64_t count = (to - at) * width;
    const std::byte* bytes;
    if (!direct && scratch.out.size() < kPieceBytes) scratch.out.resize(kPieceBytes);
    if (direct) {
      std::byte* const out = block.room(count, write);
      map_piece(op, at, to, scratch, out, non_finite);
      block.grow(count);
      bytes = out;
    } else if (op.kernel->map == nullptr) {
      bytes = elements_of(job.input[0], at, to - at, scratch.out.data());
      non_finite |= op.kernels->has_non_finite(bytes, job.out, to - at) ? 1u : 0u;
    } else {
      map_piece(op, at, to, scratch, scratch.out.data(), non_finite);
      bytes = scratch.out.data();
    }
    if (checksums_) digest.update(bytes, count);
    if (op.want_crc32) crc = crc32(crc, bytes, count);
    if (!direct && op.sink != nullptr) op.sink->write(op.sink_offset + at * width, bytes, count);
    at = to;
  }
  block.finish(write);
  op.digests[task] = digest.digest();
  op.crcs[task] = crc;
  if (non_finite != 0) op.non_finite.fetch_or(non_finite);
}

void Engine::map_piece(Op& op, uint64_t begin, uint64_t end, Scratch& scratch, std::byte* out, uint64_t& non_finite) {
  if (op.kernel->map != nullptr) return op.kernel->map(op.job, scratch, begin, end, out, non_finite);
  const uint64_t width = element_size(op.job.out);
  const std::byte* const bytes = elements_of(op.job.input[0], begin, end - begin, out);
  if (bytes != out) std::memcpy(out, bytes, (end - begin) * width);
  non_finite |= op.kernels->has_non_finite(out, op.job.out, end - begin) ? 1u : 0u;
}

/// Hands a block to the write pool; the op does not end before it is written.
void Engine::write_later(const std::shared_ptr<Op>& op, uint64_t offset, std::byte* bytes, uint64_t count) {
  {
    const std::lock_guard lock(mutex_);
    op->running++;
  }
  write_pool_.write(op->sink, offset, bytes, count, [this, op](const std::optional<Failure>& failure) {
    std::unique_lock lock(mutex_);
    end_part(op, failure, lock);
  });
}

}  // namespace sinter
