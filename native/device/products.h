// Products of a forward pass on a device: activations come from host memory and go back there, weights are sent as they
// are stored, a slab of rows at a time, widened on the device and multiplied by cuBLAS in float32.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "../linear/gemm.h"
#include "device.h"

namespace sinter {

class DeviceProducts {
 public:
  /// @param cublas its file; empty: the newest that the system finds and that works on the device.
  /// @param memory bytes of the device that are taken at most, with what cuBLAS takes by itself.
  /// @param pinned bytes of pinned host memory, at most; 0: as many as make copies fast.
  /// Throws Failure DEVICE_FAILED, also where that is too little.
  DeviceProducts(Device& device, const std::string& cublas, uint64_t memory, uint64_t pinned);
  ~DeviceProducts();
  DeviceProducts(const DeviceProducts&) = delete;
  DeviceProducts& operator=(const DeviceProducts&) = delete;

  /// out = keep out + in W^T. `weight` is W as it is stored, row-major without gaps; `in`: count x weight.columns, without
  /// gaps; `out`: count x weight.rows, its rows `stride` floats apart. What goes there and back is copied by `team`. Throws
  /// Failure DEVICE_FAILED: `out` then holds the products of some tokens and is as it was for the others.
  void multiply(Team& team, const Matrix& weight, const float* in, uint64_t count, float* out, uint64_t stride,
                float keep);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sinter
