// What kernels use of CUDA. Under SINTER_EMULATE the same sources are compiled for the host, where the threads of a block
// take turns (emulate/simt.h): that is how their logic is tested on machines without a GPU.
#pragma once

#include <cstdint>

#if defined(SINTER_EMULATE)

#include "emulate/simt.h"

#define SINTER_DEVICE inline __attribute__((always_inline))

#else

#include <cuda_runtime.h>

#define SINTER_DEVICE __device__ __forceinline__

#if defined(__CUDACC__)

namespace sinter::cuda {

/// Whether the device's code takes parameters of the sizes that they have here: two compilers laid them out.
template <class... Parameters>
bool parameters_agree([[maybe_unused]] void (*kernel)(Parameters...)) {
#if CUDART_VERSION >= 13000
  const size_t sizes[] = {sizeof(Parameters)..., 0};
  for (size_t i = 0; i < sizeof...(Parameters); i++) {
    size_t offset = 0;
    size_t size = 0;
    const bool told = cudaFuncGetParamInfo(reinterpret_cast<const void*>(kernel), i, &offset, &size) == cudaSuccess;
    if (told && size != sizes[i]) return false;
  }
  cudaGetLastError();
#endif
  return true;
}

/// Queues a kernel. @returns what the launch said.
template <class... Parameters, class... Arguments>
cudaError_t launch(void (*kernel)(Parameters...), unsigned blocks, unsigned threads, cudaStream_t stream,
                   const Arguments&... arguments) {
  // Asked once: kernels with the same types of parameters have the same sizes.
  static const bool agree = parameters_agree(kernel);
  if (!agree) return cudaErrorInvalidDeviceFunction;
  kernel<<<blocks, threads, 0, stream>>>(arguments...);
  return cudaGetLastError();
}

}  // namespace sinter::cuda

#endif
#endif

#if defined(__CUDACC__) || defined(SINTER_EMULATE)

namespace sinter::cuda {

constexpr unsigned kWarp = 32;
constexpr unsigned kAllLanes = 0xFFFFFFFFu;

/// Makes the compiler take a value for a new one, so that it keeps nothing which it computed from it before.
SINTER_DEVICE void compute_anew([[maybe_unused]] float& value) {
#if !defined(SINTER_EMULATE)
  asm volatile("" : "+f"(value));
#endif
}
SINTER_DEVICE void compute_anew([[maybe_unused]] uint32_t& value) {
#if !defined(SINTER_EMULATE)
  asm volatile("" : "+r"(value));
#endif
}

/// A value that does not matter: it takes no instruction to make.
SINTER_DEVICE void leave_open(uint32_t& value) {
#if defined(SINTER_EMULATE)
  value = 0xDEADBEEFu;
#else
  asm volatile("" : "=r"(value));
#endif
}

/// Bits of both halves, or of a value of 32 bits, ored over a warp; all lanes call, all get it.
SINTER_DEVICE uint64_t warp_or(uint64_t bits) {
  const uint32_t low = __reduce_or_sync(kAllLanes, static_cast<uint32_t>(bits));
  const uint32_t high = __reduce_or_sync(kAllLanes, static_cast<uint32_t>(bits >> 32));
  return static_cast<uint64_t>(high) << 32 | low;
}

/// The sum over a warp in the order of the fixed tree; lane 0 has it.
SINTER_DEVICE double warp_fold(double value) {
  for (unsigned step = kWarp / 2; step > 0; step /= 2) value += __shfl_down_sync(kAllLanes, value, step);
  return value;
}

}  // namespace sinter::cuda

#endif
