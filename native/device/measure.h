// How fast bytes get to a device and back, measured: for `sinter doctor --measure`.
#pragma once

#include "device.h"

namespace sinter {

/// Bytes a second.
struct TransferRates {
  double upload;
  double download;
  /// From one part of the host's memory to another, on one thread.
  double copy;
};

/// Takes a tenth of a second or so, and 64 MiB of each kind of memory. Throws DeviceTrouble.
TransferRates measure_transfers(Device& device);

}  // namespace sinter
