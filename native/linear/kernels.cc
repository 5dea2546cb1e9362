#include "kernels.h"

#include "../cpu/dispatch.h"

namespace sinter {

#if defined(__x86_64__)
extern const ProductKernels kProductKernels_x86_64_v2;
extern const ProductKernels kProductKernels_x86_64_v3;
extern const ProductKernels kProductKernels_x86_64_v4;
#else
extern const ProductKernels kProductKernels_arm64;
#endif

const ProductKernels* find_products(const std::string& target) {
#if defined(__x86_64__)
  static const ProductKernels* const sets[] = {&kProductKernels_x86_64_v2, &kProductKernels_x86_64_v3,
                                               &kProductKernels_x86_64_v4};
#else
  static const ProductKernels* const sets[] = {&kProductKernels_arm64};
#endif
  if (find_kernels(target) == nullptr) return nullptr;
  for (const ProductKernels* set : sets) {
    if (target == set->target) return set;
  }
  return nullptr;
}

const ProductKernels& best_products() {
  static const ProductKernels& best = *find_products(best_kernels().target);
  return best;
}

}  // namespace sinter
