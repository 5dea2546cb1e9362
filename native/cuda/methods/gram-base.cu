#include "../../methods/model-stock.h"
#include "../../methods/multislerp.h"
#include "../../methods/nuslerp.h"
#include "../kernel-of.h"

namespace sinter::cuda {

extern const DeviceKernels kGramBaseKernels;
const DeviceKernels kGramBaseKernels = device_kernels_of<NuSlerpBase, MultiSlerpBase, ModelStock>();

}  // namespace sinter::cuda
