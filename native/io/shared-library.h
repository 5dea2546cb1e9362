// Libraries of others that are opened at run time, where they are there. They are never closed: those of CUDA leave threads
// and handlers behind.
#pragma once

#include <dlfcn.h>
#include <unistd.h>

#include <string>

namespace sinter {

/// A library, or why it is not there.
struct SharedLibrary {
  void* handle = nullptr;
  /// What the loader says where it did not open.
  std::string reason;
  /// Whether it did not open although there is such a file: what it needs may be missing.
  bool is_broken = false;

  /// @param file a path, or a name that the system looks for.
  explicit SharedLibrary(const std::string& file) : handle(dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL)) {
    if (handle != nullptr) return;
    const char* const said = dlerror();
    reason = said == nullptr ? file + " does not open" : said;
    // Of a name that it did not find the loader says that name; else what it found, or what that needs.
    is_broken =
        file.find('/') == std::string::npos ? reason.rfind(file + ":", 0) != 0 : access(file.c_str(), F_OK) == 0;
  }

  /// @returns whether the function is there.
  template <class Function>
  bool find(const char* name, Function*& function) const {
    function = reinterpret_cast<Function*>(dlsym(handle, name));
    return function != nullptr;
  }
};

/// Why none of several libraries is there: what is said of one that is broken, else of the first.
class Absence {
 public:
  void add(const SharedLibrary& library) { add(library.reason, library.is_broken); }
  /// `is_there`: something of the kind is, and does not do.
  void add(const std::string& reason, bool is_there) {
    if (!reason_.empty() && (is_there_ || !is_there)) return;
    reason_ = reason;
    is_there_ = is_there;
  }
  const std::string& reason() const { return reason_; }

 private:
  std::string reason_;
  bool is_there_ = false;
};

}  // namespace sinter
