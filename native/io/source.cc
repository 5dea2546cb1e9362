#include "source.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <mutex>

#include "error.h"

namespace sinter {
namespace {

// The handler may only touch plain memory: a fixed table of mappings, written under a lock, read without one.
struct Mapping {
  std::atomic<uintptr_t> begin{0};
  std::atomic<uintptr_t> end{0};
  std::atomic<bool> failed{false};
};

constexpr int kSlots = 16384;
Mapping g_mappings[kSlots];
std::atomic<int> g_slots_used{0};
std::mutex g_slots_mutex;
struct sigaction g_previous;
uintptr_t g_page = 4096;

void on_bus_error(int signal, siginfo_t* info, void* context) {
  const uintptr_t address = reinterpret_cast<uintptr_t>(info->si_addr);
  const int used = g_slots_used.load(std::memory_order_acquire);
  for (int i = 0; i < used; i++) {
    Mapping& mapping = g_mappings[i];
    const uintptr_t begin = mapping.begin.load(std::memory_order_acquire);
    if (begin == 0 || address < begin || address >= mapping.end.load(std::memory_order_acquire)) continue;
    mapping.failed.store(true, std::memory_order_release);
    void* page = reinterpret_cast<void*>(address & ~(g_page - 1));
    const void* got = mmap(page, g_page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    if (got != MAP_FAILED) return;
    break;
  }
  if (g_previous.sa_flags & SA_SIGINFO) {
    if (g_previous.sa_sigaction != nullptr) return g_previous.sa_sigaction(signal, info, context);
  } else if (g_previous.sa_handler != SIG_DFL && g_previous.sa_handler != SIG_IGN) {
    return g_previous.sa_handler(signal);
  }
  // No one else wants it: fault again with the default action.
  ::signal(SIGBUS, SIG_DFL);
}

void install_handler() {
  static std::once_flag once;
  std::call_once(once, [] {
    g_page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
    struct sigaction action = {};
    action.sa_sigaction = on_bus_error;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, &g_previous);
  });
}

int register_mapping(const void* data, uint64_t size) {
  const std::lock_guard lock(g_slots_mutex);
  const int used = g_slots_used.load(std::memory_order_relaxed);
  int slot = 0;
  while (slot < used && g_mappings[slot].begin.load(std::memory_order_relaxed) != 0) slot++;
  if (slot == kSlots) return -1;
  Mapping& mapping = g_mappings[slot];
  const uintptr_t begin = reinterpret_cast<uintptr_t>(data);
  mapping.failed.store(false, std::memory_order_relaxed);
  mapping.end.store(begin + size, std::memory_order_release);
  mapping.begin.store(begin, std::memory_order_release);
  if (slot == used) g_slots_used.store(used + 1, std::memory_order_release);
  return slot;
}

}  // namespace

std::shared_ptr<Source> Source::open(const std::string& path) {
  install_handler();
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) throw Failure("SOURCE_OPEN", with_errno("cannot open " + path));
  std::shared_ptr<Source> source(new Source());
  source->path_ = path;
  struct stat info;
  if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    const std::string reason =
        S_ISREG(info.st_mode) ? with_errno("cannot read " + path) : path + " is not a regular file";
    ::close(fd);
    throw Failure("SOURCE_OPEN", reason);
  }
  source->size_ = static_cast<uint64_t>(info.st_size);
  source->device_ = info.st_dev;
  source->inode_ = info.st_ino;
  if (source->size_ > 0) {
    void* data = mmap(nullptr, source->size_, PROT_READ, MAP_SHARED, fd, 0);
    if (data == MAP_FAILED) {
      const std::string reason = with_errno("cannot map " + path);
      ::close(fd);
      throw Failure("SOURCE_OPEN", reason);
    }
    source->data_ = static_cast<const std::byte*>(data);
    source->slot_ = register_mapping(data, source->size_);
  }
  ::close(fd);
  if (source->size_ > 0 && source->slot_ < 0) throw Failure("SOURCE_OPEN", "too many files are open at once");
  return source;
}

Source::~Source() {
  if (data_ == nullptr) return;
  // First out of the table: once unmapped, the addresses may be another source's.
  if (slot_ >= 0) g_mappings[slot_].begin.store(0, std::memory_order_release);
  munmap(const_cast<std::byte*>(data_), size_);
}

bool Source::failed() const { return slot_ >= 0 && g_mappings[slot_].failed.load(std::memory_order_acquire); }

}  // namespace sinter
