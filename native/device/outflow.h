// An output on its way from a device: downloaded into pinned memory, a digest block at a time, there checksummed and
// written at its final offset by several threads.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <vector>

#include "../engine/engine.h"
#include "host-pool.h"
#include "lane.h"

namespace sinter {

/// Pinned buffers of one lane, each for one block of kDigestBytes.
class BlockBuffers {
 public:
  BlockBuffers(Device& device, int blocks);

 private:
  friend class Outflow;
  std::vector<DeviceMemory> memory_;
  std::vector<std::byte*> free_;
  std::mutex mutex_;
  std::condition_variable freed_;
};

/// The output of one op. Fills `digests`, `crcs` and the sink.
class Outflow {
 public:
  Outflow(Op& op, const Lane& lane, HostPool& pool, BlockBuffers& buffers);
  /// Waits for what is being written.
  ~Outflow();
  Outflow(const Outflow&) = delete;
  Outflow& operator=(const Outflow&) = delete;

  /// Queues the download of the next bytes of the output; they come in order. Waits where there is no buffer.
  void take(const std::byte* from, uint64_t bytes);
  /// Waits until all is written. Throws what went wrong with that.
  void finish();

 private:
  struct Block {
    size_t number;
    std::byte* buffer;
    uint64_t size;
    Mark mark;
  };

  std::byte* free_buffer();
  void hand_over();
  void write(const Block& block);
  /// Where a block's bytes stand in its buffer: as its bytes in the file do, modulo kDirectAlign.
  std::byte* bytes_of(std::byte* buffer) const { return buffer + op_.sink_offset % kDirectAlign; }

  Op& op_;
  const Lane& lane_;
  HostPool& pool_;
  BlockBuffers& buffers_;
  const uint64_t bytes_;
  uint64_t taken_ = 0;
  std::byte* open_ = nullptr;
  /// Downloads that are queued, and not yet handed over.
  std::deque<Block> queued_;
  /// Guarded by the buffers' mutex.
  int writing_ = 0;
  std::optional<Failure> failure_;
};

}  // namespace sinter
