// From JavaScript to a forward pass and back. The types are `NativeForward` and its parts in src/native.ts.
#pragma once

#include <napi.h>

#include <atomic>
#include <functional>
#include <memory>
#include <optional>

#include "../forward/decoder.h"
#include "../io/error.h"
#include "../io/source.h"

namespace sinter {

/// One forward pass under way.
struct ForwardJob {
  Decoder decoder;
  Batch batch;
  States states = States::none;
  bool log_probabilities = false;
  std::atomic<bool> cancelled{false};
  ForwardResult result;
  std::optional<Failure> failure;

  void run(unsigned threads, const std::string& target);
};

/// @param find gives the source of a handle. Throws Failure BAD_ARGUMENT where shapes, handles or ids do not fit together:
/// whatever this accepts reads and writes within its bounds.
std::shared_ptr<ForwardJob> read_forward(const Napi::Object& from,
                                         const std::function<std::shared_ptr<Source>(const Napi::Value&)>& find);

Napi::Value forward_result(Napi::Env env, const ForwardJob& job);

}  // namespace sinter
