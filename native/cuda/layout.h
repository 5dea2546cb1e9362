// Which thread takes which elements: plain arithmetic on indices.
#pragma once

#include <cstdint>

#include "../numeric/philox.h"
#include "../numeric/target.h"

namespace sinter::cuda {

/// Whose random numbers or masks an element function reads beside its inputs.
enum class Words { none, random, mask };

/// Elements [0, count) of a slice in units of `kElements`, one for each thread at a time. They lie next to each other; of
/// random numbers, in two halves that are half a chunk of numbers apart, since one counter makes the numbers of both.
template <int kElements, Words kWords>
struct Units {
  static constexpr int kParts = kWords == Words::random && kElements > 1 ? 2 : 1;
  static constexpr uint32_t kPart = kElements / kParts;
  static_assert(kParts == 1 || kPart == 4);

  static SINTER_HD uint32_t count(uint32_t elements) {
    if (kParts == 1) return (elements + kElements - 1) / kElements;
    return (elements + kMaskChunk - 1) / kMaskChunk * (kMaskChunk / kElements);
  }

  /// First element of a part of a unit; those of the last units may lie behind the end.
  static SINTER_HD uint32_t first(uint32_t unit, uint32_t part) {
    if (kParts == 1) return unit * kElements;
    constexpr uint32_t in_chunk = kMaskChunk / kElements;
    return unit / in_chunk * kMaskChunk + unit % in_chunk * kPart + part * (kMaskChunk / 2);
  }
};

/// Vectors that coefficients belong to: along the last dimension, or along the first.
struct GroupPlace {
  /// Elements of a row.
  uint32_t size;
  /// Of the slice's first element within its row.
  uint32_t offset;
  bool by_position;

  /// Group of an element of the slice, counted from that of the first one; positions from 0.
  SINTER_HD uint32_t of(uint32_t element) const {
    const uint32_t place = offset + element;
    return by_position ? place % size : place / size;
  }
};

/// The groups of elements that follow each other, with one division for all of them.
struct GroupWalk {
  uint32_t size = 1, row = 0, position = 0;
  bool by_position = false;

  SINTER_HD GroupWalk() {}
  SINTER_HD GroupWalk(const GroupPlace& place, uint32_t first)
      : size(place.size),
        row((place.offset + first) / place.size),
        position((place.offset + first) % place.size),
        by_position(place.by_position) {}

  SINTER_HD uint32_t group() const { return by_position ? position : row; }

  SINTER_HD void next() {
    position++;
    const bool end = position == size;
    position = end ? 0 : position;
    row += end ? 1 : 0;
  }
};

}  // namespace sinter::cuda
