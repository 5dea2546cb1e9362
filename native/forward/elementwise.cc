#include "elementwise.h"

namespace sinter {

#if defined(__x86_64__)

extern const ElementwiseKernels kElementwiseKernels_x86_64_v2;
extern const ElementwiseKernels kElementwiseKernels_x86_64_v3;
extern const ElementwiseKernels kElementwiseKernels_x86_64_v4;

const ElementwiseKernels& elementwise_kernels(const std::string& target) {
  if (target == "x86-64-v4") return kElementwiseKernels_x86_64_v4;
  if (target == "x86-64-v3") return kElementwiseKernels_x86_64_v3;
  return kElementwiseKernels_x86_64_v2;
}

#else

extern const ElementwiseKernels kElementwiseKernels_arm64;

const ElementwiseKernels& elementwise_kernels(const std::string&) { return kElementwiseKernels_arm64; }

#endif

}  // namespace sinter
