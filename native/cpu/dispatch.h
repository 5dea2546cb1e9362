// Which of the compiled kernel sets this CPU can run.
#pragma once

#include <string>
#include <vector>

#include "../engine/kernel.h"

namespace sinter {

/// All sets that this CPU runs, lowest first; never empty.
const std::vector<const KernelSet*>& runnable_kernels();

/// The highest of them.
const KernelSet& best_kernels();

/// The set of that name, if this CPU runs it.
const KernelSet* find_kernels(const std::string& target);

}  // namespace sinter
