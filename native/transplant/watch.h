// How far a long computation is, and whether it is still wanted.
#pragma once

#include <atomic>
#include <cstdint>

#include "../io/error.h"

namespace sinter {

/// Shared by who computes and who looks on.
struct Watch {
  /// Steps of the whole work; 0 as long as it is not known.
  std::atomic<uint64_t> total{0};
  std::atomic<uint64_t> done{0};
  std::atomic<bool> cancelled{false};
  /// CPU time of matrix products, all threads together, and how many multiply-adds those were: for measuring.
  std::atomic<uint64_t> product_nanoseconds{0};
  std::atomic<uint64_t> multiply_adds{0};

  /// To be called every fraction of a second. Throws Failure CANCELLED.
  void check() const {
    if (cancelled.load()) throw Failure("CANCELLED", "cancelled");
  }
  void advance(uint64_t steps) {
    done += steps;
    check();
  }
};

}  // namespace sinter
