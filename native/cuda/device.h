// One NVIDIA device.
#pragma once

#include "lane.h"

namespace sinter::cuda {

class CudaDevice final : public Device {
 public:
  explicit CudaDevice(int number) : number_(number) {}
  /// Once, before anything else. `failed` where this build has no code for the device.
  DeviceStatus open();

  DeviceStatus facts(DeviceFacts& facts) override;
  DeviceStatus enter() override;
  const char* message() override { return last_message(); }
  int find(const char* kernel) override;
  DeviceStatus allocate(uint64_t bytes, void** memory) override;
  void release(void* memory) override;
  DeviceStatus allocate_pinned(uint64_t bytes, void** memory) override;
  void release_pinned(void* memory) override;
  DeviceStatus create_lane(DeviceLane** lane) override;
  void release(DeviceLane* lane) override;

 private:
  const int number_;
  cudaDeviceProp properties_{};
  Marks marks_;
};

}  // namespace sinter::cuda
