#include "../../methods/sce.h"
#include "../kernel-of.h"

namespace sinter::cuda {

extern const DeviceKernels kSceKernels;
const DeviceKernels kSceKernels = device_kernels_of<Sce>();

}  // namespace sinter::cuda
