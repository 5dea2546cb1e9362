// From JavaScript values to numbers and text and back, with one way to refuse them.
#pragma once

#include <napi.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "../io/error.h"
#include "../numeric/dtype.h"

namespace sinter {

[[noreturn]] inline void bad_argument(const std::string& message) { throw Failure("BAD_ARGUMENT", message); }

/// A whole number in [0, 2^53).
inline uint64_t whole(const Napi::Value& value, const char* name) {
  const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : -1.0;
  if (!(number >= 0.0) || number >= 9007199254740992.0 || number != std::floor(number)) {
    bad_argument(std::string(name) + " must be a whole number of at least 0");
  }
  return static_cast<uint64_t>(number);
}

inline double real(const Napi::Value& value, const char* name) {
  if (!value.IsNumber()) bad_argument(std::string(name) + " must be a number");
  return value.As<Napi::Number>().DoubleValue();
}

inline std::string text(const Napi::Value& value, const char* name) {
  if (!value.IsString()) bad_argument(std::string(name) + " must be text");
  return value.As<Napi::String>().Utf8Value();
}

inline Napi::Object object(const Napi::Value& value) {
  if (!value.IsObject()) bad_argument("an object is missing");
  return value.As<Napi::Object>();
}

inline Dtype dtype_of(const Napi::Value& value) {
  const std::string name = text(value, "dtype");
  for (size_t i = 0; i < std::size(kDtypeNames); i++) {
    if (name == kDtypeNames[i]) return static_cast<Dtype>(i);
  }
  bad_argument("no dtype is named " + name);
}

/// A list of numbers, or a Float64Array.
inline std::vector<double> numbers(const Napi::Value& value) {
  if (value.IsTypedArray() && value.As<Napi::TypedArray>().TypedArrayType() == napi_float64_array) {
    const Napi::Float64Array array = value.As<Napi::Float64Array>();
    return {array.Data(), array.Data() + array.ElementLength()};
  }
  if (!value.IsArray()) bad_argument("params must be a list");
  const Napi::Array array = value.As<Napi::Array>();
  std::vector<double> list;
  for (uint32_t i = 0; i < array.Length(); i++) {
    const Napi::Value number = array.Get(i);
    if (!number.IsNumber()) bad_argument("params must be numbers");
    list.push_back(number.As<Napi::Number>().DoubleValue());
  }
  return list;
}

inline Napi::Value float64s(Napi::Env env, const std::vector<double>& values) {
  Napi::Float64Array array = Napi::Float64Array::New(env, values.size());
  std::copy(values.begin(), values.end(), array.Data());
  return array;
}

inline void check_range(uint64_t offset, uint64_t bytes, uint64_t size, const char* name) {
  if (bytes > size || offset > size - bytes) {
    bad_argument(std::to_string(bytes) + " bytes at " + std::to_string(offset) + " lie beyond the end of the " + name +
                 " of " + std::to_string(size) + " bytes");
  }
}

}  // namespace sinter
