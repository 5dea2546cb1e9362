// Source: one input file, opened read-only and mapped whole.
//
// A file that shrinks or fails under its mapping raises SIGBUS on access. A handler then maps a zero page over the
// fault, marks the Source, and lets the thread go on; the op that reads it checks `failed` and rejects. Faults outside
// our mappings go to the handler that was there before.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace sinter {

class Source {
 public:
  /// Maps `path`. Throws Failure SOURCE_OPEN. An empty file maps to nothing.
  static std::shared_ptr<Source> open(const std::string& path);
  ~Source();
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;

  const std::byte* data() const { return data_; }
  /// Bytes when it was opened.
  uint64_t size() const { return size_; }
  const std::string& path() const { return path_; }
  /// Which file it is: of which file system, and its number there.
  uint64_t device() const { return device_; }
  uint64_t inode() const { return inode_; }
  /// Whether any read of the mapping has failed so far.
  bool failed() const;

 private:
  Source() = default;
  std::string path_;
  const std::byte* data_ = nullptr;
  uint64_t size_ = 0;
  uint64_t device_ = 0;
  uint64_t inode_ = 0;
  int slot_ = -1;
};

}  // namespace sinter
