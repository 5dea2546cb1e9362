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

class Selector {
 public:
  /// For the selections that `kernel` asks of `job`; those that keep all or none are settled at once.
  static std::unique_ptr<Selector> create(const Kernel& kernel, const Job& job);
  virtual ~Selector() = default;

  /// Tasks of the step at hand; 0 when every threshold is known.
  virtual uint32_t tasks() const = 0;
  /// Runs one task; different tasks may run at the same time.
  virtual void run(uint32_t task, Scratch& scratch) = 0;
  /// Called once after all tasks of a step: decides the next step.
  virtual void advance() = 0;
  virtual std::vector<Threshold> thresholds() const = 0;
};

}  // namespace sinter
