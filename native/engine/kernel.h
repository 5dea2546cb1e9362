// What a method, compiled for one instruction set and one work type, offers to the engine.
//
// An op runs as: select (if the method asks for selections), reduce (if it asks for sums), solve, map. The engine
// decides threads, order and memory; these functions only compute, each over a range of elements.
#pragma once

#include <cstdint>
#include <vector>

#include "job.h"

namespace sinter {

/// Buffers of one worker thread, reused from task to task.
struct Scratch {
  std::vector<std::byte> inputs;
  std::vector<uint32_t> random;
  std::vector<double> terms;
  std::vector<std::byte> out;
};

/// Brackets the threshold of one selection: values strictly between `low` and `high` are collected.
template <class Bits>
struct Bracket {
  Bits low, high;
  /// Most values to collect; beyond it the task only counts.
  uint64_t room;
};

/// What one task found in its range for one selection.
template <class Bits>
struct Tally {
  uint64_t above = 0;        // > high
  uint64_t equal_high = 0;   // == high
  uint64_t equal_low = 0;    // == low, where low != high
  uint64_t inside = 0;       // strictly between
  std::vector<Bits> values;  // those strictly between, up to the room
};

template <class Bits>
struct SelectFunctions {
  /// Writes the magnitude bits of elements [begin, begin + n) of a selection's input; n <= kChunk.
  void (*magnitudes)(const Job&, Scratch&, int input, uint64_t begin, uint32_t n, Bits* out);
  /// Counts and collects over [begin, end) for several selections at once; unused ones have a null tally.
  void (*tally)(const Job&, Scratch&, const std::vector<Selection>&, const std::vector<Bracket<Bits>>&, uint64_t begin,
                uint64_t end, std::vector<Tally<Bits>*>&);
};

struct Kernel {
  const char* name;
  /// Whether the numbers fit the inputs; null where any do.
  bool (*valid)(const Job&);
  /// Which selections this op needs; null where the method has none.
  void (*selections)(const Job&, std::vector<Selection>&);
  SelectFunctions<uint32_t> select32;
  SelectFunctions<uint64_t> select64;
  /// Number of sums this op needs; null where the method has none.
  int (*sum_count)(const Job&);
  /// Sums over [begin, end), at most kSumBlock elements.
  void (*reduce)(const Job&, Scratch&, uint64_t begin, uint64_t end, double* sums);
  /// From sums to what the map reads; null where there is nothing to do.
  void (*solve)(Job&);
  /// Writes elements [begin, end) as the output dtype to `out`; sets bit i of `non_finite` where input i holds a NaN or
  /// an infinity. Null for `copy`, which the engine does itself.
  void (*map)(const Job&, Scratch&, uint64_t begin, uint64_t end, std::byte* out, uint64_t& non_finite);
};

/// All kernels of one instruction set.
struct KernelSet {
  const char* target;
  const Kernel* kernels;
  int count;
  /// Whether any element of a float tensor is a NaN or an infinity.
  bool (*has_non_finite)(const std::byte* data, Dtype dtype, uint64_t count);
};

}  // namespace sinter
