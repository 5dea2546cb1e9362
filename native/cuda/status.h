// What the runtime says, as the addon wants to hear it.
#pragma once

#include "../device/device.h"
#include "simt.h"

namespace sinter::cuda {

/// As people write it: 13.0 for 13000.
struct CudaVersion {
  int major, minor;
  explicit CudaVersion(int version) : major(version / 1000), minor(version % 1000 / 10) {}
};

/// Of the calling thread: what its last call that was not `ok` had to say.
const char* last_message();
DeviceStatus say(DeviceStatus status, const char* format, ...) __attribute__((format(printf, 2, 3)));

/// After calls whose failure is nobody's: else this thread's next launch would tell it as its own.
void forget_error();

/// The status of a call that was to do `what`. After most failures the device goes on; after some (a kernel that read
/// what is not its own, an error of the hardware) every later call of the process fails: then it is `lost`.
DeviceStatus status_of(cudaError_t error, const char* what);

}  // namespace sinter::cuda
