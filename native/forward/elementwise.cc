#include "elementwise.h"

#include "../cpu/targets.h"

namespace sinter {

#define SINTER_DECLARE(id) extern const ElementwiseKernels SINTER_OF_TARGET(kElementwiseKernels, id);
SINTER_EACH_TARGET(SINTER_DECLARE)

const ElementwiseKernels& elementwise_kernels(const std::string& target) {
#define SINTER_ADDRESS(id) &SINTER_OF_TARGET(kElementwiseKernels, id),
  static const ElementwiseKernels* const sets[] = {SINTER_EACH_TARGET(SINTER_ADDRESS)};
  for (const ElementwiseKernels* set : sets) {
    if (target == set->target) return *set;
  }
  return *sets[0];
}

}  // namespace sinter
