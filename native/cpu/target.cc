// All kernels for one instruction set. Compiled once per set, with SINTER_TARGET as its name and the flags that allow it.

#include "../methods/arcee-fusion.h"
#include "../methods/compare.h"
#include "../methods/karcher.h"
#include "../methods/linear.h"
#include "../methods/model-stock.h"
#include "../methods/multislerp.h"
#include "../methods/nearswap.h"
#include "../methods/nuslerp.h"
#include "../methods/ram.h"
#include "../methods/sce.h"
#include "../methods/slerp.h"
#include "../methods/task-vector.h"
#include "assemble.h"
#include "difference.h"
#include "generate.h"
#include "kernel-of.h"
#include "make-patch.h"

#define SINTER_JOIN_(a, b) a##b
#define SINTER_JOIN(a, b) SINTER_JOIN_(a, b)
#define SINTER_TEXT_(a) #a
#define SINTER_TEXT(a) SINTER_TEXT_(a)

namespace sinter {

// `copy` has no loop of its own: the engine writes the input's bytes as they are.
static constexpr Kernel copy_kernel() {
  Kernel kernel{};
  kernel.name = "copy";
  kernel.valid = [](const Job& job) { return job.inputs == 1 && job.params.empty() && job.input[0].dtype == job.out; };
  return kernel;
}

static constexpr Kernel kKernels[] = {
    copy_kernel(),
    assemble_kernel(),
    generator<Constant>(),
    generator<Literal>(),
    generator<Normal>(),
    generator<Uniform>(),
    kernel_of<Linear>(),
    kernel_of<Slerp>(),
    kernel_of<NuSlerp>(),
    kernel_of<NuSlerpBase>(),
    kernel_of<MultiSlerp>(),
    kernel_of<MultiSlerpBase>(),
    kernel_of<Karcher>(),
    kernel_of<ModelStock>(),
    kernel_of<TaskArithmetic>(),
    kernel_of<Ties>(),
    kernel_of<TiesCount>(),
    kernel_of<DareLinear>(),
    kernel_of<DareTies>(),
    kernel_of<Breadcrumbs>(),
    kernel_of<BreadcrumbsTies>(),
    kernel_of<DellaLinear>(),
    kernel_of<Della>(),
    kernel_of<Sce>(),
    kernel_of<Ram>(),
    kernel_of<RamPlus>(),
    kernel_of<NearSwap>(),
    kernel_of<ArceeFusion>(),
    kernel_of<Compare>(),
    difference_kernel(),
};

extern const KernelSet SINTER_JOIN(kKernelSet_, SINTER_TARGET);
const KernelSet SINTER_JOIN(kKernelSet_, SINTER_TARGET){SINTER_TEXT(SINTER_TARGET_NAME),
                                                        kKernels,
                                                        static_cast<int>(sizeof(kKernels) / sizeof(kKernels[0])),
                                                        has_non_finite,
                                                        add_rows,
                                                        load_floats,
                                                        load_work,
                                                        make_patch,
                                                        sum_patch_squares,
                                                        magnitude_of};

}  // namespace sinter
