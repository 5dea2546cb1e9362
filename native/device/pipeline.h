// Runs ops on devices: each op on the device with the fewest bytes before it, each device with a few slots at a time.
//
// What no device can compute, and what does not fit, goes to the engine. So does an op that a device gave up, unless it is
// to be an error: an op begins anew there, and says that it ended once only. A device that is lost takes no more ops.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "../engine/engine.h"
#include "host-pool.h"
#include "slot.h"

namespace sinter {

/// What devices may take, and what becomes of an op that one gave up.
struct DeviceOptions {
  std::vector<int> devices;
  /// Bytes of each device's memory; 0: most of what is free.
  uint64_t memory = 0;
  /// Bytes of pinned host memory for each device; 0: kUsualPinned.
  uint64_t pinned = 0;
  /// When files are read straight into a device's memory, and cuFile's own file; empty: the one that the system finds.
  DirectUse direct = DirectUse::automatic;
  std::string cufile;
  /// An op that a device gave up fails with DEVICE_FAILED, where no other device can take it.
  bool strict = false;
};

constexpr uint64_t kUsualPinned = 192 << 20;

class Pipeline {
 public:
  /// Throws Failure DEVICE_FAILED where a device cannot be opened. `threads`: for reading, checksums and writing.
  Pipeline(Engine& engine, const DeviceLibrary& library, const DeviceOptions& options, unsigned threads);
  /// Drops ops that have not finished without a call.
  ~Pipeline();
  Pipeline(const Pipeline&) = delete;
  Pipeline& operator=(const Pipeline&) = delete;

  /// Whether the kernel is to be asked for the op's inputs before it is submitted.
  bool is_read_ahead(const Op& op) const;
  /// Queues an op that was admitted to the engine, here or there.
  void submit(std::shared_ptr<Op> op);
  /// Makes every op that has not finished fail with CANCELLED.
  void cancel();
  bool is_idle();

 private:
  struct Unit {
    Device* device;
    /// Null where all files go through the host's memory.
    std::unique_ptr<DirectReads> direct;
    /// `cuda:0 (name)`.
    std::string name;
    /// How many, and bytes of memory for each.
    uint64_t slots;
    uint64_t memory;
    /// Of its slots those that have a thread: the system need not start one for each.
    uint64_t threads = 0;
    std::deque<std::shared_ptr<Op>> queue;
    /// Of ops that are queued or under way.
    uint64_t bytes = 0;
    bool lost = false;
  };

  void start_threads();
  Unit* unit_for(const Op& op);
  bool queue(const std::shared_ptr<Op>& op);
  void work(Unit& unit);
  void compute(Unit& unit, Slot& slot, const std::shared_ptr<Op>& op);
  void give_up(Unit& unit, const std::shared_ptr<Op>& op, const DeviceTrouble& trouble);
  void lose(Unit& unit);
  void fall_back(const std::shared_ptr<Op>& op);
  void end(const std::shared_ptr<Op>& op);

  Engine& engine_;
  const DeviceOptions options_;
  const Staging staging_;
  HostPool pool_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<std::unique_ptr<Unit>> units_;
  /// Ops that are under way: from a queue on until they end, or are in another queue, or are the engine's.
  std::vector<std::shared_ptr<Op>> running_;
  std::vector<std::thread> threads_;
  bool stopping_ = false;
};

}  // namespace sinter
