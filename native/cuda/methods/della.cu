#include "../../methods/task-vector.h"
#include "../kernel-of.h"

namespace sinter::cuda {

extern const DeviceKernels kDellaKernels;
const DeviceKernels kDellaKernels = device_kernels_of<DellaLinear, Della>();

}  // namespace sinter::cuda
