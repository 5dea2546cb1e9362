// What XXH3 does once per instruction set. All give the same.
#pragma once

#include <cstddef>

namespace sinter {

struct DigestLoop {
  const char* target;
  /// Goes on with `count` bytes; `state` is an XXH3_state_t.
  void (*update)(void* state, const void* bytes, size_t count);
};

}  // namespace sinter
