// Matrix products of NVIDIA's library, which is opened at run time where it is there. Declared here by what its manual
// says, so that no header of it is needed to build: https://docs.nvidia.com/cuda/cublas/
#pragma once

#include <string>

namespace sinter {

/// The functions that are used, of any version from 11 on. Status 0 is success.
struct Cublas {
  using Handle = void*;

  int (*create)(Handle* handle);
  int (*destroy)(Handle handle);
  int (*set_stream)(Handle handle, void* stream);
  /// Column-major: C = alpha op(A) op(B) + beta C, op 0 as it is, 1 transposed; C is m x n, the inner dimension k.
  int (*sgemm)(Handle handle, int op_a, int op_b, int m, int n, int k, const float* alpha, const float* a, int lda,
               const float* b, int ldb, const float* beta, float* c, int ldc);

  /// What was opened.
  std::string path;
};

/// The library, opened once; null with the reason in `absence`.
/// @param file its file; empty: the newest that the system finds.
/// @param newer what this gave for the same file, and does not work: the driver may be too old for it. The next older one.
const Cublas* cublas(const std::string& file, std::string& absence, const Cublas* newer = nullptr);

}  // namespace sinter
