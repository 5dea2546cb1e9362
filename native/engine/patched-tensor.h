// A tensor with an adapter's changes, for those who read parts of it outside of ops: forward passes, routing.
#pragma once

#include <memory>
#include <vector>

#include "../linear/team.h"
#include "engine.h"

namespace sinter {

/// Reads float32 elements that are, bit for bit, those of an op that writes the tensor as float32 with its patches
/// applied. What that takes is made by `prepare` and given back by `release`: factors in float32, and DoRA's norms.
class PatchedTensor {
 public:
  /// @param op one input, with its patches, that is never queued.
  PatchedTensor(std::shared_ptr<Op> op, const KernelSet& kernels) : op_(std::move(op)), kernels_(kernels) {}

  /// Not from within a task of the team.
  void prepare(Team& team);
  void release();

  /// Elements [begin, end), row-major. Only between `prepare` and `release`; several threads may call it.
  void read(uint64_t begin, uint64_t end, float* out) const { kernels_.load_floats(op_->job, 0, begin, end, out); }

  /// Throws Failure SOURCE_FAILED where the tensor's file or an adapter's shrank or failed.
  void check() const;

 private:
  std::shared_ptr<Op> op_;
  const KernelSet& kernels_;
};

}  // namespace sinter
