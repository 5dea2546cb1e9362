// A lane: three streams of a device.
#pragma once

#include "launch.h"
#include "marks.h"
#include "status.h"

namespace sinter::cuda {

class CudaLane final : public DeviceLane {
 public:
  CudaLane(int device, unsigned processors, Marks& marks) : device_(device), processors_(processors), marks_(marks) {}
  /// Waits for all that is queued.
  ~CudaLane() override;
  /// Once, before anything else.
  DeviceStatus open();

  DeviceStatus upload(void* to, const void* pinned, uint64_t bytes) override;
  DeviceStatus download(void* pinned, const void* from, uint64_t bytes) override;
  DeviceStatus download_rows(void* pinned, const void* from, uint64_t pitch, uint64_t bytes, uint64_t rows) override;
  DeviceStatus clear(void* at, uint64_t bytes) override;
  DeviceStatus mark(Queue queue, Mark& mark) override;
  DeviceStatus wait(Queue queue, Mark mark) override;
  DeviceStatus reach(Mark mark) override;
  void* stream(Queue queue) override { return of(queue); }

  DeviceStatus rank(int kernel, const Job& job, const Slice& slice, int input, const uint32_t* limits,
                    uint64_t* mask) override;
  DeviceStatus measure_rows(int kernel, const Job& job, const Slice& slice, double* table) override;
  DeviceStatus tally(int kernel, const Job& job, const Slice& slice, const TallyRequest* requests, int count) override;
  DeviceStatus reduce(int kernel, const Job& job, const Slice& slice, double* sums) override;
  DeviceStatus reduce_columns(int kernel, const Job& job, const Slice& slice, uint64_t block_rows,
                              double* sums) override;
  DeviceStatus map(int kernel, const Job& job, const Slice& slice, void* out, uint64_t* non_finite) override;

 private:
  static constexpr int kQueues = 3;

  cudaStream_t of(Queue queue) const { return streams_[static_cast<int>(queue)]; }
  /// Calls `pass(kernel, where)` with the kernel of that number, or fails where it has no such pass.
  template <class Has, class Pass>
  DeviceStatus run(int kernel, const Slice& slice, const char* what, const Has& has, const Pass& pass);

  const int device_;
  const unsigned processors_;
  Marks& marks_;
  cudaStream_t streams_[kQueues] = {};
  /// Of `marks_`.
  uint32_t queues_[kQueues] = {};
};

}  // namespace sinter::cuda
