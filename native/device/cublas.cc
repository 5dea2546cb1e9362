#include "cublas.h"

#include <dlfcn.h>

#include <map>
#include <mutex>
#include <vector>

namespace sinter {
namespace {

struct Opened {
  Cublas library{};
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
      // The first reason is that of the newest version, or of the one that was asked for.
      if (opened.absence.empty()) opened.absence = dlerror();
      continue;
    }
    Cublas& found = opened.library;
    if (find(library, "cublasCreate_v2", found.create) && find(library, "cublasDestroy_v2", found.destroy) &&
        find(library, "cublasSetStream_v2", found.set_stream) && find(library, "cublasSgemm_v2", found.sgemm)) {
      found.path = path;
      return opened;
    }
    opened.absence = path + " has not the functions of cuBLAS";
    dlclose(library);
  }
  return opened;
}

}  // namespace

const Cublas* cublas(const std::string& file, std::string& absence) {
  static std::mutex mutex;
  static std::map<std::string, Opened> all;
  const std::lock_guard lock(mutex);
  auto found = all.find(file);
  if (found == all.end()) {
    const std::vector<std::string> newest_first{"libcublas.so.13", "libcublas.so.12", "libcublas.so.11",
                                                "libcublas.so"};
    found = all.emplace(file, open(file.empty() ? newest_first : std::vector{file})).first;
  }
  if (!found->second.library.path.empty()) return &found->second.library;
  absence = found->second.absence;
  return nullptr;
}

}  // namespace sinter
