#include "gather.h"

#include <cstring>

#include "convert.h"

namespace sinter {
namespace {

template <class D>
void gather(const std::byte* data, uint64_t columns, const int32_t* ids, size_t count, float* out) {
  using Stored = typename D::Stored;
  for (size_t i = 0; i < count; i++) {
    const std::byte* row = data + static_cast<uint64_t>(ids[i]) * columns * sizeof(Stored);
    for (uint64_t j = 0; j < columns; j++) {
      Stored bits;
      memcpy(&bits, row + j * sizeof(Stored), sizeof(Stored));
      *out++ = widen<D, float>(bits);
    }
  }
}

}  // namespace

void gather_rows(const std::byte* data, Dtype dtype, uint64_t columns, const int32_t* ids, size_t count, float* out) {
  switch (dtype) {
    case Dtype::F64:
      return gather<F64>(data, columns, ids, count, out);
    case Dtype::F32:
      return gather<F32>(data, columns, ids, count, out);
    case Dtype::F16:
      return gather<F16>(data, columns, ids, count, out);
    default:
      return gather<BF16>(data, columns, ids, count, out);
  }
}

}  // namespace sinter
