// How fast the kernels are, beside the device's own copies.
#pragma once

#include "memory.h"

namespace sinter::cuda {

/// Prints a table: medians of CUDA events over inputs that take turns, so that none is still in the L2 cache.
void measure_kernels(Device& device, DeviceLane& lane);

}  // namespace sinter::cuda
