// From JavaScript values to ops and from their results back. The types are those of src/native.ts. N-API glue only.
#pragma once

#include <napi.h>

#include <memory>

#include "../engine/engine.h"
#include "handles.h"

namespace sinter {

/// An op without its place in a sink. Throws Failure BAD_ARGUMENT, as all of these.
std::shared_ptr<Op> read_op(const Napi::Object& from, const Handles& handles);

/// Where the op's tensor goes.
void read_output(const Napi::Object& from, Op& op, const Handles& handles);

/// An op that only measures its inputs: `compare` and `difference`.
std::shared_ptr<Op> read_measurement(const Napi::Object& from, const char* kernel, const Handles& handles);

/// A tensor of `count` elements with its layout and patches, to be read outside of ops: an op that is never queued.
std::shared_ptr<Op> read_tensor(const Napi::Object& from, uint64_t count, const Handles& handles);

/// `NativeResult`.
Napi::Value result_of(Napi::Env env, const Op& op);

/// The sums of an op that measures.
Napi::Value sums_of(Napi::Env env, const Op& op);

}  // namespace sinter
