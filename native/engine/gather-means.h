// The pass before those of the method: the means that gathered inputs ask for, of all of their rows.
#pragma once

#include "engine.h"

namespace sinter {

/// @returns the tasks of the pass, each with its own place; 0 where no mean is wanted.
uint32_t begin_means(Op& op);
void add_to_means(Op& op, uint32_t task);
/// After the last task: `RowGather::mean` of each input that wants it.
void finish_means(Op& op);

}  // namespace sinter
