// Marks of all lanes of a device, as events. Each lane has a ring of them: a mark that is older than the ring waits for a
// later one of its lane, which is right as well, since what it stands for is done by then and that one is queued already.
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
  /// A lane's number, for `record`; 0 where events cannot be made.
  uint32_t open_lane();
  /// Its marks count as reached from now on.
  void close_lane(uint32_t lane);

  cudaError_t record(uint32_t lane, cudaStream_t stream, Mark& mark);
  /// What is queued in `stream` from now on waits for the mark.
  cudaError_t wait(cudaStream_t stream, Mark mark);
  /// Blocks until it is reached.
  cudaError_t reach(Mark mark);

 private:
  static constexpr uint32_t kRing = 1024;
  struct Ring {
    uint64_t next = 0;
    std::vector<cudaEvent_t> events;
    ~Ring();
  };

  std::shared_ptr<Ring> ring_of(uint32_t lane);

  std::mutex mutex_;
  uint32_t lanes_ = 0;
  std::map<uint32_t, std::shared_ptr<Ring>> rings_;
};

}  // namespace sinter::cuda
