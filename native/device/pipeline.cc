#include "pipeline.h"

#include <algorithm>
#include <system_error>

#include "device-op.h"

namespace sinter {
namespace {

/// Of a device's free memory, where nothing else is said: others may want some.
constexpr double kShareOfFree = 0.9;

/// A slot gets at least this much of a device's memory, where there is more than one.
constexpr uint64_t kSlotMemory = 256 << 20;

std::pair<int, Staging> staging_for(const DeviceOptions& options) {
  return staging_of(options.pinned == 0 ? kUsualPinned : options.pinned);
}

/// Whether the passes of a device can compute the op, if it has the kernel.
bool is_for_devices(const Op& op) {
  const Job& job = op.job;
  if (job.count == 0 || job.count != job.input_count || job.inputs == 0 || op.kernel->map == nullptr) return false;
  return op.kernel->input_kind == InputKind::whole && is_float(job.out);
}

uint64_t bytes_of(const Op& op) {
  uint64_t width = element_size(op.job.out);
  for (int k = 0; k < op.job.inputs; k++) width += element_size(op.job.input[k].dtype);
  return op.job.count * width;
}

/// Null where the machine has no GPUDirect Storage, or it is not to be used.
std::unique_ptr<DirectReads> direct_reads(Device& device, const DeviceFacts& facts, const DeviceOptions& options) {
  std::string absence;
  if (options.direct == DirectUse::never || (!facts.direct_storage && options.cufile.empty())) return nullptr;
  const Cufile* const library = device.enter() == DeviceStatus::ok ? cufile(options.cufile, absence) : nullptr;
  return library == nullptr ? nullptr : std::make_unique<DirectReads>(device, *library, options.direct);
}

/// What the passes found, as before them.
void begin_anew(Op& op) {
  Job& job = op.job;
  job.table.clear();
  job.thresholds.clear();
  job.round = 0;
  job.sums.clear();
  job.solved.clear();
  op.digests.clear();
  op.crcs.clear();
  op.non_finite = 0;
  op.direct_bytes = 0;
}

}  // namespace

Pipeline::Pipeline(Engine& engine, const DeviceLibrary& library, const DeviceOptions& options, unsigned threads)
    : engine_(engine), options_(options), staging_(staging_for(options).second), pool_(threads) {
  for (const int index : options.devices) {
    std::string reason;
    Device* const device = index < library.count ? open_device(library, index, reason) : nullptr;
    const std::string place = "cuda:" + std::to_string(index);
    if (device == nullptr) throw Failure("DEVICE_FAILED", place + ": " + (reason.empty() ? "no such device" : reason));
    DeviceFacts facts{};
    const DeviceStatus status = device->facts(facts);
    if (status != DeviceStatus::ok) throw Failure("DEVICE_FAILED", place + ": " + status_text(*device, status));
    auto unit = std::make_unique<Unit>();
    unit->device = device;
    unit->direct = direct_reads(*device, facts, options);
    unit->name = place + " (" + facts.name + ")";
    const double free = static_cast<double>(facts.free) * kShareOfFree;
    const uint64_t memory = options.memory > 0 ? options.memory : static_cast<uint64_t>(free);
    const uint64_t most = staging_for(options).first;
    unit->slots = std::clamp<uint64_t>(memory / kSlotMemory, 1, most);
    unit->memory = memory / unit->slots;
    units_.push_back(std::move(unit));
  }
}

Pipeline::~Pipeline() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    for (const std::shared_ptr<Op>& op : running_) op->cancelled = true;
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

bool Pipeline::is_read_ahead(const Op& op) const {
  return !op.wants_device || std::any_of(units_.begin(), units_.end(), [&](const auto& unit) {
    return unit->direct == nullptr || std::any_of(op.sources.begin(), op.sources.end(), [&](const auto& source) {
             return unit->direct->is_read_ahead(*source);
           });
  });
}

void Pipeline::submit(std::shared_ptr<Op> op) {
  Job& job = op->job;
  for (int k = 0; k < job.inputs; k++) {
    const RowGather* const gather = job.input[k].gather;
    if (gather != nullptr && !gather->pieces.empty()) job.input[k].dtype = gather->pieces[0].dtype;
  }
  if (!is_for_devices(*op)) return engine_.enqueue(std::move(op));
  {
    const std::lock_guard lock(mutex_);
    start_threads();
    if (queue(op)) return;
    if (threads_.empty()) op->returned = units_.front()->name + ": no thread can be started";
  }
  fall_back(op);
}

/// Slots take their threads and their memory with the first op that needs them: one slot of each device, then the others,
/// as long as the system starts threads. With the mutex held.
void Pipeline::start_threads() {
  if (!threads_.empty()) return;
  uint64_t all = 0;
  for (const std::unique_ptr<Unit>& unit : units_) all += unit->slots;
  threads_.reserve(all);
  try {
    for (uint64_t slot = 0; threads_.size() < all; slot++) {
      for (const std::unique_ptr<Unit>& unit : units_) {
        if (slot >= unit->slots) continue;
        threads_.emplace_back([this, one = unit.get()] { work(*one); });
        unit->threads++;
      }
    }
  } catch (const std::system_error&) {
    // Fewer do as well.
  }
}

/// The device that has the op's kernel and the fewest bytes to do; null where none can take it. With the mutex held.
Pipeline::Unit* Pipeline::unit_for(const Op& op) {
  Unit* best = nullptr;
  for (const std::unique_ptr<Unit>& unit : units_) {
    if (unit->lost || unit->threads == 0 || unit->device->find(op.kernel->name) < 0) continue;
    if (best == nullptr || unit->bytes < best->bytes) best = unit.get();
  }
  return best;
}

/// @returns whether a device takes the op. With the mutex held.
bool Pipeline::queue(const std::shared_ptr<Op>& op) {
  Unit* const unit = unit_for(*op);
  if (unit == nullptr) return false;
  unit->queue.push_back(op);
  unit->bytes += bytes_of(*op);
  wake_.notify_all();
  return true;
}

void Pipeline::cancel() {
  const std::lock_guard lock(mutex_);
  for (const std::shared_ptr<Op>& op : running_) op->cancelled = true;
  for (const std::unique_ptr<Unit>& unit : units_) {
    for (const std::shared_ptr<Op>& op : unit->queue) op->cancelled = true;
  }
}

bool Pipeline::is_idle() {
  const std::lock_guard lock(mutex_);
  return running_.empty() && std::all_of(units_.begin(), units_.end(), [](const auto& u) { return u->queue.empty(); });
}

void Pipeline::work(Unit& unit) {
  Slot slot(*unit.device, staging_, unit.memory, unit.direct.get());
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [&] { return stopping_ || !unit.queue.empty(); });
    if (stopping_) return;
    const std::shared_ptr<Op> op = std::move(unit.queue.front());
    unit.queue.pop_front();
    running_.push_back(op);
    lock.unlock();
    compute(unit, slot, op);
    lock.lock();
  }
}

/// Whatever becomes of the op, its way ends or goes on elsewhere here.
void Pipeline::compute(Unit& unit, Slot& slot, const std::shared_ptr<Op>& op) {
  const uint64_t bytes = bytes_of(*op);
  std::optional<DeviceTrouble> trouble;
  bool fits = true;
  const std::optional<Failure> failure = failure_of([&] {
    try {
      bool again = false;
      slot.open();
      do {
        try {
          if (op->cancelled) throw Failure("CANCELLED", "cancelled");
          slot.open();
          DeviceOp(*op, unit.device->find(op->kernel->name), slot, pool_).run();
          op->device = unit.name;
          again = false;
        } catch (const DeviceTrouble& caught) {
          begin_anew(*op);
          again = caught.status == DeviceStatus::out_of_memory && slot.shrink();
          if (!again) throw;
        }
      } while (again);
    } catch (const DeviceTrouble& caught) {
      trouble = caught;
    } catch (const NoRoom&) {
      fits = false;
    }
  });
  if (failure) op->failure = failure;
  if (trouble || op->failure) slot.drop_lane();
  {
    const std::lock_guard lock(mutex_);
    unit.bytes -= bytes;
  }
  if (trouble) return give_up(unit, op, *trouble);
  if (!fits) return fall_back(op);
  end(op);
}

void Pipeline::give_up(Unit& unit, const std::shared_ptr<Op>& op, const DeviceTrouble& trouble) {
  op->returned = unit.name + ": " + trouble.what();
  if (trouble.status == DeviceStatus::lost) {
    lose(unit);
    const std::lock_guard lock(mutex_);
    if (!op->cancelled && queue(op)) {
      std::erase(running_, op);
      return;
    }
  }
  fall_back(op);
}

/// What is queued for the device goes elsewhere.
void Pipeline::lose(Unit& unit) {
  std::deque<std::shared_ptr<Op>> queued;
  std::vector<std::shared_ptr<Op>> left;
  {
    const std::lock_guard lock(mutex_);
    unit.lost = true;
    queued.swap(unit.queue);
    for (const std::shared_ptr<Op>& op : queued) {
      unit.bytes -= bytes_of(*op);
      op->returned = unit.name + ": lost";
      if (queue(op)) continue;
      running_.push_back(op);
      left.push_back(op);
    }
  }
  for (const std::shared_ptr<Op>& op : left) fall_back(op);
}

/// To the CPU: where the device failed, only if that is allowed. Whoever cancels finds the op with the devices or with the
/// engine: between the two nothing else takes the mutex.
void Pipeline::fall_back(const std::shared_ptr<Op>& op) {
  {
    const std::lock_guard lock(mutex_);
    if (op->cancelled) {
      op->failure.emplace("CANCELLED", "cancelled");
    } else if (options_.strict && !op->returned.empty()) {
      op->failure.emplace("DEVICE_FAILED", op->returned);
    } else {
      begin_anew(*op);
      const std::optional<Failure> failure = failure_of([&] { engine_.enqueue(op); });
      if (!failure) {
        std::erase(running_, op);
        return;
      }
      op->failure = failure;
    }
  }
  end(op);
}

/// Not while it is queued anywhere.
void Pipeline::end(const std::shared_ptr<Op>& op) {
  {
    const std::lock_guard lock(mutex_);
    std::erase(running_, op);
    if (stopping_) return;
  }
  engine_.settle(*op);
}

}  // namespace sinter
