// Finds and opens the library for accelerators. It is never closed: its devices may still be at work when the process
// ends.
#pragma once

#include <string>
#include <vector>

#include "device.h"

namespace sinter {

/// What keeps accelerators from being used.
enum class Lack {
  none,
  /// There is no library.
  library,
  /// It is not of this build, or does not load.
  version,
  /// The library has no device to offer: no driver, one that is too old, or no device.
  device,
};

struct FoundLibrary {
  Lack lack = Lack::library;
  /// One line that says so, without what to do about it.
  std::string message;
  /// The file that was opened, or would have been.
  std::string path;
  /// Null but for `Lack::none`.
  const DeviceLibrary* library = nullptr;
  /// What it was built with, as CUDA numbers versions; 0 where it is not there or not of this build.
  int runtime = 0;
};

/// @param path the library's file; empty: libsinter_cuda.so beside the addon, else beside the executable.
FoundLibrary find_device_library(const std::string& path);

/// Opens a device of the library, the first time it is asked for. Null with `reason` where that fails.
Device* open_device(const DeviceLibrary& library, int index, std::string& reason);

/// "out of memory", "failed" or "lost", with what the device says of it.
std::string status_text(Device& device, DeviceStatus status);

}  // namespace sinter
