// From JavaScript to one matrix product in memory and back, and the peak that products are measured against.
#pragma once

#include <napi.h>

#include <string>

namespace sinter {

/// `multiply` of src/native.ts. Throws Failure BAD_ARGUMENT.
Napi::Value multiply(Napi::Env env, const Napi::Object& from, unsigned threads, const std::string& target);

/// `peakRate` of src/native.ts: float32 operations a second.
double peak_rate(unsigned threads, const std::string& target);

}  // namespace sinter
