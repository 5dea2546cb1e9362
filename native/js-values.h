// JavaScript values as native ones; what does not fit is a Failure BAD_ARGUMENT. N-API glue only.
#pragma once

#include <napi.h>

#include <cmath>
#include <string>
#include <vector>

#include "io/error.h"
#include "numeric/dtype.h"

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

inline std::string text(const Napi::Value& value, const char* name) {
  if (!value.IsString()) bad_argument(std::string(name) + " must be text");
  return value.As<Napi::String>().Utf8Value();
}

inline Dtype dtype_of(const Napi::Value& value) {
  const std::string name = text(value, "dtype");
  for (size_t i = 0; i < std::size(kDtypeNames); i++) {
    if (name == kDtypeNames[i]) return static_cast<Dtype>(i);
  }
  bad_argument("no dtype is named " + name);
}

inline Napi::Object object(const Napi::Value& value) {
  if (!value.IsObject()) bad_argument("an object is missing");
  return value.As<Napi::Object>();
}

inline double number(const Napi::Value& value, const char* name) {
  if (!value.IsNumber()) bad_argument(std::string(name) + " must be a number");
  return value.As<Napi::Number>().DoubleValue();
}

/// The elements of a typed array of unsigned 32-bit integers (`Napi::Uint32Array`) or of float64.
template <class Array, class Element>
std::vector<Element> elements(const Napi::Value& value, napi_typedarray_type type, const char* name) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != type) {
    bad_argument(std::string(name) + " is not the typed array that it should be");
  }
  const Array array = value.As<Array>();
  return std::vector<Element>(array.Data(), array.Data() + array.ElementLength());
}

inline std::vector<uint32_t> indices(const Napi::Value& value, const char* name) {
  return elements<Napi::Uint32Array, uint32_t>(value, napi_uint32_array, name);
}

}  // namespace sinter
