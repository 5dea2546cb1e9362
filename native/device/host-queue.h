// A queue of a device in host memory: work that runs in order, on a thread of its own.
#pragma once

#include <utility>

#include "host-pool.h"

namespace sinter {

class HostQueue {
 public:
  void push(std::function<void()> work) { thread_.run(std::move(work)); }

 private:
  HostPool thread_{1};
};

}  // namespace sinter
