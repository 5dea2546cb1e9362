#include <cstring>

#include "launch.h"

namespace sinter::cuda {

extern const DeviceKernels kLinearKernels;
extern const DeviceKernels kGramKernels;
extern const DeviceKernels kGramBaseKernels;
extern const DeviceKernels kTiesKernels;
extern const DeviceKernels kDareKernels;
extern const DeviceKernels kBreadcrumbsKernels;
extern const DeviceKernels kDellaKernels;
extern const DeviceKernels kSceKernels;
extern const DeviceKernels kRamKernels;
extern const DeviceKernels kArceeFusionKernels;
extern const DeviceKernels kCompareKernels;

namespace {

constexpr const DeviceKernels* kFamilies[] = {&kLinearKernels, &kGramKernels,        &kGramBaseKernels, &kTiesKernels,
                                              &kDareKernels,   &kBreadcrumbsKernels, &kDellaKernels,    &kSceKernels,
                                              &kRamKernels,    &kArceeFusionKernels, &kCompareKernels};

}  // namespace

int find_kernel(const char* name) {
  int number = 0;
  for (const DeviceKernels* family : kFamilies) {
    for (int i = 0; i < family->count; i++, number++) {
      if (std::strcmp(family->kernels[i].name, name) == 0) return number;
    }
  }
  return -1;
}

const DeviceKernel* kernel_number(int number) {
  for (const DeviceKernels* family : kFamilies) {
    if (number >= 0 && number < family->count) return &family->kernels[number];
    number -= family->count;
  }
  return nullptr;
}

}  // namespace sinter::cuda
