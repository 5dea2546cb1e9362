// What a method, compiled for one instruction set and one work type, offers to the engine.
//
// An op runs as: prepare (row by row, where the method needs whole rows), select (if it asks for selections), reduce (if
// it asks for sums), solve, perhaps reduce and solve again, map. The engine decides threads, order and memory; these
// functions only compute, each over a range of elements or rows.
#pragma once

#include <cstdint>
#include <vector>

#include "budget.h"
#include "gather.h"
#include "job.h"

namespace sinter {

/// Buffers of one worker thread, reused from task to task.
struct Scratch {
  std::vector<std::byte> inputs;
  std::vector<uint16_t> random;
  std::vector<double> terms;
  std::vector<double> lanes;
  std::vector<std::byte> out;
  /// Per input the mask of one row, and which row; of the op with this id.
  std::vector<std::vector<uint8_t>> row_masks;
  std::vector<uint64_t> row_of_mask;
  uint64_t masks_of = 0;
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
  uint64_t zeros = 0;        // == 0, where the selection asks for a share of the others
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

/// How many elements inputs have: as many as the output, or all of them together as many; or there are none.
enum class InputKind { whole, pieces, none };

struct Kernel {
  const char* name;
  InputKind input_kind;
  /// Whether the numbers fit the inputs.
  bool (*valid)(const Job&);
  /// What sums and coefficients belong to; null: the whole tensor.
  Grouping (*grouping)(const Job&);
  /// Makes room for what `prepare` finds, what grows with the tensor from the budget (and adds it to `job.taken`); null
  /// where the method has no such pass. @returns whether to run it.
  bool (*make_room)(Job&, Budget&);
  /// Looks at rows [begin, end) of the last dimension. Ranges start at multiples of kPrepareRows.
  void (*prepare)(Job&, Scratch&, uint64_t begin, uint64_t end);
  /// Whether what `prepare` finds of an input are ranks of elements within their rows, as masks; null where the method has
  /// no masks.
  bool (*needs_ranks)(const Job&, int input);
  /// A random word below the number that stands at an element's rank (from 0, smallest magnitude first) keeps it.
  std::vector<uint32_t> (*rank_limits)(const Job&, int input);
  /// Numbers of each group that element functions read besides the inputs, and how many of them; null where the method has
  /// none. Of the whole tensor they are not read.
  int (*group_values)(const Job&);
  const double* (*group_table)(const Job&);
  /// Which selections this op needs; null where the method has none.
  void (*selections)(const Job&, std::vector<Selection>&);
  SelectFunctions<uint32_t> select32;
  SelectFunctions<uint64_t> select64;
  /// Number of sums per group this op needs in this round; null where the method has none.
  int (*sum_count)(const Job&);
  /// How many of them, the last ones, are not added up: the largest counts. Only where sums belong to the whole tensor.
  int maxima;
  /// Sums over [begin, end), at most kSumBlock elements of one group.
  void (*reduce)(const Job&, Scratch&, uint64_t begin, uint64_t end, double* sums);
  /// Sums over rows [begin, end) for each position of a row: sum s of position p goes to `sums[s * positions + p]`.
  void (*reduce_columns)(const Job&, Scratch&, uint64_t begin, uint64_t end, double* sums);
  /// From sums to what the map reads; null where there is nothing to do. @returns whether to reduce again.
  bool (*solve)(Job&);
  /// Writes elements [begin, end) as the output dtype to `out`; sets bit i of `non_finite` where input i holds a NaN or
  /// an infinity. Null for `copy`, which the engine does itself, and where only sums are wanted.
  void (*map)(const Job&, Scratch&, uint64_t begin, uint64_t end, std::byte* out, uint64_t& non_finite);
};

/// Whether a kernel writes a tensor, or only sums.
inline bool writes_tensor(const Kernel& kernel) { return kernel.map != nullptr || kernel.sum_count == nullptr; }

/// Prepared rows start at multiples of this, so that no two tasks share a word of a mask.
constexpr uint64_t kPrepareRows = 64;

/// All kernels of one instruction set.
struct KernelSet {
  const char* target;
  const Kernel* kernels;
  int count;
  /// Whether any element of a float tensor is a NaN or an infinity.
  bool (*has_non_finite)(const std::byte* data, Dtype dtype, uint64_t count);
  /// Adds rows [begin, end) of a gathered input to one sum per column; rows that stand for the mean are left out.
  void (*add_rows)(const Job&, const RowGather& gather, uint64_t begin, uint64_t end, double* sums);
  /// Elements [begin, end) of an input in float32, its patches applied.
  void (*load_floats)(const Job&, int input, uint64_t begin, uint64_t end, float* to);
  /// The same in the op's work type, float32 or float64. @returns whether one is a NaN or an infinity.
  bool (*load_work)(const Job&, int input, uint64_t begin, uint64_t end, std::byte* to);
  /// Makes what applying a patch needs, its ratios aside.
  void (*make_patch)(const Job&, const InputPatches&, Patch&);
  /// Sums of squares of the patched rows [begin, end): one for each row, or one for each column.
  void (*sum_patch_squares)(const Job&, const InputPatches&, const Patch&, uint64_t begin, uint64_t end, double* sums);
  /// Number `i` of a patch's magnitude.
  double (*magnitude_of)(const Patch&, uint64_t i);
};

}  // namespace sinter
