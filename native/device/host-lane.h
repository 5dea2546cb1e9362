// Queues of a device in host memory: threads, so that work begun too early shows.
#pragma once

#include <atomic>
#include <functional>

#include "../engine/kernel.h"
#include "device.h"
#include "host-queue.h"

namespace sinter {

class HostDevice;

/// What a pass is given is checked: every address must lie within an allocation, every slice begin where device.h says,
/// limits be those of the job. Groups and masks are read from device memory.
class HostLane final : public DeviceLane {
 public:
  explicit HostLane(HostDevice& device) : device_(device) {}

  DeviceStatus upload(void* to, const void* pinned, uint64_t bytes) override;
  DeviceStatus download(void* pinned, const void* from, uint64_t bytes) override;
  DeviceStatus download_rows(void* pinned, const void* from, uint64_t pitch, uint64_t bytes, uint64_t rows) override;
  DeviceStatus clear(void* at, uint64_t bytes) override;
  DeviceStatus mark(Queue queue, Mark& mark) override;
  DeviceStatus wait(Queue queue, Mark mark) override;
  DeviceStatus reach(Mark mark) override;
  void* stream(Queue queue) override { return &queues_[static_cast<int>(queue)]; }
  DeviceStatus rank(int kernel, const Job& job, const Slice& slice, int input, const uint32_t* limits,
                    uint64_t* mask) override;
  DeviceStatus measure_rows(int kernel, const Job& job, const Slice& slice, double* table) override;
  DeviceStatus tally(int kernel, const Job& job, const Slice& slice, const TallyRequest* requests, int count) override;
  DeviceStatus reduce(int kernel, const Job& job, const Slice& slice, double* sums) override;
  DeviceStatus reduce_columns(int kernel, const Job& job, const Slice& slice, uint64_t block_rows,
                              double* sums) override;
  DeviceStatus map(int kernel, const Job& job, const Slice& slice, void* out, uint64_t* non_finite) override;

 private:
  DeviceStatus check_slice(const Kernel& kernel, const Job& job, const Slice& slice);
  DeviceStatus pass(std::function<void()> work);
  void add(Queue queue, std::function<void()> work);

  HostDevice& device_;
  std::atomic<bool> failed_{false};
  HostQueue queues_[3];
};

}  // namespace sinter
