// How an op is cut so that it fits a device's memory: all of its inputs at once, or slice by slice, read again in each
// pass. Pure arithmetic.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

#include "../engine/job.h"

namespace sinter {

/// Elements of a slice where memory is no matter: copies and passes of two slices overlap, and each is long enough to hide
/// what starting it takes.
constexpr uint64_t kSliceElements = 8 << 20;

/// Fewer than this, as the passes of a device count.
constexpr uint64_t kMostSliceElements = uint64_t{1} << 31;

/// Buffers begin at multiples of this many bytes.
constexpr uint64_t kBufferAlign = 256;

constexpr uint64_t align_buffer(uint64_t bytes) { return (bytes + kBufferAlign - 1) / kBufferAlign * kBufferAlign; }

/// What an op needs of a device's memory, in bytes.
struct Demand {
  uint64_t count = 0;
  int inputs = 0;
  /// Of an element: of all inputs together, and of the output.
  uint64_t input_bytes = 0;
  uint64_t output_bytes = 0;
  /// Of each task of kTaskElements of a slice, while selections are tallied.
  uint64_t tally_bytes = 0;
  /// Whatever the slices.
  uint64_t fixed = 0;
  /// The most elements that some pass must have in one slice.
  uint64_t unit = 1;
};

struct Slicing {
  /// All inputs lie in memory from the first pass to the last.
  bool resident = false;
  /// Most elements of a slice.
  uint64_t slice = 0;
  uint64_t bytes = 0;
};

inline uint64_t tasks_of(uint64_t elements) { return (elements + kTaskElements - 1) / kTaskElements; }

inline uint64_t bytes_of(const Demand& demand, bool resident, uint64_t slice) {
  const uint64_t buffers = static_cast<uint64_t>(2 * demand.inputs + 6) * kBufferAlign;
  return demand.fixed + (resident ? demand.count : 2 * slice) * demand.input_bytes + 2 * slice * demand.output_bytes +
         2 * tasks_of(slice) * demand.tally_bytes + buffers;
}

/// Nothing where the op does not fit into `most` bytes, however it is cut.
inline std::optional<Slicing> cut(const Demand& demand, uint64_t most) {
  for (const bool resident : {true, false}) {
    uint64_t slice = std::min(demand.count, std::max(kSliceElements, demand.unit));
    while (slice < kMostSliceElements) {
      const uint64_t bytes = bytes_of(demand, resident, slice);
      if (bytes <= most) return Slicing{resident, slice, bytes};
      if (slice <= demand.unit) break;
      slice = std::max(demand.unit, slice / 2);
    }
  }
  return std::nullopt;
}

/// Elements of the slices of a pass whose slices begin at multiples of `unit`.
inline uint64_t step_of(const Slicing& slicing, uint64_t count, uint64_t unit) {
  if (slicing.slice >= count) return count;
  return std::max(unit, slicing.slice / unit * unit);
}

}  // namespace sinter
