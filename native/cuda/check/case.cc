#include "case.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <set>

#include "../../methods/task-vector.h"
#include "../../numeric/convert.h"
#include "../launch.h"

namespace sinter::cuda {
namespace {

using Random = std::mt19937_64;

double uniform(Random& random, double least, double most) {
  return least + (most - least) * (static_cast<double>(random() >> 11) * 0x1p-53);
}

struct DtypeSet {
  std::vector<Dtype> inputs;  // in turn
  Dtype out;
};

const DtypeSet kDtypeSets[] = {
    {{Dtype::BF16}, Dtype::BF16},
    {{Dtype::F16}, Dtype::F32},
    {{Dtype::F32}, Dtype::F16},
    {{Dtype::BF16, Dtype::F32, Dtype::F16}, Dtype::BF16},
    {{Dtype::F64, Dtype::BF16, Dtype::F32}, Dtype::F64},
    {{Dtype::F32, Dtype::F16}, Dtype::F64},
    {{Dtype::F16}, Dtype::F16},
    {{Dtype::F32}, Dtype::F32},
    {{Dtype::F32}, Dtype::BF16},
    {{Dtype::BF16}, Dtype::F32},
    {{Dtype::F64}, Dtype::BF16},
    {{Dtype::F64, Dtype::F32}, Dtype::F16},
    {{Dtype::F64}, Dtype::F32},
};

struct Numbers {
  const char* kernel;
  int least, most, variants;
  std::vector<double> (*make)(int inputs, uint64_t count, int variant, Random& random);
};

std::vector<double> some(Random& random, int count) {
  std::vector<double> numbers;
  for (int i = 0; i < count; i++) numbers.push_back(uniform(random, -0.4, 1.2));
  return numbers;
}

/// lambda, normalize, rescale, then what `own` says of each model.
template <class Own>
std::vector<double> task_numbers(int inputs, int variant, Random& random, const Own& own) {
  std::vector<double> numbers{uniform(random, 0.5, 1.5), static_cast<double>(variant & 1),
                              static_cast<double>(variant >> 1 & 1)};
  for (int m = 1; m < inputs; m++) {
    numbers.push_back(uniform(random, -0.3, 1.0));
    for (const double number : own(m)) numbers.push_back(number);
  }
  return numbers;
}

std::vector<double> ties_numbers(int inputs, uint64_t count, int variant, Random& random) {
  return task_numbers(inputs, variant, random, [&](int m) {
    return std::vector<double>{m == 3 ? -1.0 : std::floor(uniform(random, 0, static_cast<double>(count)))};
  });
}

std::vector<double> dare_numbers(int inputs, uint64_t, int variant, Random& random) {
  return task_numbers(inputs, variant, random, [&](int m) {
    // One number in 2^16 equals the upper half of the limit: where that half is 0, all that are kept do.
    const double small = (variant & 2) != 0 ? 0x1.8p-17 : 0x1.8p-15;
    return std::vector<double>{m == 2 && (variant & 1) != 0 ? 1.0 : m == 3 ? small : uniform(random, 0.05, 0.95)};
  });
}

std::vector<double> breadcrumbs_numbers(int inputs, uint64_t count, int variant, Random& random) {
  return task_numbers(inputs, variant, random, [&](int m) {
    const double top = std::floor(uniform(random, 0, 0.1 * static_cast<double>(count)));
    return std::vector<double>{top, m == 2 ? -1.0 : std::floor(uniform(random, 0, 0.8 * static_cast<double>(count)))};
  });
}

std::vector<double> della_numbers(int inputs, uint64_t, int variant, Random& random) {
  return task_numbers(inputs, variant, random, [&](int m) {
    return std::vector<double>{m == 2 ? 1.0 : uniform(random, 0.3, 0.7), uniform(random, -0.2, 0.25)};
  });
}

const Numbers kNumbers[] = {
    {"linear", 1, 9, 1, [](int inputs, uint64_t, int, Random& random) { return some(random, inputs); }},
    {"slerp", 2, 2, 1, [](int, uint64_t, int, Random& random) { return some(random, 1); }},
    {"nearswap", 2, 2, 1, [](int, uint64_t, int, Random&) { return std::vector<double>{1e-4}; }},
    {"nuslerp", 2, 2, 3,
     [](int, uint64_t, int variant, Random&) {
       return std::vector<double>{0.3, 1.0 * variant};
     }},
    {"nuslerp_base", 3, 3, 3,
     [](int, uint64_t, int variant, Random&) {
       return std::vector<double>{0.6, 1.0 * variant};
     }},
    {"multislerp", 1, 9, 1,
     [](int inputs, uint64_t, int, Random& random) {
       std::vector<double> numbers{1.0, 1e-8};
       for (int i = 0; i < inputs; i++) numbers.push_back(uniform(random, 0.1, 1));
       return numbers;
     }},
    {"multislerp_base", 2, 8, 1,
     [](int inputs, uint64_t, int, Random& random) {
       std::vector<double> numbers{0.0, 1e-8};
       for (int i = 1; i < inputs; i++) numbers.push_back(uniform(random, 0.1, 1));
       return numbers;
     }},
    {"karcher", 1, 8, 1,
     [](int, uint64_t, int, Random&) {
       return std::vector<double>{10, 1e-5};
     }},
    {"model_stock", 3, 8, 2, [](int, uint64_t, int variant, Random&) { return std::vector<double>{1.0 * variant}; }},
    {"task_arithmetic", 2, 8, 2,
     [](int inputs, uint64_t, int variant, Random& random) {
       return task_numbers(inputs, variant & 1, random, [](int) { return std::vector<double>{0}; });
     }},
    {"ties", 2, 8, 4, ties_numbers},
    {"ties_count", 2, 8, 4, ties_numbers},
    {"dare_linear", 2, 8, 4, dare_numbers},
    {"dare_ties", 2, 8, 4, dare_numbers},
    {"breadcrumbs", 2, 8, 4, breadcrumbs_numbers},
    {"breadcrumbs_ties", 2, 8, 4, breadcrumbs_numbers},
    {"della_linear", 2, 8, 4, della_numbers},
    {"della", 2, 8, 4, della_numbers},
    {"sce", 2, 8, 2, [](int, uint64_t, int variant, Random&) { return std::vector<double>{variant == 0 ? 0.4 : 1.0}; }},
    {"ram", 2, 8, 1, [](int, uint64_t, int, Random&) { return std::vector<double>{1e-5}; }},
    {"ramplus_tl", 2, 8, 1,
     [](int, uint64_t, int, Random&) {
       return std::vector<double>{1e-5, 0.1, 0.2};
     }},
    {"arcee_fusion", 2, 2, 1, [](int, uint64_t, int, Random&) { return std::vector<double>{}; }},
    {"compare", 2, 7, 1, [](int, uint64_t, int, Random&) { return std::vector<double>{}; }},
};

const CaseShape kSmallShapes[] = {{1, 1},     {1, 1000},  {7, 333},  {5, 4099}, {9, 128}, {41, 63},
                                  {300, 257}, {2, 66001}, {3, 1024}, {2, 9001}, {6, 2050}};
const CaseShape kLargeShapes[] = {{257, 4096}, {511, 1537}, {3, 300007}, {20000, 40},
                                  {20, 65536}, {37, 14336}, {1, 1200001}};

const Numbers& numbers_of(const char* kernel) {
  return *std::find_if(std::begin(kNumbers), std::end(kNumbers),
                       [&](const Numbers& numbers) { return std::strcmp(numbers.kernel, kernel) == 0; });
}

/// A normal number, nearly: the sum of four uniform ones.
double bell(Random& random) {
  double sum = 0;
  for (int i = 0; i < 4; i++) sum += uniform(random, -1, 1);
  return sum * 0.866;
}

void store(Dtype dtype, std::byte* data, uint64_t i, double value) {
  const auto put = [&](auto bits) { std::memcpy(data + i * sizeof(bits), &bits, sizeof(bits)); };
  switch (dtype) {
    case Dtype::F64:
      return put(F64::narrow(value));
    case Dtype::F32:
      return put(narrow<F32>(value));
    case Dtype::F16:
      return put(narrow<F16>(value));
    default:
      return put(narrow<BF16>(value));
  }
}

/// Elements of all inputs. A few of the wild ones are special; the others keep the sums finite in most blocks.
void fill(Case& made, Content content, Random& random) {
  const Job& job = made.job;
  for (int k = 0; k < job.inputs; k++) {
    made.inputs[static_cast<size_t>(k)].resize(job.count * element_size(job.input[k].dtype) + 1);
  }
  const double specials[] = {NAN, INFINITY, -INFINITY, 0.0, -0.0, 1e-40, -3e-45, 6e-8, 6.5e4, 1e30, -2e38, 1e-310};
  for (uint64_t i = 0; i < job.count; i++) {
    const double base = static_cast<double>(BF16::widen(BF16::narrow(static_cast<float>(0.02 * bell(random)))));
    for (int k = 0; k < job.inputs; k++) {
      double value = base;
      if (k > 0 && content == Content::tuned)
        value = static_cast<double>(BF16::widen(BF16::narrow(static_cast<float>(base + 3e-4 * bell(random)))));
      if (k > 0 && content == Content::smooth) value = base + 3e-4 * bell(random);
      if (k > 0 && content == Content::still && random() % 64 == 0) value = base * (1 + 0.01 * static_cast<double>(k));
      if (content == Content::wild) {
        value = random() % 500 == 0 ? specials[random() % std::size(specials)]
                                    : std::ldexp(bell(random), static_cast<int>(random() % 40) - 30);
      }
      store(job.input[k].dtype, made.inputs[static_cast<size_t>(k)].data(), i, value);
    }
  }
}

}  // namespace

int dtype_sets() { return static_cast<int>(std::size(kDtypeSets)); }

std::vector<CaseSpec> list_cases(const KernelSet& kernels, uint64_t seed, bool large) {
  std::vector<CaseShape> shapes(std::begin(kSmallShapes), std::end(kSmallShapes));
  if (large) shapes.insert(shapes.end(), std::begin(kLargeShapes), std::end(kLargeShapes));
  std::vector<CaseSpec> specs;
  uint64_t turn = seed;
  for (int i = 0; i < kernels.count; i++) {
    const Kernel& kernel = kernels.kernels[i];
    if (find_kernel(kernel.name) < 0) continue;
    const Numbers& numbers = numbers_of(kernel.name);
    for (int inputs = numbers.least; inputs <= numbers.most; inputs++) {
      for (int dtypes = 0; dtypes < dtype_sets(); dtypes++) {
        for (int variant = 0; variant < numbers.variants; variant++, turn++) {
          specs.push_back({&kernel, inputs, dtypes, variant, shapes[turn % shapes.size()],
                           static_cast<Content>(turn / 3 % 4), seed + specs.size(), 2});
        }
      }
    }
  }
  // In any order, so that a part of them is a bit of everything. But a case of each kernel comes first, then one of each
  // kernel with each of its dtypes.
  Random random(seed);
  std::shuffle(specs.begin(), specs.end(), random);
  std::set<const Kernel*> kernels_seen;
  std::set<std::pair<const Kernel*, int>> pairs_seen;
  for (CaseSpec& spec : specs) {
    const bool new_kernel = kernels_seen.insert(spec.kernel).second;
    const bool new_pair = pairs_seen.emplace(spec.kernel, spec.dtypes).second;
    spec.tier = new_kernel ? 0 : new_pair ? 1 : 2;
  }
  std::stable_sort(specs.begin(), specs.end(),
                   [](const CaseSpec& one, const CaseSpec& other) { return one.tier < other.tier; });
  return specs;
}

Case make_case(const CaseSpec& spec) {
  Random random(spec.seed);
  Case made;
  made.kernel = spec.kernel;
  Job& job = made.job;
  const DtypeSet& dtypes = kDtypeSets[spec.dtypes];
  job.id = spec.seed + 1;
  job.inputs = spec.inputs;
  job.rows = spec.shape.rows;
  job.columns = spec.shape.columns;
  job.count = job.input_count = job.rows * job.columns;
  job.out = dtypes.out;
  job.wide = job.out == Dtype::F64;
  job.key = random();
  made.inputs.resize(static_cast<size_t>(job.inputs));
  for (int k = 0; k < job.inputs; k++) {
    job.input[k].dtype = dtypes.inputs[static_cast<size_t>(k) % dtypes.inputs.size()];
    job.input[k].stream = static_cast<uint32_t>(k);
    job.wide = job.wide || job.input[k].dtype == Dtype::F64;
  }
  job.params = numbers_of(spec.kernel->name).make(job.inputs, job.count, spec.variant, random);
  if (spec.kernel->grouping != nullptr) job.grouping = spec.kernel->grouping(job);
  fill(made, spec.content, random);
  for (int k = 0; k < job.inputs; k++) job.input[k].data = made.inputs[static_cast<size_t>(k)].data();
  made.name = std::string(spec.kernel->name) + " of " + std::to_string(job.inputs) + ", dtypes " +
              std::to_string(spec.dtypes) + ", numbers " + std::to_string(spec.variant) + ", " +
              std::to_string(job.rows) + " x " + std::to_string(job.columns) + ", " +
              kContentNames[static_cast<int>(spec.content)];
  return made;
}

}  // namespace sinter::cuda
