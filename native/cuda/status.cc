#include "status.h"

#include <cstdarg>
#include <cstdio>

namespace sinter::cuda {
namespace {

thread_local char message[512] = "";

}  // namespace

const char* last_message() { return message; }

DeviceStatus say(DeviceStatus status, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(message, sizeof(message), format, arguments);
  va_end(arguments);
  return status;
}

void forget_error() { cudaGetLastError(); }

DeviceStatus status_of(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return DeviceStatus::ok;
  // Takes the error away, so that it is not met again by a call that has nothing to do with it.
  cudaGetLastError();
  if (error == cudaErrorMemoryAllocation) return say(DeviceStatus::out_of_memory, "%s: out of device memory", what);
  // What cannot be taken away shows in any call that asks the device.
  size_t free = 0;
  size_t total = 0;
  const bool lost = cudaMemGetInfo(&free, &total) != cudaSuccess;
  if (lost) cudaGetLastError();
  return say(lost ? DeviceStatus::lost : DeviceStatus::failed, "%s: %s (%s)", what, cudaGetErrorString(error),
             cudaGetErrorName(error));
}

}  // namespace sinter::cuda
