// From JavaScript to rows of embeddings and routing vectors, and back.
#pragma once

#include <napi.h>

#include "../io/source.h"

namespace sinter {

/// `gatherRows` of src/native.ts. Throws Failure BAD_ARGUMENT and SOURCE_FAILED.
Napi::Value gather_rows_of(Napi::Env env, const Napi::Object& from, const Source& source);

/// `route` of src/native.ts. Throws Failure BAD_ARGUMENT.
Napi::Value route_of(Napi::Env env, const Napi::Object& from);

}  // namespace sinter
