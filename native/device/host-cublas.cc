// cuBLAS's functions in host memory, for tests: beside the devices of host-device.cc, whose queues are its streams.

#include <cstdint>

#include "host-queue.h"

namespace {

struct HostBlas {
  sinter::HostQueue* queue = nullptr;
};

}  // namespace

#define SINTER_EXPORT extern "C" __attribute__((visibility("default")))

SINTER_EXPORT int cublasCreate_v2(void** handle) {
  *handle = new HostBlas();
  return 0;
}

SINTER_EXPORT int cublasDestroy_v2(void* handle) {
  delete static_cast<HostBlas*>(handle);
  return 0;
}

SINTER_EXPORT int cublasSetStream_v2(void* handle, void* stream) {
  static_cast<HostBlas*>(handle)->queue = static_cast<sinter::HostQueue*>(stream);
  return 0;
}

SINTER_EXPORT int cublasSgemm_v2(void* handle, int op_a, int op_b, int m, int n, int k, const float* alpha,
                                 const float* a, int lda, const float* b, int ldb, const float* beta, float* c,
                                 int ldc) {
  static_cast<HostBlas*>(handle)->queue->push([=, scale = *alpha, keep = *beta] {
    for (int column = 0; column < n; column++) {
      for (int row = 0; row < m; row++) {
        double sum = 0;
        for (int i = 0; i < k; i++) {
          const float left = op_a == 0 ? a[row + int64_t{i} * lda] : a[i + int64_t{row} * lda];
          const float right = op_b == 0 ? b[i + int64_t{column} * ldb] : b[column + int64_t{i} * ldb];
          sum += static_cast<double>(left) * right;
        }
        float& to = c[row + int64_t{column} * ldc];
        to = static_cast<float>(scale * sum) + (keep == 0.0f ? 0.0f : keep * to);
      }
    }
  });
  return 0;
}
