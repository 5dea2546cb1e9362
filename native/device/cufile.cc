#include "cufile.h"

#include <dlfcn.h>

#include <map>
#include <mutex>
#include <vector>

namespace sinter {
namespace {

struct Opened {
  Cufile library{};
  std::string absence;
};

template <class Function>
bool find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  return function != nullptr;
}

Opened open(const std::vector<std::string>& files) {
  Opened opened;
  for (const std::string& path : files) {
    void* const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
      if (opened.absence.empty()) opened.absence = dlerror();
      continue;
    }
    Cufile& found = opened.library;
    if (!find(library, "cuFileDriverOpen", found.open_driver) ||
        !find(library, "cuFileHandleRegister", found.register_file) ||
        !find(library, "cuFileHandleDeregister", found.deregister_file) ||
        !find(library, "cuFileBufRegister", found.register_memory) ||
        !find(library, "cuFileBufDeregister", found.deregister_memory) || !find(library, "cuFileRead", found.read)) {
      opened.absence = path + " has not the functions of cuFile";
      dlclose(library);
      continue;
    }
    // Never closed again: its own threads may be at work when the process ends.
    const Cufile::Status status = found.open_driver();
    if (status.error == 0) {
      found.path = path;
    } else {
      opened.absence = path + ": its driver does not open (error " + std::to_string(status.error) + ")";
    }
    return opened;
  }
  return opened;
}

}  // namespace

const Cufile* cufile(const std::string& file, std::string& absence) {
  static std::mutex mutex;
  static std::map<std::string, Opened> all;
  const std::lock_guard lock(mutex);
  auto found = all.find(file);
  if (found == all.end()) {
    const std::vector<std::string> usual{"libcufile.so.0", "libcufile.so"};
    found = all.emplace(file, open(file.empty() ? usual : std::vector{file})).first;
  }
  if (!found->second.library.path.empty()) return &found->second.library;
  absence = found->second.absence;
  return nullptr;
}

}  // namespace sinter
