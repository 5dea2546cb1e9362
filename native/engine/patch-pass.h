// The pass before all others: makes what an op's patches need to be applied.
#pragma once

#include <vector>

#include "kernel.h"

namespace sinter {

/// First the factors of every patch, a task for each; then, for patches with a magnitude, the norms of what they make,
/// a task for each block of rows.
class PatchPass {
 public:
  PatchPass(const KernelSet& kernels, Job& job);

  /// Of the step at hand; 0 once all is made.
  uint32_t tasks() const;
  void run(uint32_t task);
  /// After the last task of a step.
  void advance();

 private:
  struct Block {
    const InputPatches* own;
    Patch* patch;
    uint64_t begin, end;
    std::vector<double> sums;
  };

  void list_blocks();
  void finish_norms();

  const KernelSet& kernels_;
  Job& job_;
  std::vector<std::pair<const InputPatches*, Patch*>> patches_;
  std::vector<Block> blocks_;
  enum class Step { factors, norms, done } step_ = Step::factors;
};

/// Gives back what the pass made: it can begin anew.
void release_patches(Job& job);

}  // namespace sinter
