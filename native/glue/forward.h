// From JavaScript to a forward pass and back. The types are `NativeForward` and its parts in src/native.ts.
#pragma once

#include <napi.h>

#include <atomic>
#include <memory>
#include <optional>

#include "../device/device.h"
#include "../forward/decoder.h"
#include "../io/error.h"
#include "../io/source.h"
#include "handles.h"

namespace sinter {

/// One forward pass under way.
struct ForwardJob {
  Decoder decoder;
  Batch batch;
  States states = States::none;
  bool log_probabilities = false;
  std::atomic<bool> cancelled{false};
  /// What multiplies with the weights; null: the CPU.
  Device* device = nullptr;
  std::string device_name;
  /// The file of cuBLAS; empty: the system's.
  std::string cublas_file;
  /// Bytes of the device's memory.
  uint64_t device_memory = 0;
  /// Bytes of pinned host memory; 0: as many as make copies fast.
  uint64_t device_pinned = 0;
  /// A device that fails is an error; else the CPU begins anew.
  bool strict = false;
  ForwardResult result;
  /// Why the device did not do it.
  std::string device_failure;
  std::optional<Failure> failure;

  void run(unsigned threads, const std::string& target);

 private:
  /// @returns whether the pass ended on the device.
  bool run_on_device(Team& team, const ProductKernels& products);
};

/// @param kernels read the weights that adapters change. Throws Failure BAD_ARGUMENT where shapes, handles or ids do not fit
/// together: whatever this accepts reads and writes within its bounds.
std::shared_ptr<ForwardJob> read_forward(const Napi::Object& from, const Handles& handles, const KernelSet& kernels);

Napi::Value forward_result(Napi::Env env, const ForwardJob& job);

}  // namespace sinter
