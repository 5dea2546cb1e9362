// What devices in host memory are told to do, and to fail at.
//
// What it does is said by SINTER_HOST_DEVICE or by sinter_host_device_tell, as words `name=value` between spaces:
//   devices=2        how many there are                       memory=1000000   bytes of each
//   refuse-memory=3  the third allocation fails, once          no-memory=3      the third and all after it
//   no-pinned=2      the second allocation of pinned memory    fail=5           the fifth call of a device fails
//   fail-late=5      the fifth pass fails while it runs        lose=5           the device is lost with the fifth call
//   slow=200         microseconds that each piece of work of a queue waits first
//   lack=ties        a kernel that it has not                  absent=TEXT      no device, with that reason
//   direct-fail=3    the third direct read fails               direct-slow=9    microseconds that each takes longer
//   direct=none      files cannot be read directly; parts: a part of what is asked for at a time; wrong: something else
//   driver=5026      what opening cuFile's driver says
//   interface=9      another interface                        version=9.9      another version
#pragma once

#include <cstdint>
#include <cstdlib>
#include <map>
#include <mutex>
#include <sstream>
#include <string>

namespace sinter {

class Orders {
 public:
  Orders() {
    const char* const told = std::getenv("SINTER_HOST_DEVICE");
    if (told != nullptr) tell(told);
  }
  void tell(const std::string& text) {
    const std::lock_guard lock(mutex_);
    values_.clear();
    std::istringstream words(text);
    for (std::string word; words >> word;) {
      const size_t equals = word.find('=');
      if (equals != std::string::npos) values_[word.substr(0, equals)] = word.substr(equals + 1);
    }
  }
  std::string text(const std::string& name, const std::string& otherwise = "") {
    const std::lock_guard lock(mutex_);
    const auto at = values_.find(name);
    return at == values_.end() ? otherwise : at->second;
  }
  uint64_t number(const std::string& name, uint64_t otherwise) {
    const std::string value = text(name);
    return value.empty() ? otherwise : std::strtoull(value.c_str(), nullptr, 10);
  }

 private:
  std::mutex mutex_;
  std::map<std::string, std::string> values_;
};

inline Orders& orders() {
  static Orders orders;
  return orders;
}

}  // namespace sinter
