// The select pass: the exact k-th largest magnitude of a tensor too large to sort.
//
// A sample brackets the threshold; one pass over the data counts what lies above the bracket and on its ends and collects
// the few values strictly inside; the exact threshold is chosen among those. Real fine-tunes are bf16(base + a small
// change), so a few dozen distinct magnitudes make up most of a tensor: the ends of the bracket are then often the
// threshold itself, and its many equals are counted, never collected. A bracket that misses or overflows is moved or
// narrowed and the data is read again; after a few rounds by bisection, so that the number of passes is bounded.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "kernel.h"

namespace sinter {

/// What a tally is to count of one selection.
struct TallyWish {
  /// Names the selection.
  size_t number;
  Selection selection;
  uint64_t low, high;
  /// Whether values between `low` and `high` are worth collecting.
  bool collect;
};

class Selector {
 public:
  /// For the selections that `kernel` asks of `job`; those that keep all or none are settled at once.
  /// @param slice tasks of a tally do not reach across multiples of this many elements.
  static std::unique_ptr<Selector> create(const Kernel& kernel, const Job& job, uint64_t slice = UINT64_MAX);
  virtual ~Selector() = default;

  /// Tasks of the step at hand; 0 when every threshold is known.
  virtual uint32_t tasks() const = 0;
  /// Runs one task; different tasks may run at the same time.
  virtual void run(uint32_t task, Scratch& scratch) = 0;
  /// Called once after all tasks of a step: decides the next step.
  virtual void advance() = 0;
  virtual std::vector<Threshold> thresholds() const = 0;

  // ---- for whoever tallies without `run` ----

  /// Whether the tasks at hand are a tally: of kTaskElements elements each, but for the last one of each slice.
  virtual bool tallies() const = 0;
  virtual std::vector<TallyWish> wishes() const = 0;
  /// What a task found for a selection: `counts`, and `collected` of the values inside, each as wide as `magnitudes` of the
  /// job's work type. Different tasks may be put at the same time.
  virtual void put(size_t number, uint32_t task, const Tally<uint64_t>& counts, const void* values,
                   uint64_t collected) = 0;
};

}  // namespace sinter
