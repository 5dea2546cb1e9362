#include "outflow.h"

#include <algorithm>

#include "../numeric/digest.h"

namespace sinter {

BlockBuffers::BlockBuffers(Device& device, int blocks) {
  for (int i = 0; i < blocks; i++) {
    memory_.push_back(DeviceMemory::pinned(device, kDigestBytes + kDirectAlign));
    free_.push_back(memory_.back().data());
  }
}

Outflow::Outflow(Op& op, const Lane& lane, HostPool& pool, BlockBuffers& buffers)
    : op_(op), lane_(lane), pool_(pool), buffers_(buffers), bytes_(op.job.count * element_size(op.job.out)) {
  const size_t blocks = (bytes_ + kDigestBytes - 1) / kDigestBytes;
  op.digests.assign(blocks, {});
  op.crcs.assign(blocks, 0);
}

Outflow::~Outflow() {
  std::unique_lock lock(buffers_.mutex_);
  buffers_.freed_.wait(lock, [this] { return writing_ == 0; });
  // Of an op that was given up: whoever did so waits for the lane.
  for (const Block& block : queued_) buffers_.free_.push_back(block.buffer);
  if (open_ != nullptr) buffers_.free_.push_back(open_);
}

void Outflow::take(const std::byte* from, uint64_t bytes) {
  while (bytes > 0) {
    const uint64_t within = taken_ % kDigestBytes;
    const uint64_t n = std::min(bytes, kDigestBytes - within);
    if (open_ == nullptr) open_ = free_buffer();
    lane_.require(lane_->download(bytes_of(open_) + within, from, n));
    from += n;
    bytes -= n;
    taken_ += n;
    if (taken_ % kDigestBytes != 0 && taken_ != bytes_) continue;
    const size_t number = (taken_ - 1) / kDigestBytes;
    const Mark mark = lane_.mark(Queue::download);
    queued_.push_back({number, open_, taken_ - number * kDigestBytes, mark});
    open_ = nullptr;
  }
}

std::byte* Outflow::free_buffer() {
  while (true) {
    {
      std::unique_lock lock(buffers_.mutex_);
      if (queued_.empty()) buffers_.freed_.wait(lock, [this] { return !buffers_.free_.empty(); });
      if (!buffers_.free_.empty()) {
        std::byte* const buffer = buffers_.free_.back();
        buffers_.free_.pop_back();
        return buffer;
      }
    }
    hand_over();
  }
}

/// Waits for the oldest download, and has it written.
void Outflow::hand_over() {
  const Block block = queued_.front();
  std::function<void()> job = [this, block] {
    const std::optional<Failure> failure = failure_of([&] { write(block); });
    const std::lock_guard lock(buffers_.mutex_);
    if (failure && !failure_) failure_ = failure;
    buffers_.free_.push_back(block.buffer);
    writing_--;
    buffers_.freed_.notify_all();
  };
  lane_.reach(block.mark);
  queued_.pop_front();
  {
    const std::lock_guard lock(buffers_.mutex_);
    writing_++;
  }
  pool_.run(std::move(job));
}

void Outflow::write(const Block& block) {
  const std::byte* const bytes = bytes_of(block.buffer);
  op_.digests[block.number] = xxh3_128(bytes, block.size);
  if (op_.want_crc32) op_.crcs[block.number] = crc32(0, bytes, block.size);
  if (op_.sink == nullptr) return;
  const uint64_t offset = op_.sink_offset + block.number * kDigestBytes;
  if (op_.sink->path_to_disk() == WritePath::direct && block.size >= kLeastDirect) {
    op_.sink->write_direct(offset, bytes, block.size);
  } else {
    op_.sink->write(offset, bytes, block.size);
  }
}

void Outflow::finish() {
  while (!queued_.empty()) hand_over();
  std::unique_lock lock(buffers_.mutex_);
  buffers_.freed_.wait(lock, [this] { return writing_ == 0; });
  if (failure_) throw *failure_;
}

}  // namespace sinter
