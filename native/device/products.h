// Products of a forward pass on a device: activations come from host memory and go back there, weights are sent as they
// are stored, a slab of rows at a time, widened on the device and multiplied by cuBLAS in float32.
#pragma once

#include <cstdint>
#include <memory>

#include "../linear/gemm.h"
#include "cublas.h"
#include "device.h"

namespace sinter {

class DeviceProducts {
 public:
  /// `memory`: bytes of the device that may be taken. Throws Failure DEVICE_FAILED.
  DeviceProducts(Device& device, const Cublas& library, uint64_t memory);
  ~DeviceProducts();
  DeviceProducts(const DeviceProducts&) = delete;
  DeviceProducts& operator=(const DeviceProducts&) = delete;

  /// out = keep out + in W^T. `weight` is W as it is stored, row-major without gaps; `in`: count x weight.columns, without
  /// gaps; `out`: count x weight.rows, its rows `stride` floats apart. The weight is copied by `team`. Throws Failure
  /// DEVICE_FAILED: `out` then holds the products of some tokens and is as it was for the others.
  void multiply(Team& team, const Matrix& weight, const float* in, uint64_t count, float* out, uint64_t stride,
                float keep);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sinter
