// A JavaScript runtime of a few hundred lines: as much of Node-API as the addon uses, over plain values. It lets native
// programs call the addon through its real boundary, without Bun.
#pragma once

#include <node_api.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

/// A JavaScript value. Lives until its host ends.
struct napi_value__ {
  napi_valuetype type = napi_undefined;
  bool is_array = false, is_error = false, is_promise = false, truth = false;
  double number = 0.0;
  std::string text;
  std::vector<napi_value> elements;
  std::vector<std::pair<std::string, napi_value>> properties;
  /// Of an ArrayBuffer: exactly as large as it says, so that a sanitizer sees every access beyond.
  std::unique_ptr<uint8_t[]> bytes;
  size_t byte_length = 0;
  bool is_buffer = false;
  /// Of a typed array.
  napi_value buffer = nullptr;
  napi_typedarray_type element_type = napi_int8_array;
  size_t length = 0, byte_offset = 0;
  /// Of a function.
  napi_callback call = nullptr;
  void* data = nullptr;
  /// Of a promise.
  enum class State { pending, resolved, rejected } state = State::pending;
  napi_value outcome = nullptr;
};

namespace sinter::host {

/// One runtime with the addon loaded. Ends all of the addon's threads when it ends.
class Host {
 public:
  Host();
  ~Host();
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  napi_value undefined();
  napi_value boolean(bool value);
  napi_value number(double value);
  napi_value text(std::string value);
  napi_value array();
  napi_value object();
  napi_value typed_array(napi_typedarray_type type, const uint8_t* bytes, size_t byte_length);

  /// Calls a method of the addon. @returns null where it threw; `thrown` says what.
  napi_value call(const std::string& method, const std::vector<napi_value>& arguments);
  napi_value thrown() const { return thrown_; }

  /// Runs what other threads report, until all promises that calls returned are settled or the time is over.
  bool settle(std::chrono::milliseconds most);
  const std::vector<napi_value>& promises() const { return promises_; }

 private:
  napi_env env_;
  napi_value exports_ = nullptr;
  napi_value thrown_ = nullptr;
  std::vector<napi_value> promises_;
};

/// @returns the property, or null.
napi_value property(napi_value object, const std::string& name);

/// Bytes of an element.
size_t width_of(napi_typedarray_type type);

}  // namespace sinter::host
