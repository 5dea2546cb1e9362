// Runs a case on the CPU and on the device, pass by pass, and compares every bit of what comes out.
#pragma once

#include "case.h"
#include "memory.h"

namespace sinter::cuda {

/// What is wrong with the device's answers, a line for each; empty where all is right. Each pass works on what the CPU
/// found before, so that a failure shows where it is made. `pieces`: slices that the tensor is cut into, where it is
/// large enough.
std::vector<std::string> check_case(Device& device, DeviceLane& lane, Case& made, int pieces);

}  // namespace sinter::cuda
