#include "patched-tensor.h"

#include "patch-pass.h"

namespace sinter {

void PatchedTensor::prepare(Team& team) {
  release();
  Job& job = op_->job;
  job.id = next_job_id();
  PatchPass pass(kernels_, job);
  for (uint32_t tasks = pass.tasks(); tasks > 0; tasks = pass.tasks()) {
    team.run(tasks, [&pass](uint64_t task) { pass.run(static_cast<uint32_t>(task)); });
    pass.advance();
  }
}

void PatchedTensor::release() { release_patches(op_->job); }

void PatchedTensor::check() const {
  for (const std::shared_ptr<Source>& source : op_->sources) {
    if (source->failed()) throw Failure("SOURCE_FAILED", source->path() + " shrank or failed while it was read");
  }
}

}  // namespace sinter
