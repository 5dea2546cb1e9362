// libsinter_cuda: what the addon finds when it opens this library.

#include <cstdio>
#include <memory>
#include <mutex>
#include <vector>

#include "device.h"

namespace sinter::cuda {
namespace {

char absence[512] = "";

/// Large kernel parameters need 12.1; beyond that a driver serves all runtimes of its own major version, and older ones.
bool driver_serves(int driver, int runtime) { return driver >= 12010 && driver / 1000 >= runtime / 1000; }

int runtime_version() {
  int runtime = 0;
  cudaRuntimeGetVersion(&runtime);
  return runtime;
}

/// Devices that can be asked, or 0 with the reason.
int count_devices() {
  const int runtime = runtime_version();
  int driver = 0;
  cudaDriverGetVersion(&driver);
  if (driver == 0) {
    std::snprintf(absence, sizeof(absence), "no NVIDIA driver is installed");
    return 0;
  }
  if (!driver_serves(driver, runtime)) {
    const CudaVersion has(driver);
    const CudaVersion least(runtime / 1000 * 1000 > 12010 ? runtime / 1000 * 1000 : 12010);
    std::snprintf(absence, sizeof(absence),
                  "the NVIDIA driver serves CUDA %d.%d, this build needs a driver for CUDA %d.%d or newer", has.major,
                  has.minor, least.major, least.minor);
    return 0;
  }
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error == cudaSuccess && count > 0) return count;
  cudaGetLastError();
  if (error == cudaSuccess || error == cudaErrorNoDevice) {
    std::snprintf(absence, sizeof(absence), "the NVIDIA driver finds no device");
  } else {
    std::snprintf(absence, sizeof(absence), "the NVIDIA driver does not answer: %s", cudaGetErrorString(error));
  }
  return 0;
}

Device* open_device(int index) {
  static std::mutex mutex;
  static std::vector<std::unique_ptr<CudaDevice>> open;
  const std::lock_guard lock(mutex);
  if (index < 0) return nullptr;
  if (open.size() <= static_cast<size_t>(index)) open.resize(static_cast<size_t>(index) + 1);
  std::unique_ptr<CudaDevice>& device = open[static_cast<size_t>(index)];
  if (device != nullptr) return device.get();
  auto made = std::make_unique<CudaDevice>(index);
  if (made->open() != DeviceStatus::ok) {
    std::snprintf(absence, sizeof(absence), "%s", last_message());
    return nullptr;
  }
  device = std::move(made);
  return device.get();
}

}  // namespace
}  // namespace sinter::cuda

extern "C" __attribute__((visibility("default"))) const sinter::DeviceLibrary* sinter_devices() {
  static const sinter::DeviceLibrary library{sinter::kDeviceInterface,      SINTER_VERSION,
                                             sinter::cuda::count_devices(), sinter::cuda::absence,
                                             sinter::cuda::open_device,     sinter::cuda::runtime_version()};
  return &library;
}
