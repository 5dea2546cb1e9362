// Marks of all queues of a device, as events. Each queue has a ring of them, its own: a mark that is older than the ring
// waits for a later one of its queue, which is right as well, since work of a queue runs in order. So what the older one
// stands for is done by then; and the later one is queued already, so that it is reached whoever waits.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "../device/device.h"
#include "simt.h"

namespace sinter::cuda {

class Marks {
 public:
  /// A queue's number, for `record`; 0 where events cannot be made.
  uint32_t open_queue();
  /// Its marks count as reached from now on.
  void close_queue(uint32_t queue);

  /// `stream`: of all marks of the queue the same.
  cudaError_t record(uint32_t queue, cudaStream_t stream, Mark& mark);
  /// What is queued in `stream` from now on waits for the mark.
  cudaError_t wait(cudaStream_t stream, Mark mark);
  /// Blocks until it is reached.
  cudaError_t reach(Mark mark);

 private:
  static constexpr uint32_t kRing = 512;
  struct Ring {
    uint64_t next = 0;
    std::vector<cudaEvent_t> events;
    ~Ring();
  };

  std::shared_ptr<Ring> ring_of(uint32_t queue);

  std::mutex mutex_;
  uint32_t queues_ = 0;
  std::map<uint32_t, std::shared_ptr<Ring>> rings_;
};

}  // namespace sinter::cuda
