#include "../../methods/task-vector.h"
#include "../kernel-of.h"

namespace sinter::cuda {

extern const DeviceKernels kDareKernels;
const DeviceKernels kDareKernels = device_kernels_of<DareLinear, DareTies>();

}  // namespace sinter::cuda
