#include "direct-reads.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <vector>

namespace sinter {
namespace {

/// Less is not worth a request to the disk of its own.
constexpr uint64_t kLeastPiece = 64 << 10;

/// Bytes that are read in each way before the faster one is chosen.
constexpr uint64_t kTrial = 32 << 20;

/// Pages of a file that are asked for where the system does not tell which ones it holds.
constexpr uint64_t kSamples = 16;

/// Files that stay open.
constexpr size_t kMostFiles = 64;

/// What a file system reads is compared with once.
constexpr uint64_t kChecked = 128 << 10;

/// A file's descriptor, closed in the end.
class Descriptor {
 public:
  Descriptor(const std::string& path, int flags) : number_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | flags)) {}
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int number() const { return number_; }

 private:
  const int number_;
};

bool is_same(int descriptor, const Source& source) {
  struct stat info;
  return descriptor >= 0 && fstat(descriptor, &info) == 0 && info.st_dev == source.device() &&
         info.st_ino == source.inode() && static_cast<uint64_t>(info.st_size) == source.size();
}

/// Whether the system holds a byte of a mapped file in memory. It says yes for all to those who could not write the file.
bool is_held(const std::byte* at) {
  static const uintptr_t page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  unsigned char held = 0;
  void* const begin = reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(at) & ~(page - 1));
  return mincore(begin, 1, &held) != 0 || (held & 1) != 0;
}

/// Whether `is_held` tells the truth of a file.
bool is_told(int descriptor, const Source& source) {
  struct stat info;
  return fstat(descriptor, &info) == 0 &&
         (info.st_uid == geteuid() || geteuid() == 0 || access(source.path().c_str(), W_OK) == 0);
}

/// Opened so that what is read from it comes alone, without its neighbours.
class QuietFile : public Descriptor {
 public:
  explicit QuietFile(const std::string& path) : Descriptor(path, 0) {
    posix_fadvise(number(), 0, 0, POSIX_FADV_RANDOM);
  }
};

/// Whether the system seems to hold a file in memory, by some of its pages. Asking brings them there, so it is done once.
bool seems_held(const Source& source) {
  const QuietFile file(source.path());
  uint64_t held = 0;
  for (uint64_t i = 0; i < kSamples; i++) {
    char byte;
    const iovec one{&byte, 1};
    const off_t at = static_cast<off_t>(source.size() / kSamples * i);
    if (preadv2(file.number(), &one, 1, at, RWF_NOWAIT) >= 0 || errno != EAGAIN) held++;
  }
  return held > kSamples / 2;
}

}  // namespace

/// A source that is registered with cuFile.
class DirectReads::File {
 public:
  File(const Cufile& library, const std::shared_ptr<Source>& source)
      : library_(library), source_(source), descriptor_(source->path(), O_DIRECT) {
    if (!is_same(descriptor_.number(), *source)) return;
    is_told_ = is_told(descriptor_.number(), *source);
    seems_held_ = !is_told_ && seems_held(*source);
    Cufile::Description description{1, {descriptor_.number()}, nullptr};
    if (library_.register_file(&handle_, &description).error != 0) handle_ = nullptr;
  }
  ~File() {
    if (handle_ != nullptr) library_.deregister_file(handle_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  Cufile::Handle handle() const { return handle_; }
  uint64_t file_system() const { return file_system_; }
  bool is_of(const Source* source) const { return source_.lock().get() == source; }
  bool is_needed() const { return !source_.expired(); }
  /// Whether the system holds some of the source's bytes in memory: the others come there with what it reads ahead.
  bool is_held(const Source& source, uint64_t offset, uint64_t bytes) const {
    if (!is_told_) return seems_held_;
    const std::byte* const at = source.data() + offset;
    return sinter::is_held(at) || sinter::is_held(at + bytes / 2) || sinter::is_held(at + bytes - 1);
  }

 private:
  const Cufile& library_;
  const std::weak_ptr<Source> source_;
  const uint64_t file_system_ = source_.lock()->device();
  const Descriptor descriptor_;
  Cufile::Handle handle_ = nullptr;
  bool is_told_ = false;
  bool seems_held_ = false;
};

bool DirectReads::FileSystem::is_slower() const {
  if (direct.bytes < kTrial || staged.bytes < kTrial) return false;
  return direct.seconds * static_cast<double>(staged.bytes) > staged.seconds * static_cast<double>(direct.bytes);
}

DirectReads::DirectReads(Device& device, const Cufile& library, DirectUse use)
    : device_(device), library_(library), use_(use) {}

DirectReads::~DirectReads() = default;

/// Null where it cannot be read directly.
std::shared_ptr<DirectReads::File> DirectReads::open(const std::shared_ptr<Source>& source) {
  std::shared_ptr<File>& file = files_[source.get()];
  if (file == nullptr || !file->is_of(source.get())) {
    file = std::make_shared<File>(library_, source);
    std::erase_if(files_, [](const auto& one) { return !one.second->is_needed(); });
    // Whoever still reads from it holds it.
    while (files_.size() > kMostFiles) {
      const auto other = files_.begin()->first == source.get() ? std::next(files_.begin()) : files_.begin();
      files_.erase(other);
    }
    return files_[source.get()];
  }
  return file;
}

/// Whether what is read directly is what the file holds, tried once where it begins at no page's beginning.
bool DirectReads::check(File& file, const Source& source) {
  try {
    const uint64_t bytes = std::min<uint64_t>(kChecked, source.size());
    const uint64_t offset = (source.size() - bytes) / 2;
    const DeviceMemory memory = DeviceMemory::on_device(device_, bytes);
    const DeviceMemory pinned = DeviceMemory::pinned(device_, bytes);
    if (!read_all(file, offset, bytes, {memory.data(), 0})) return false;
    const Lane lane(device_);
    lane.require(lane->download(pinned.data(), memory.data(), bytes));
    lane.reach(lane.mark(Queue::download));
    std::vector<std::byte> held(bytes);
    const QuietFile quiet(source.path());
    return pread(quiet.number(), held.data(), bytes, static_cast<off_t>(offset)) == static_cast<ssize_t>(bytes) &&
           std::memcmp(pinned.data(), held.data(), bytes) == 0;
  } catch (const DeviceTrouble&) {
    return false;
  }
}

DirectReads::Way DirectReads::way(const std::shared_ptr<Source>& source, uint64_t offset, uint64_t bytes) {
  if (bytes < kLeastPiece) return {};
  const std::lock_guard lock(mutex_);
  FileSystem& there = file_systems_[source->device()];
  if (!there.works) return {};
  const std::shared_ptr<File> file = open(source);
  if (!there.checked) {
    there.checked = true;
    there.works = file->handle() != nullptr && check(*file, *source);
  }
  if (!there.works || file->handle() == nullptr) return {};
  if (use_ == DirectUse::always) return {file};
  if (there.is_slower() || file->is_held(*source, offset, bytes)) return {};
  if (there.direct.bytes < kTrial) return {file, true};
  if (there.staged.bytes < kTrial) return {nullptr, true};
  return {file};
}

bool DirectReads::read_all(File& file, uint64_t offset, uint64_t bytes, Place to) {
  if (device_.enter() != DeviceStatus::ok) return false;
  for (uint64_t done = 0; done < bytes;) {
    const ssize_t got = library_.read(file.handle(), to.base, bytes - done, static_cast<off_t>(offset + done),
                                      static_cast<off_t>(to.offset + done));
    // Nothing is what comes from behind the end of a file that shrank.
    if (got <= 0) return false;
    done += static_cast<uint64_t>(got);
  }
  return true;
}

bool DirectReads::read(File& file, uint64_t offset, uint64_t bytes, std::byte* to) {
  Place place{to, 0};
  {
    const std::lock_guard lock(mutex_);
    const auto behind = adopted_.upper_bound(to);
    if (behind != adopted_.begin()) {
      const auto& [base, size] = *std::prev(behind);
      if (to < base + size) place = {base, static_cast<uint64_t>(to - base)};
    }
  }
  if (read_all(file, offset, bytes, place)) return true;
  const std::lock_guard lock(mutex_);
  file_systems_[file.file_system()].works = false;
  return false;
}

void DirectReads::took(const Source& source, bool directly, uint64_t bytes, double seconds) {
  const std::lock_guard lock(mutex_);
  FileSystem& there = file_systems_[source.device()];
  Times& times = directly ? there.direct : there.staged;
  times.bytes += bytes;
  times.seconds += seconds;
}

bool DirectReads::is_read_ahead(const Source& source) {
  const std::lock_guard lock(mutex_);
  const FileSystem& there = file_systems_[source.device()];
  return !there.works || there.is_slower();
}

void DirectReads::adopt(const DeviceMemory& memory) {
  if (device_.enter() != DeviceStatus::ok || library_.register_memory(memory.data(), memory.size(), 0).error != 0)
    return;
  const std::lock_guard lock(mutex_);
  adopted_[memory.data()] = memory.size();
}

void DirectReads::abandon(const DeviceMemory& memory) {
  {
    const std::lock_guard lock(mutex_);
    if (adopted_.erase(memory.data()) == 0) return;
  }
  if (device_.enter() == DeviceStatus::ok) library_.deregister_memory(memory.data());
}

}  // namespace sinter
