#include "marks.h"

namespace sinter::cuda {
namespace {

// A mark is its queue's number above, its own below; neither is 0.
constexpr int kQueueShift = 40;

uint32_t queue_of(Mark mark) { return static_cast<uint32_t>(mark >> kQueueShift); }

}  // namespace

Marks::Ring::~Ring() {
  for (const cudaEvent_t event : events) cudaEventDestroy(event);
}

uint32_t Marks::open_queue() {
  const auto ring = std::make_shared<Ring>();
  for (uint32_t i = 0; i < kRing; i++) {
    cudaEvent_t event;
    // Who waits for an event sleeps: the thread's CPU has merges of its own to do.
    if (cudaEventCreateWithFlags(&event, cudaEventBlockingSync | cudaEventDisableTiming) != cudaSuccess) return 0;
    ring->events.push_back(event);
  }
  const std::lock_guard lock(mutex_);
  rings_[++queues_] = ring;
  return queues_;
}

void Marks::close_queue(uint32_t queue) {
  const std::lock_guard lock(mutex_);
  rings_.erase(queue);
}

std::shared_ptr<Marks::Ring> Marks::ring_of(uint32_t queue) {
  const std::lock_guard lock(mutex_);
  const auto found = rings_.find(queue);
  return found == rings_.end() ? nullptr : found->second;
}

cudaError_t Marks::record(uint32_t queue, cudaStream_t stream, Mark& mark) {
  const std::shared_ptr<Ring> ring = ring_of(queue);
  if (ring == nullptr) return cudaErrorInvalidValue;
  const uint64_t own = ++ring->next;
  mark = static_cast<Mark>(queue) << kQueueShift | own;
  return cudaEventRecord(ring->events[own % kRing], stream);
}

cudaError_t Marks::wait(cudaStream_t stream, Mark mark) {
  const std::shared_ptr<Ring> ring = mark == 0 ? nullptr : ring_of(queue_of(mark));
  return ring == nullptr ? cudaSuccess : cudaStreamWaitEvent(stream, ring->events[mark % kRing], 0);
}

cudaError_t Marks::reach(Mark mark) {
  const std::shared_ptr<Ring> ring = mark == 0 ? nullptr : ring_of(queue_of(mark));
  return ring == nullptr ? cudaSuccess : cudaEventSynchronize(ring->events[mark % kRing]);
}

}  // namespace sinter::cuda
