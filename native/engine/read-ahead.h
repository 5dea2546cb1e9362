// Reading ahead: asks the kernel for the inputs of queued ops before a worker faults on them, so that a merge from a cold
// disk keeps the disk busy while it computes. On pages that are in memory already it costs next to nothing.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "../io/source.h"

namespace sinter {

/// Bytes of one source.
struct ByteRange {
  std::shared_ptr<Source> source;
  const std::byte* data;
  uint64_t bytes;
};

/// Asks the kernel to read pages of a mapped file into memory, without waiting for them.
void ask_for(const std::byte* data, uint64_t bytes);

class ReadAhead {
 public:
  ~ReadAhead();

  /// Queues what one op reads; its inputs are asked for slice by slice in turn, as the passes go through them.
  void want(std::vector<ByteRange> ranges);
  /// Forgets what is queued.
  void clear();

 private:
  void work();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::vector<ByteRange>> queue_;
  std::thread thread_;
  bool stopping_ = false;
};

}  // namespace sinter
