#include "kernels.h"

#include "../cpu/dispatch.h"
#include "../cpu/targets.h"

namespace sinter {

#define SINTER_DECLARE(id) extern const ProductKernels SINTER_OF_TARGET(kProductKernels, id);
SINTER_EACH_TARGET(SINTER_DECLARE)

const ProductKernels* find_products(const std::string& target) {
#define SINTER_ADDRESS(id) &SINTER_OF_TARGET(kProductKernels, id),
  static const ProductKernels* const sets[] = {SINTER_EACH_TARGET(SINTER_ADDRESS)};
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
