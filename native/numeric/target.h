// Marks that let one source serve every target.
//
// Each translation unit of kernels is compiled several times, once per instruction set, with SINTER_TARGET set to its
// name. Everything inline that kernels use lives in an inline namespace of that name: otherwise the linker could keep
// an AVX-512 copy of a shared inline function and run it on a machine without AVX-512.
#pragma once

#if defined(__CUDACC__)
#define SINTER_HD __host__ __device__ __forceinline__
#else
#define SINTER_HD inline __attribute__((always_inline))
#endif

#ifndef SINTER_TARGET
#define SINTER_TARGET generic
#endif

#define SINTER_KERNEL_NAMESPACE_BEGIN \
  namespace sinter {                  \
  inline namespace SINTER_TARGET {
#define SINTER_KERNEL_NAMESPACE_END \
  }                                 \
  }
