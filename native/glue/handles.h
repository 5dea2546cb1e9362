// What numbers that JavaScript holds stand for.
#pragma once

#include <napi.h>

#include <functional>
#include <memory>

#include "../io/sink.h"
#include "../io/source.h"

namespace sinter {

/// How handles become what they stand for; both throw Failure BAD_ARGUMENT.
struct Handles {
  std::function<std::shared_ptr<Source>(const Napi::Value&)> source;
  std::function<std::shared_ptr<Sink>(const Napi::Value&)> sink;
};

}  // namespace sinter
