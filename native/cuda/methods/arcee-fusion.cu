#include "../../methods/arcee-fusion.h"
#include "../kernel-of.h"

namespace sinter::cuda {

extern const DeviceKernels kArceeFusionKernels;
const DeviceKernels kArceeFusionKernels = device_kernels_of<ArceeFusion>();

}  // namespace sinter::cuda
