// From JavaScript values to inputs whose rows lie in another order than their file's. N-API glue only.
#pragma once

#include <napi.h>

#include "../engine/engine.h"
#include "handles.h"

namespace sinter {

/// The rows of gathered inputs. To be read after all inputs: their sources follow those of the inputs. Throws Failure
/// BAD_ARGUMENT.
void read_gathers(const Napi::Object& from, Op& op, const Handles& handles);

}  // namespace sinter
