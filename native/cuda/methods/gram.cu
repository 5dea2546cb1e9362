#include "../../methods/karcher.h"
#include "../../methods/multislerp.h"
#include "../../methods/nuslerp.h"
#include "../kernel-of.h"

namespace sinter::cuda {

extern const DeviceKernels kGramKernels;
const DeviceKernels kGramKernels = device_kernels_of<NuSlerp, MultiSlerp, Karcher>();

}  // namespace sinter::cuda
