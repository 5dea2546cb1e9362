#include "device.h"

#include <unistd.h>

#include <cstdio>
#include <memory>
#include <new>

namespace sinter::cuda {
DeviceStatus CudaDevice::open() {
  cudaError_t error = cudaGetDeviceProperties(&properties_, number_);
  if (error != cudaSuccess) return status_of(error, "opening the device");
  error = cudaSetDevice(number_);
  if (error == cudaSuccess) error = probe_kernels();
  const DeviceStatus status = status_of(error, "opening the device");
  const auto lacks = [this](const char* what) {
    return say(DeviceStatus::failed, "%s has compute capability %d.%d, for which %s", properties_.name,
               properties_.major, properties_.minor, what);
  };
  switch (error) {
    case cudaErrorNoKernelImageForDevice:
    case cudaErrorInvalidDeviceFunction:
      return lacks("this build has no code");
    case cudaErrorJitCompilerNotFound:
      return lacks(
          "the NVIDIA driver has to compile this build's code: its libnvidia-ptxjitcompiler.so.1 is missing, as in "
          "containers that are given a part of the driver");
    case cudaErrorUnsupportedPtxVersion: {
      int version = 0;
      cudaDriverGetVersion(&version);
      const CudaVersion driver(version);
      cudaRuntimeGetVersion(&version);
      const CudaVersion runtime(version);
      char what[160];
      std::snprintf(
          what, sizeof(what),
          "the NVIDIA driver has to compile this build's code: it serves CUDA %d.%d, too old for code of %d.%d",
          driver.major, driver.minor, runtime.major, runtime.minor);
      return lacks(what);
    }
    default:
      return status;
  }
}

DeviceStatus CudaDevice::enter() { return status_of(cudaSetDevice(number_), "choosing the device"); }

DeviceStatus CudaDevice::facts(DeviceFacts& facts) {
  facts = {};
  cudaSetDevice(number_);
  size_t free = 0;
  size_t total = 0;
  const cudaError_t error = cudaMemGetInfo(&free, &total);
  if (error != cudaSuccess) return status_of(error, "asking the device");
  std::snprintf(facts.name, sizeof(facts.name), "%.*s", static_cast<int>(sizeof(facts.name) - 1), properties_.name);
  facts.memory = total;
  // Where device and host share their memory, what is free is the host's: it needs some of it for what it reads and writes.
  facts.free = properties_.integrated != 0 ? free / 2 : free;
  facts.major = properties_.major;
  facts.minor = properties_.minor;
  cudaDriverGetVersion(&facts.driver);
  cudaRuntimeGetVersion(&facts.runtime);
  // The kernel module through which cuFile reads past the host's memory.
  facts.direct_storage = access("/proc/driver/nvidia-fs/version", R_OK) == 0;
  return DeviceStatus::ok;
}

int CudaDevice::find(const char* kernel) { return find_kernel(kernel); }

DeviceStatus CudaDevice::allocate(uint64_t bytes, void** memory) {
  cudaSetDevice(number_);
  return status_of(cudaMalloc(memory, bytes), "allocating device memory");
}

void CudaDevice::release(void* memory) {
  cudaSetDevice(number_);
  cudaFree(memory);
  forget_error();
}

DeviceStatus CudaDevice::allocate_pinned(uint64_t bytes, void** memory) {
  cudaSetDevice(number_);
  const DeviceStatus status =
      status_of(cudaHostAlloc(memory, bytes, cudaHostAllocPortable), "allocating pinned memory");
  return status == DeviceStatus::out_of_memory ? say(status, "allocating pinned memory: out of host memory") : status;
}

void CudaDevice::release_pinned(void* memory) {
  cudaSetDevice(number_);
  cudaFreeHost(memory);
  forget_error();
}

DeviceStatus CudaDevice::create_lane(DeviceLane** lane) {
  auto made = std::unique_ptr<CudaLane>(
      new (std::nothrow) CudaLane(number_, static_cast<unsigned>(properties_.multiProcessorCount), marks_));
  if (made == nullptr) return say(DeviceStatus::out_of_memory, "making a lane: out of host memory");
  const DeviceStatus status = made->open();
  if (status == DeviceStatus::ok) *lane = made.release();
  return status;
}

void CudaDevice::release(DeviceLane* lane) { delete lane; }

}  // namespace sinter::cuda
