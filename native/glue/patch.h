// From JavaScript values to what adapters change in an op's inputs. N-API glue only.
#pragma once

#include <napi.h>

#include "../engine/engine.h"
#include "handles.h"

namespace sinter {

/// `patches` of an op: for each input that has some, those patches in the order of their rows. To be read after inputs and
/// gathered rows. Throws Failure BAD_ARGUMENT.
void read_patches(const Napi::Object& from, Op& op, const Handles& handles);

}  // namespace sinter
