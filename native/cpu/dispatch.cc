#include "dispatch.h"

#include <stdexcept>
#include <string_view>

#include "targets.h"

namespace sinter {

#define SINTER_DECLARE(id) extern const KernelSet SINTER_OF_TARGET(kKernelSet, id);
SINTER_EACH_TARGET(SINTER_DECLARE)

namespace {

bool runs_here([[maybe_unused]] std::string_view target) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (target == "x86-64-v2") return true;
  const bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
                  __builtin_cpu_supports("bmi2");
  if (target == "x86-64-v3") return v3;
  return v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
#else
  return true;
#endif
}

}  // namespace

const std::vector<const KernelSet*>& runnable_kernels() {
  static const std::vector<const KernelSet*> sets = [] {
    std::vector<const KernelSet*> found;
#define SINTER_ADD(id) \
  if (runs_here(SINTER_OF_TARGET(kKernelSet, id).target)) found.push_back(&SINTER_OF_TARGET(kKernelSet, id));
    SINTER_EACH_TARGET(SINTER_ADD)
    // Only where it was built for one instruction set alone.
    if (found.empty()) throw std::runtime_error("this build has no kernels that this CPU runs");
    return found;
  }();
  return sets;
}

const KernelSet& best_kernels() { return *runnable_kernels().back(); }

const KernelSet* find_kernels(const std::string& target) {
  for (const KernelSet* set : runnable_kernels()) {
    if (target == set->target) return set;
  }
  return nullptr;
}

}  // namespace sinter
