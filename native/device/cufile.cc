#include "cufile.h"

#include <map>
#include <mutex>
#include <vector>

#include "../io/shared-library.h"

namespace sinter {
namespace {

/// What cuFileDriverOpen says where somebody else of the process has opened it, as a library that was linked to it may.
constexpr int kDriverAlreadyOpen = 5026;

struct Opened {
  /// Without a path where it cannot be used.
  Cufile library{};
  std::string absence;
};

Opened open(const SharedLibrary& library, const std::string& path) {
  Opened opened;
  Cufile& found = opened.library;
  if (!library.find("cuFileDriverOpen", found.open_driver) ||
      !library.find("cuFileHandleRegister", found.register_file) ||
      !library.find("cuFileHandleDeregister", found.deregister_file) ||
      !library.find("cuFileBufRegister", found.register_memory) ||
      !library.find("cuFileBufDeregister", found.deregister_memory) || !library.find("cuFileRead", found.read)) {
    opened.absence = path + " has not the functions of cuFile";
    return opened;
  }
  const Cufile::Status status = found.open_driver();
  if (status.error == 0 || status.error == kDriverAlreadyOpen) {
    found.path = path;
  } else {
    opened.absence = path + ": its driver does not open (error " + std::to_string(status.error) + ")";
  }
  return opened;
}

}  // namespace

const Cufile* cufile(const std::string& file, std::string& absence) {
  static std::mutex mutex;
  // By what the loader gave: one library may be asked for by several names.
  static std::map<void*, Opened> all;
  const std::lock_guard lock(mutex);
  const std::vector<std::string> usual{"libcufile.so.0", "libcufile.so"};
  Absence missing;
  for (const std::string& path : file.empty() ? usual : std::vector{file}) {
    const SharedLibrary library(path);
    if (library.handle == nullptr) {
      missing.add(library);
      continue;
    }
    auto known = all.find(library.handle);
    if (known == all.end()) known = all.emplace(library.handle, open(library, path)).first;
    const Opened& opened = known->second;
    if (!opened.library.path.empty()) return &opened.library;
    missing.add(opened.absence, true);
  }
  absence = missing.reason();
  return nullptr;
}

}  // namespace sinter
