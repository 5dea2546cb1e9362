// The engine: a thread pool that runs ops, several at a time, each as a sequence of passes cut into tasks.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "../io/error.h"
#include "../io/sink.h"
#include "../io/source.h"
#include "../io/write-pool.h"
#include "../numeric/digest.h"
#include "kernel.h"
#include "patch-pass.h"
#include "read-ahead.h"
#include "select.h"

namespace sinter {

/// One output tensor under way. Filled by the caller up to `done`; the rest belongs to the engine.
struct Op {
  Job job;
  std::string kernel_name;
  /// Of the inputs, one each; then those that gathered rows come from besides; then those of the patches.
  std::vector<std::shared_ptr<Source>> sources;
  /// The input that each source of gathered rows serves.
  std::vector<int> served_inputs;
  /// What `job.input[i].gather` points to.
  std::vector<std::unique_ptr<RowGather>> gathers;
  /// Without one, the tensor is computed for its checksum alone.
  std::shared_ptr<Sink> sink;
  uint64_t sink_offset = 0;
  bool want_crc32 = false;
  /// Whether an accelerator is to compute it, where one can.
  bool wants_device = false;
  /// Whether the kernel is asked for its inputs ahead; not where they are to go past the host's memory.
  bool reads_ahead = true;
  std::atomic<bool> cancelled{false};
  /// Called once, on a worker thread, when `result` or `failure` is there.
  std::function<void(Op&)> done;

  // result
  Digest checksum{};
  uint32_t crc32 = 0;
  /// Bit i: input i holds a NaN or an infinity.
  std::atomic<uint64_t> non_finite{0};
  std::optional<Failure> failure;
  /// The accelerator that computed it, if one did; and why one that was to do so did not.
  std::string device;
  std::string returned;
  /// Bytes that were read straight into its memory.
  std::atomic<uint64_t> direct_bytes{0};

  // under way; guarded by the engine's mutex unless said otherwise
  enum class Pass { patch, gather, prepare, select, reduce, map, finished };
  const KernelSet* kernels = nullptr;
  const Kernel* kernel = nullptr;
  Pass pass = Pass::patch;
  std::unique_ptr<PatchPass> patcher;
  std::unique_ptr<Selector> selector;
  uint64_t rows_per_task = 0;        // of a pass that goes by rows
  std::vector<double> partial_sums;  // each block's own place: written without the mutex
  std::vector<Digest> digests;       // likewise
  std::vector<uint32_t> crcs;        // likewise
  uint32_t pass_tasks = 0;           // of the pass being set up: only who ends the pass before touches it
  uint32_t tasks = 0;
  uint32_t next_task = 0;
  /// Tasks and writes that have begun and not ended.
  uint32_t running = 0;
  /// Share of its work in the passes before this one, and in this one: how many will follow is not known before they do.
  double share_before = 0;
  double share_of_pass = 0;
};

/// Bytes of scratch that may grow with tensors without being asked for.
constexpr uint64_t kFreeScratch = 96 << 20;

class Engine {
 public:
  Engine();
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  /// `threads` 0: one per CPU. `target` empty: the best this CPU runs. `memory`: bytes of scratch that may grow with
  /// tensors, beyond kFreeScratch. Throws Failure BAD_ARGUMENT, also while busy.
  void configure(unsigned threads, const std::string& target, uint64_t memory);
  /// Off only to measure what checksums cost: all results then have the same. While no op is running.
  void set_checksums(bool on) { checksums_ = on; }
  /// Queues an op. Throws Failure BAD_ARGUMENT where kernel, numbers and inputs do not fit.
  void submit(std::shared_ptr<Op> op);
  /// The two halves of it: finds the kernel and checks that all fits, and begins to read ahead; then queues.
  void admit(Op& op);
  void enqueue(std::shared_ptr<Op> op);
  /// Makes the result of what an op's passes left, lets go of what it holds, and calls `done`: the end of an op.
  void settle(Op& op);
  /// Bytes of inputs and outputs of the ops that have not finished, by how far each has come. For progress only.
  double underway();
  /// Makes every op that has not finished fail with CANCELLED.
  void cancel();
  /// Ends all threads; ops that have not finished are dropped without a call.
  void stop();

  unsigned threads() const { return static_cast<unsigned>(workers_.size()); }
  const KernelSet& kernels() const { return *kernels_; }

 private:
  void start(unsigned threads);
  void work();
  void end_part(const std::shared_ptr<Op>& op, const std::optional<Failure>& failure,
                std::unique_lock<std::mutex>& lock);
  void run_task(const std::shared_ptr<Op>& op, uint32_t task, Scratch& scratch);
  void run_reduce_task(Op& op, uint32_t task, Scratch& scratch);
  void run_map_task(const std::shared_ptr<Op>& op, uint32_t task, Scratch& scratch);
  void map_piece(Op& op, uint64_t begin, uint64_t end, Scratch& scratch, std::byte* out, uint64_t& non_finite);
  void write_later(const std::shared_ptr<Op>& op, uint64_t offset, std::byte* bytes, uint64_t count);
  void enter(Op& op, Op::Pass pass);
  std::optional<Failure> leave_pass(Op& op);

  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<std::shared_ptr<Op>> ops_;
  std::vector<std::thread> workers_;
  bool stopping_ = false;
  bool checksums_ = true;
  const KernelSet* kernels_;
  Budget budget_{kFreeScratch};
  ReadAhead read_ahead_;
  WritePool write_pool_;
};

/// Less of a tensor at once goes through the page cache: its blocks would hardly be whole.
constexpr uint64_t kLeastDirect = 256 << 10;

/// Throws Failure SOURCE_FAILED where a file that the op reads shrank or failed.
void check_sources(const Op& op);

/// A number that no other job of the process has.
uint64_t next_job_id();

/// CPUs that this process may run on.
unsigned available_cpus();

}  // namespace sinter
