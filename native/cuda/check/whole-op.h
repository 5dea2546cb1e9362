// One op from its first pass to its last, its inputs resident: what the host decides between passes, and its waits, count.
#pragma once

#include <memory>
#include <vector>

#include "../../engine/kernel.h"
#include "../../engine/select.h"
#include "memory.h"

namespace sinter::cuda {

class WholeOp {
 public:
  /// Takes the memory that the job needs. `kernel`: the CPU's of that name; `job`: its inputs lie in host memory, too, where
  /// selections are sampled. It stays the caller's.
  WholeOp(Device& device, DeviceLane& lane, const Kernel& kernel, Job& job);

  /// Runs it and waits for the end. `inputs`: in device memory.
  void run(const std::vector<const void*>& inputs, void* out);

 private:
  void rank(Slice& slice);
  void select(const Slice& slice);
  void tally(Selector& selector, const Slice& slice);
  void reduce(const Slice& slice);
  /// Copies to host memory after all that is queued, and waits.
  void fetch(void* to, const Memory& from, uint64_t bytes);
  void finish();

  Device& device_;
  DeviceLane& lane_;
  const Kernel& kernel_;
  Job& job_;
  const int number_;
  uint64_t tasks_ = 0;
  std::vector<std::unique_ptr<Memory>> limits_, masks_, tallies_, values_;
  std::unique_ptr<Memory> sums_, non_finite_;
};

}  // namespace sinter::cuda
