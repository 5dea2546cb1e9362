#include "../../methods/linear.h"
#include "../../methods/nearswap.h"
#include "../../methods/slerp.h"
#include "../../methods/task-vector.h"
#include "../kernel-of.h"

namespace sinter::cuda {

extern const DeviceKernels kLinearKernels;
const DeviceKernels kLinearKernels = device_kernels_of<Linear, Slerp, NearSwap, TaskArithmetic>();

}  // namespace sinter::cuda
