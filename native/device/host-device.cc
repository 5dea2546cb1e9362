// A library of device.h in host memory, for tests: its passes are the CPU's, its faults those that it is told of.

#include <algorithm>
#include <string>

#include "host-device.h"

#ifndef SINTER_VERSION
#error "SINTER_VERSION comes from package.json through CMakeLists.txt"
#endif

namespace sinter {
namespace {

constexpr int kMostDevices = 8;

HostDevice& device_at(int index) {
  // Never destroyed: lanes may be at work when the process ends.
  static HostDevice* const devices[kMostDevices] = {new HostDevice(0), new HostDevice(1), new HostDevice(2),
                                                    new HostDevice(3), new HostDevice(4), new HostDevice(5),
                                                    new HostDevice(6), new HostDevice(7)};
  return *devices[index];
}

}  // namespace

extern "C" {

/// What it is to do from now on; counts begin anew.
__attribute__((visibility("default"))) void sinter_host_device_tell(const char* text) {
  orders().tell(text);
  for (int i = 0; i < kMostDevices; i++) device_at(i).reset();
}

/// Of one device since it was told: most bytes of device memory and of pinned memory, bytes of device memory now, calls,
/// passes.
__attribute__((visibility("default"))) void sinter_host_device_count(int index, uint64_t* counts) {
  HostDevice& device = device_at(index);
  counts[0] = device.memory.most();
  counts[1] = device.pinned.most();
  counts[2] = device.memory.bytes();
  counts[3] = device.calls;
  counts[4] = device.passes;
}

__attribute__((visibility("default"))) const DeviceLibrary* sinter_devices() {
  static DeviceLibrary library;
  static std::string version;
  static std::string absence;
  version = orders().text("version", SINTER_VERSION);
  absence = orders().text("absent");
  library.interface = static_cast<uint32_t>(orders().number("interface", kDeviceInterface));
  library.version = version.c_str();
  library.count =
      absence.empty() ? static_cast<int>(std::min<uint64_t>(orders().number("devices", 1), kMostDevices)) : 0;
  library.absence = absence.empty() ? nullptr : absence.c_str();
  library.open = [](int index) -> Device* { return &device_at(index); };
  library.runtime = 12040;
  return &library;
}
}

}  // namespace sinter
