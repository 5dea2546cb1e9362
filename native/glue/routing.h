// From JavaScript to rows of embeddings and routing vectors, and back.
#pragma once

#include <napi.h>

#include "../engine/kernel.h"
#include "handles.h"

namespace sinter {

/// `gatherRows` of src/native.ts. Throws Failure BAD_ARGUMENT and SOURCE_FAILED.
Napi::Value gather_rows_of(Napi::Env env, const Napi::Object& from, const Handles& handles, const KernelSet& kernels);

/// `route` of src/native.ts. Throws Failure BAD_ARGUMENT.
Napi::Value route_of(Napi::Env env, const Napi::Object& from);

}  // namespace sinter
