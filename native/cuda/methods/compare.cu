#include "../../methods/compare.h"
#include "../kernel-of.h"

namespace sinter::cuda {

extern const DeviceKernels kCompareKernels;
const DeviceKernels kCompareKernels = device_kernels_of<Compare>();

}  // namespace sinter::cuda
