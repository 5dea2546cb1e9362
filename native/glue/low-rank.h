// From JavaScript values to a truncated decomposition and back. N-API glue only.
#pragma once

#include <napi.h>

#include "../linear/low-rank.h"
#include "handles.h"

namespace sinter {

/// `decompose` of src/native.ts. Throws Failure BAD_ARGUMENT.
LowRankTask read_low_rank(const Napi::Object& from, const Handles& handles);

Napi::Value low_rank_of(Napi::Env env, const LowRankResult& found);

}  // namespace sinter
