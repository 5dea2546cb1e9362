// Normal random numbers that need no state: element i of a stream is a function of key, stream and i.
// G. Box, M. Muller: "A note on the generation of random normal deviates", 1958, on Philox4x32-10.
#pragma once

#include <cmath>
#include <cstdint>

#include "../numeric/exponential.h"
#include "../numeric/philox.h"
#include "../numeric/trigonometry.h"

namespace sinter {

/// Mean 0, variance 1. Elements 2j and 2j + 1 come from one block of random words.
inline double standard_normal(uint64_t key, uint32_t stream, uint64_t element) {
  const uint64_t pair = element >> 1;
  const PhiloxBlock block = philox(static_cast<uint32_t>(pair), static_cast<uint32_t>(pair >> 32), stream, 0,
                                   static_cast<uint32_t>(key), static_cast<uint32_t>(key >> 32));
  const auto unit = [](uint32_t high, uint32_t low) {
    const uint64_t bits = (static_cast<uint64_t>(high) << 21) | (low >> 11);
    return (static_cast<double>(bits) + 0.5) * 0x1p-53;
  };
  const double radius = std::sqrt(-2.0 * logarithm(unit(block.word[0], block.word[1])));
  const double angle = (2.0 * unit(block.word[2], block.word[3]) - 1.0) * kPi;
  return radius * sine((element & 1) == 0 ? angle + kPi / 2.0 : angle);
}

}  // namespace sinter
