// Inputs that are not taken as they are stored: adapters are applied to them, their rows are means of others, or come from
// files of several dtypes. The host computes them as they are read, in the op's work type, by the code that the CPU's
// passes use; the device takes them as plain inputs of that type.
#pragma once

#include "../engine/engine.h"
#include "host-pool.h"

namespace sinter {

class ComputedInputs {
 public:
  /// Makes what reading them takes, as the engine's first passes do; from then on the op's job shows plain inputs in their
  /// place. Throws SOURCE_FAILED.
  ComputedInputs(Op& op, HostPool& pool);
  /// Lets go of what was made, and shows the inputs as they are stored again.
  ~ComputedInputs();
  ComputedInputs(const ComputedInputs&) = delete;
  ComputedInputs& operator=(const ComputedInputs&) = delete;

  bool has(int input) const { return (numbers_ >> input & 1) != 0; }

  /// Writes elements [begin, begin + count) of one of them in the work type, and notes in the op whether one is a NaN or an
  /// infinity. Several threads may call it. Throws SOURCE_FAILED.
  void read(int input, uint64_t begin, uint64_t count, std::byte* to);

  /// Calls `f` while the job shows all inputs as they are stored, for what the host itself reads of them. Not while others
  /// use the job.
  template <class F>
  void as_stored(const F& f) {
    if (numbers_ == 0) return f();
    swap();
    try {
      f();
    } catch (...) {
      swap();
      throw;
    }
    swap();
  }

 private:
  void make(HostPool& pool);
  void swap();

  Op& op_;
  /// Bit i: the host computes input i.
  uint64_t numbers_ = 0;
  /// What reading asks of a job, its inputs as they are stored.
  Job stored_;
  /// What the op's job does not show.
  InputSpan hidden_[kMaxInputs];
};

}  // namespace sinter
