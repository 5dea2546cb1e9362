#include "../../methods/task-vector.h"
#include "../kernel-of.h"

namespace sinter::cuda {

extern const DeviceKernels kBreadcrumbsKernels;
const DeviceKernels kBreadcrumbsKernels = device_kernels_of<Breadcrumbs, BreadcrumbsTies>();

}  // namespace sinter::cuda
