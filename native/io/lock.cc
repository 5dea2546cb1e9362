#include "lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "error.h"

namespace sinter {

std::shared_ptr<FileLock> FileLock::take(const std::string& path) {
  while (true) {
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (fd < 0) {
      throw Failure(errno == ENOSPC || errno == EDQUOT ? "NO_SPACE" : "SINK_OPEN", with_errno("cannot create " + path));
    }
    std::shared_ptr<FileLock> lock(new FileLock(fd));
    if (flock(fd, LOCK_EX | LOCK_NB) != 0 && (errno == EWOULDBLOCK || errno == EINTR)) {
      throw Failure("LOCKED", path + " is in use");
    }
    // Who had it before may have removed it after it was opened here: then the lock is one on a file without a name.
    struct stat status;
    if (fstat(fd, &status) != 0 || status.st_nlink > 0) return lock;
  }
}

FileLock::~FileLock() { ::close(fd_); }

}  // namespace sinter
