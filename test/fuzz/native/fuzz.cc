// A coverage-guided fuzzer of the addon's boundary (libFuzzer): any values for any of its methods, over any bytes in the
// files that are read. The addon may refuse by an error with one of its codes; it may not read or write beyond what it was
// given, overflow, hang when it is cancelled, or end the process. `bun run fuzz` builds and runs it.

#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#include "host.h"
#include "session.h"

namespace {

using namespace sinter;
using std::chrono::milliseconds;

/// Sizes come from numbers that JavaScript gives, so that running out of memory is an error like others. The sanitizer's
/// own operator would end the process.
constexpr size_t kMostBytes = size_t{256} << 20;

/// A session that goes on for longer is cancelled, and has to end then.
constexpr milliseconds kPatience{200};
constexpr milliseconds kLastPatience{20000};

/// Bytes of scratch that may grow with tensors (`configure`).
constexpr double kMemory[] = {0, 1 << 20, 1 << 30};

[[noreturn]] void give_up(const char* what) {
  fprintf(stderr, "%s\n", what);
  abort();
}

/// A file in memory that ends with the object.
class MemoryFile {
 public:
  explicit MemoryFile(const std::vector<uint8_t>& bytes) : fd_(memfd_create("source", MFD_CLOEXEC)) {
    if (fd_ < 0 || write(fd_, bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size())) {
      give_up("cannot make a file in memory");
    }
  }
  MemoryFile(MemoryFile&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  ~MemoryFile() {
    if (fd_ >= 0) close(fd_);
  }
  std::string path() const { return "/proc/self/fd/" + std::to_string(fd_); }

 private:
  int fd_;
};

napi_value to_js(host::Host& host, const fuzz::Value& value) {
  switch (value.tag) {
    case fuzz::Value::no:
    case fuzz::Value::yes:
      return host.boolean(value.tag == fuzz::Value::yes);
    case fuzz::Value::number:
      return host.number(value.real);
    case fuzz::Value::text:
      return host.text(value.words);
    case fuzz::Value::elements:
      return host.typed_array(static_cast<napi_typedarray_type>(value.element_type), value.bytes.data(),
                              value.bytes.size());
    case fuzz::Value::list:
    case fuzz::Value::object: {
      napi_value made = value.tag == fuzz::Value::list ? host.array() : host.object();
      for (size_t i = 0; i < value.items.size(); i++) {
        napi_value item = to_js(host, value.items[i]);
        if (value.tag == fuzz::Value::list) {
          made->elements.push_back(item);
        } else {
          made->properties.emplace_back(value.keys[i], item);
        }
      }
      return made;
    }
    default:
      return host.undefined();
  }
}

void check_error(napi_value error) {
  if (error == nullptr) return;
  napi_value code = host::property(error, "code");
  napi_value message = host::property(error, "message");
  if (message == nullptr || message->text.empty()) give_up("an error without a message");
  if (code != nullptr) return;
  // Refused by node-addon-api: a size that no ArrayBuffer has.
  if (message->text != "refused") give_up(("an error without a code: " + message->text).c_str());
}

/// Methods with several arguments get the items of a list.
std::vector<napi_value> arguments_of(host::Host& host, const fuzz::Value& value) {
  if (value.tag != fuzz::Value::list) return {to_js(host, value)};
  std::vector<napi_value> list;
  for (const fuzz::Value& item : value.items) list.push_back(to_js(host, item));
  return list;
}

std::string sink_path() { return "/dev/shm/sinter-fuzz-" + std::to_string(getpid()); }

void run(const fuzz::Session& session) {
  std::vector<MemoryFile> files;
  host::Host host;
  for (const std::vector<uint8_t>& bytes : session.files) {
    files.emplace_back(bytes);
    host.call("openSource", {host.text(files.back().path())});
  }
  unlink(sink_path().c_str());
  host.call("createSink", {host.text(sink_path()), host.number(session.sink)});
  unlink(sink_path().c_str());
  napi_value options = host.object();
  options->properties.emplace_back("threads", host.number(2));
  options->properties.emplace_back("memory", host.number(kMemory[session.memory % std::size(kMemory)]));
  host.call("configure", {options});
  for (const fuzz::Call& call : session.calls) {
    host.call(fuzz::kMethods[call.method], arguments_of(host, call.argument));
    check_error(host.thrown());
  }
  if (!host.settle(kPatience)) {
    host.call("cancel", {});
    if (!host.settle(kLastPatience)) give_up("cancelled, and goes on");
  }
  for (napi_value promise : host.promises()) {
    if (promise->state == napi_value__::State::rejected) check_error(promise->outcome);
  }
}

}  // namespace

void* operator new(size_t size) {
  void* got = size > kMostBytes ? nullptr : malloc(size == 0 ? 1 : size);
  if (got == nullptr) throw std::bad_alloc();
  return got;
}
void* operator new(size_t size, std::align_val_t alignment) {
  void* got = nullptr;
  const int status = size > kMostBytes ? ENOMEM : posix_memalign(&got, static_cast<size_t>(alignment), size);
  if (status != 0) throw std::bad_alloc();
  return got;
}
void operator delete(void* bytes) noexcept { free(bytes); }
void operator delete(void* bytes, size_t) noexcept { free(bytes); }
void operator delete(void* bytes, std::align_val_t) noexcept { free(bytes); }
void operator delete(void* bytes, size_t, std::align_val_t) noexcept { free(bytes); }

extern "C" {

/// The library's own operators are not all replaced above; malloc refuses what is too large.
const char* __asan_default_options() { return "alloc_dealloc_mismatch=0:allocator_may_return_null=1"; }
const char* __ubsan_default_options() { return "print_stacktrace=1:halt_on_error=1"; }

int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  run(fuzz::read_session(bytes, size));
  return 0;
}

size_t LLVMFuzzerMutate(uint8_t* bytes, size_t size, size_t most);

size_t LLVMFuzzerCustomMutator(uint8_t* bytes, size_t size, size_t most, unsigned seed) {
  std::minstd_rand random(seed);
  if (random() % 8 == 0) return LLVMFuzzerMutate(bytes, size, most);
  fuzz::Session session = fuzz::read_session(bytes, size);
  fuzz::mutate(session, random);
  const std::vector<uint8_t> changed = fuzz::written(session);
  if (changed.size() > most) return LLVMFuzzerMutate(bytes, size, most);
  memcpy(bytes, changed.data(), changed.size());
  return changed.size();
}

}  // extern "C"
