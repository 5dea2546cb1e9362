#include "../../methods/ram.h"
#include "../kernel-of.h"

namespace sinter::cuda {

extern const DeviceKernels kRamKernels;
const DeviceKernels kRamKernels = device_kernels_of<Ram, RamPlus>();

}  // namespace sinter::cuda
