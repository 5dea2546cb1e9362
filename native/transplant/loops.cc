#include "loops.h"

#include "../cpu/dispatch.h"

namespace sinter {

#if defined(__x86_64__)
extern const VectorLoops kVectorLoops_x86_64_v2;
extern const VectorLoops kVectorLoops_x86_64_v3;
extern const VectorLoops kVectorLoops_x86_64_v4;
#else
extern const VectorLoops kVectorLoops_arm64;
#endif

const VectorLoops& vector_loops() {
#if defined(__x86_64__)
  static const VectorLoops& best = []() -> const VectorLoops& {
    const std::string target = best_kernels().target;
    if (target == kVectorLoops_x86_64_v4.target) return kVectorLoops_x86_64_v4;
    return target == kVectorLoops_x86_64_v3.target ? kVectorLoops_x86_64_v3 : kVectorLoops_x86_64_v2;
  }();
  return best;
#else
  return kVectorLoops_arm64;
#endif
}

}  // namespace sinter
