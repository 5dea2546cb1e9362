#include "sink.h"

#include <fcntl.h>
#include <unistd.h>

#include "error.h"

namespace sinter {
namespace {

const char* write_failure_code() { return errno == ENOSPC || errno == EDQUOT ? "NO_SPACE" : "SINK_WRITE"; }

/// Reserves blocks; where the file system cannot, only sets the size. @returns whether errno tells a failure.
bool reserve(int fd, uint64_t size) {
  if (size == 0) return true;
  if (fallocate(fd, 0, 0, static_cast<off_t>(size)) == 0) return true;
  if (errno != EOPNOTSUPP && errno != ENOSYS) return false;
  return ftruncate(fd, static_cast<off_t>(size)) == 0;
}

}  // namespace

std::shared_ptr<Sink> Sink::create(const std::string& path, uint64_t size) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd < 0) {
    throw Failure(errno == EEXIST   ? "SINK_EXISTS"
                  : errno == ENOSPC ? "NO_SPACE"
                                    : "SINK_OPEN",
                  with_errno("cannot create " + path));
  }
  if (!reserve(fd, size)) {
    const Failure failure(write_failure_code(),
                          with_errno("cannot reserve " + std::to_string(size) + " bytes for " + path));
    ::close(fd);
    ::unlink(path.c_str());
    throw failure;
  }
  std::shared_ptr<Sink> sink(new Sink());
  sink->path_ = path;
  sink->fd_ = fd;
  sink->size_ = size;
  return sink;
}

Sink::~Sink() { ::close(fd_); }

void Sink::write(uint64_t offset, const std::byte* bytes, uint64_t count) {
  while (count > 0) {
    const ssize_t written = pwrite(fd_, bytes, count, static_cast<off_t>(offset));
    if (written < 0) {
      if (errno == EINTR) continue;
      if (errno == EFAULT) throw Failure("SOURCE_FAILED", "an input shrank or failed while being copied", 0);
      throw Failure(write_failure_code(), with_errno("cannot write " + path_));
    }
    bytes += written;
    offset += static_cast<uint64_t>(written);
    count -= static_cast<uint64_t>(written);
  }
}

void Sink::sync() {
  if (fsync(fd_) != 0) throw Failure(write_failure_code(), with_errno("cannot write " + path_ + " to the disk"));
}

}  // namespace sinter
