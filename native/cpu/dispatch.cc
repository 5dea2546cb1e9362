#include "dispatch.h"

namespace sinter {

#if defined(__x86_64__)

extern const KernelSet kKernelSet_x86_64_v2;
extern const KernelSet kKernelSet_x86_64_v3;
extern const KernelSet kKernelSet_x86_64_v4;

const std::vector<const KernelSet*>& runnable_kernels() {
  static const std::vector<const KernelSet*> sets = [] {
    __builtin_cpu_init();
    std::vector<const KernelSet*> found{&kKernelSet_x86_64_v2};
    const bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
                    __builtin_cpu_supports("bmi2");
    if (v3) found.push_back(&kKernelSet_x86_64_v3);
    const bool v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                    __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                    __builtin_cpu_supports("avx512vl");
    if (v4) found.push_back(&kKernelSet_x86_64_v4);
    return found;
  }();
  return sets;
}

#else

extern const KernelSet kKernelSet_arm64;

const std::vector<const KernelSet*>& runnable_kernels() {
  static const std::vector<const KernelSet*> sets{&kKernelSet_arm64};
  return sets;
}

#endif

const KernelSet& best_kernels() { return *runnable_kernels().back(); }

const KernelSet* find_kernels(const std::string& target) {
  for (const KernelSet* set : runnable_kernels()) {
    if (target == set->target) return set;
  }
  return nullptr;
}

}  // namespace sinter
