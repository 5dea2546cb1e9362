// Ops to check the device with: a kernel, its numbers, and made-up inputs.
#pragma once

#include <string>
#include <vector>

#include "../../engine/kernel.h"

namespace sinter::cuda {

/// What the elements are: `tuned` models differ from the base by a few steps of bfloat16, so that many magnitudes are
/// equal; `wild` ones are any bits, NaN, infinities and subnormals among them; `still` ones hardly differ from the base.
enum class Content { tuned, smooth, wild, still };
constexpr const char* kContentNames[] = {"tuned", "smooth", "wild", "still"};

struct Case {
  std::string name;
  const Kernel* kernel = nullptr;
  Job job;
  std::vector<std::vector<std::byte>> inputs;
};

struct CaseShape {
  uint64_t rows, columns;
};

/// One of the ways to set a kernel up.
struct CaseSpec {
  const Kernel* kernel;
  int inputs;
  /// Numbers a set of dtypes: those of the inputs, and that of the output.
  int dtypes;
  int variant;
  CaseShape shape;
  Content content;
  uint64_t seed;
  /// 0: the first of its kernel. 1: the first of its kernel with its dtypes. 2: a further one.
  int tier;
};

/// Sets of dtypes there are.
int dtype_sets();

/// Every kernel that the device has with every number of inputs and set of dtypes, each with some shape, content and
/// numbers; others for another seed. `large`: with shapes that take a GPU a moment.
std::vector<CaseSpec> list_cases(const KernelSet& kernels, uint64_t seed, bool large);

Case make_case(const CaseSpec& spec);

}  // namespace sinter::cuda
