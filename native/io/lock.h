// FileLock: one process at a time. The lock belongs to the open file: it ends with the process, however that ends.
#pragma once

#include <memory>
#include <string>

namespace sinter {

class FileLock {
 public:
  /// Creates `path` where it is not there, and locks it. Throws Failure LOCKED where another process has it, else
  /// SINK_OPEN or NO_SPACE. Where the file system has no locks, the file is there and nothing is locked.
  static std::shared_ptr<FileLock> take(const std::string& path);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  explicit FileLock(int fd) : fd_(fd) {}
  int fd_;
};

}  // namespace sinter
