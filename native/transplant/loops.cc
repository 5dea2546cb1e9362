#include "loops.h"

#include "../cpu/dispatch.h"
#include "../cpu/targets.h"

namespace sinter {

#define SINTER_DECLARE(id) extern const VectorLoops SINTER_OF_TARGET(kVectorLoops, id);
SINTER_EACH_TARGET(SINTER_DECLARE)

const VectorLoops& vector_loops() {
  static const VectorLoops& best = []() -> const VectorLoops& {
#define SINTER_ADDRESS(id) &SINTER_OF_TARGET(kVectorLoops, id),
    const VectorLoops* best_set = nullptr;
    for (const VectorLoops* set : {SINTER_EACH_TARGET(SINTER_ADDRESS)}) {
      if (find_kernels(set->target) != nullptr) best_set = set;
    }
    return *best_set;
  }();
  return best;
}

}  // namespace sinter
