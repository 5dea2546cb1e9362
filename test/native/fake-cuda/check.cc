// What the host's side of native/cuda does, told in lines `what: answer`, with the runtime that is beside this file.

#include <cinttypes>
#include <cstdio>
#include <vector>

#include "../../../native/cuda/launch.h"

extern "C" const sinter::DeviceLibrary* sinter_devices();

namespace sinter::cuda {

int find_kernel(const char*) { return -1; }
const DeviceKernel* kernel_number(int) { return nullptr; }
cudaError_t probe_kernels() { return fake.probe; }

namespace {

struct Place {
  Mark mark;
  const FakeStream* stream;
  uint64_t number;
};

/// Whether every mark is waited for in its own queue, and there behind what it stands for, however many came after it.
bool marks_keep_to_their_queues(DeviceLane& lane) {
  constexpr Queue kQueues[] = {Queue::upload, Queue::compute, Queue::download};
  std::vector<Place> places;
  for (uint64_t round = 0; round < 3000; round++) {
    // Not in step: a place in a ring that all shared would belong to one queue after the other.
    const Queue queue = kQueues[round * round % 7 % 3];
    auto* const stream = static_cast<FakeStream*>(lane.stream(queue));
    Mark mark = 0;
    if (lane.mark(queue, mark) != DeviceStatus::ok) return false;
    places.push_back({mark, stream, stream->queued});
  }
  for (const Place& place : places) {
    for (const bool blocks : {false, true}) {
      const DeviceStatus status = blocks ? lane.reach(place.mark) : lane.wait(Queue::compute, place.mark);
      if (status != DeviceStatus::ok) return false;
      if (fake.waited.stream != place.stream || fake.waited.place < place.number) return false;
    }
  }
  return true;
}

void tell_refusals(const DeviceLibrary& library) {
  for (const cudaError_t error : {cudaErrorNoKernelImageForDevice, cudaErrorInvalidDeviceFunction,
                                  cudaErrorJitCompilerNotFound, cudaErrorUnsupportedPtxVersion}) {
    fake.probe = error;
    std::printf("refused %d: %s\n", error, library.open(0) == nullptr ? library.absence : "opened");
  }
  fake.probe = cudaSuccess;
}

void tell_free(const DeviceLibrary& library) {
  // Devices are opened once, so that each kind has a number of its own.
  for (const int integrated : {0, 1}) {
    fake.integrated = integrated;
    DeviceFacts facts{};
    library.open(integrated)->facts(facts);
    std::printf("free %d: %" PRIu64 " of %" PRIu64 "\n", integrated, facts.free, facts.memory);
  }
}

void tell_errors_left(Device& device) {
  fake.release = cudaErrorInvalidValue;
  void* memory = nullptr;
  device.allocate(1, &memory);
  device.release(memory);
  std::printf("left by memory: %d\n", cudaGetLastError());
  device.allocate_pinned(1, &memory);
  device.release_pinned(memory);
  std::printf("left by pinned memory: %d\n", cudaGetLastError());
  DeviceLane* lane = nullptr;
  device.create_lane(&lane);
  fake.synchronise = cudaErrorInvalidValue;
  device.release(lane);
  std::printf("left by a lane: %d\n", cudaGetLastError());
}

}  // namespace
}  // namespace sinter::cuda

int main() {
  using namespace sinter::cuda;
  const sinter::DeviceLibrary& library = *sinter_devices();
  tell_refusals(library);
  tell_free(library);
  sinter::Device& device = *library.open(0);
  sinter::DeviceLane* lane = nullptr;
  device.create_lane(&lane);
  std::printf("marks: %s\n", marks_keep_to_their_queues(*lane) ? "keep to their queues" : "are mixed up");
  device.release(lane);
  tell_errors_left(device);
  return 0;
}
