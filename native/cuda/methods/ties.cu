#include "../../methods/task-vector.h"
#include "../kernel-of.h"

namespace sinter::cuda {

extern const DeviceKernels kTiesKernels;
const DeviceKernels kTiesKernels = device_kernels_of<Ties, TiesCount>();

}  // namespace sinter::cuda
