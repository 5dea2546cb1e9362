// From JavaScript to the library for accelerators and back. The types are those of src/native.ts. N-API glue only.
#pragma once

#include <napi.h>

#include <optional>
#include <string>
#include <vector>

#include "../device/library.h"
#include "../device/pipeline.h"

namespace sinter {

/// What is to be found out of devices. Opening one takes memory there, and fails where another process has it to itself.
struct DeviceQuestion {
  /// Those to open; nothing: all.
  std::optional<std::vector<double>> wanted;
  /// cuFile's file, which is opened, too (empty: the one that the system finds); nothing: it is left alone.
  std::optional<std::string> cufile;
};

/// Throws Failure BAD_ARGUMENT.
DeviceQuestion read_device_question(const Napi::Value& wanted, const Napi::Value& cufile);

/// `NativeDevices`: what the library offers, or why it offers nothing.
Napi::Value devices_of(Napi::Env env, const FoundLibrary& found, const DeviceQuestion& question);

/// `NativeTransfers` of one device. Throws Failure DEVICE_FAILED.
Napi::Value transfers_of(Napi::Env env, const FoundLibrary& found, int index);

/// Throws Failure BAD_ARGUMENT.
DeviceOptions read_device_options(const Napi::Object& from);

}  // namespace sinter
