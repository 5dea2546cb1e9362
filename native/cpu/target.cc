// All kernels for one instruction set. Compiled once per set, with SINTER_TARGET as its name and the flags that allow it.

#include "../methods/linear.h"
#include "../methods/slerp.h"
#include "../methods/task-vector.h"
#include "passes.h"

#define SINTER_JOIN_(a, b) a##b
#define SINTER_JOIN(a, b) SINTER_JOIN_(a, b)
#define SINTER_TEXT_(a) #a
#define SINTER_TEXT(a) SINTER_TEXT_(a)

namespace sinter {

// `copy` has no loop of its own: the engine writes the input's bytes as they are.
static constexpr Kernel kKernels[] = {
    {"copy",
     [](const Job& job) { return job.inputs == 1 && job.params.empty() && job.input[0].dtype == job.out; },
     nullptr,
     {},
     {},
     nullptr,
     nullptr,
     nullptr,
     nullptr},
    kernel_of<Linear>(),
    kernel_of<Slerp>(),
    kernel_of<TaskArithmetic>(),
    kernel_of<Ties>(),
    kernel_of<DareLinear>(),
    kernel_of<DareTies>(),
};

extern const KernelSet SINTER_JOIN(kKernelSet_, SINTER_TARGET);
const KernelSet SINTER_JOIN(kKernelSet_, SINTER_TARGET){SINTER_TEXT(SINTER_TARGET_NAME), kKernels,
                                                        static_cast<int>(sizeof(kKernels) / sizeof(kKernels[0])),
                                                        has_non_finite};

}  // namespace sinter
