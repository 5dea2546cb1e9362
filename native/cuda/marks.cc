#include "marks.h"

namespace sinter::cuda {
namespace {

// A mark is its lane's number above, its own below; neither is 0.
constexpr int kLaneShift = 40;

uint32_t lane_of(Mark mark) { return static_cast<uint32_t>(mark >> kLaneShift); }

}  // namespace

Marks::Ring::~Ring() {
  for (const cudaEvent_t event : events) cudaEventDestroy(event);
}

uint32_t Marks::open_lane() {
  const auto ring = std::make_shared<Ring>();
  for (uint32_t i = 0; i < kRing; i++) {
    cudaEvent_t event;
    // Who waits for an event sleeps: the thread's CPU has merges of its own to do.
    if (cudaEventCreateWithFlags(&event, cudaEventBlockingSync | cudaEventDisableTiming) != cudaSuccess) return 0;
    ring->events.push_back(event);
  }
  const std::lock_guard lock(mutex_);
  rings_[++lanes_] = ring;
  return lanes_;
}

void Marks::close_lane(uint32_t lane) {
  const std::lock_guard lock(mutex_);
  rings_.erase(lane);
}

std::shared_ptr<Marks::Ring> Marks::ring_of(uint32_t lane) {
  const std::lock_guard lock(mutex_);
  const auto found = rings_.find(lane);
  return found == rings_.end() ? nullptr : found->second;
}

cudaError_t Marks::record(uint32_t lane, cudaStream_t stream, Mark& mark) {
  const std::shared_ptr<Ring> ring = ring_of(lane);
  if (ring == nullptr) return cudaErrorInvalidValue;
  const uint64_t own = ++ring->next;
  mark = static_cast<Mark>(lane) << kLaneShift | own;
  return cudaEventRecord(ring->events[own % kRing], stream);
}

cudaError_t Marks::wait(cudaStream_t stream, Mark mark) {
  const std::shared_ptr<Ring> ring = mark == 0 ? nullptr : ring_of(lane_of(mark));
  return ring == nullptr ? cudaSuccess : cudaStreamWaitEvent(stream, ring->events[mark % kRing], 0);
}

cudaError_t Marks::reach(Mark mark) {
  const std::shared_ptr<Ring> ring = mark == 0 ? nullptr : ring_of(lane_of(mark));
  return ring == nullptr ? cudaSuccess : cudaEventSynchronize(ring->events[mark % kRing]);
}

}  // namespace sinter::cuda
