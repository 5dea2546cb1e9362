// From JavaScript to the library for accelerators and back. The types are those of src/native.ts. N-API glue only.
#pragma once

#include <napi.h>

#include "../device/library.h"
#include "../device/pipeline.h"

namespace sinter {

/// `NativeDevices`: what the library offers, or why it offers nothing.
Napi::Value devices_of(Napi::Env env, const FoundLibrary& found);

/// `NativeTransfers` of one device. Throws Failure DEVICE_FAILED.
Napi::Value transfers_of(Napi::Env env, const FoundLibrary& found, int index);

/// Throws Failure BAD_ARGUMENT.
DeviceOptions read_device_options(const Napi::Object& from);

}  // namespace sinter
