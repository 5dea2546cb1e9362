#include "strided.h"

#include <algorithm>
#include <cstring>

namespace sinter {
namespace {

template <size_t Width>
void copy_run(const std::byte* from, uint64_t stride, uint64_t n, std::byte* to) {
  for (uint64_t i = 0; i < n; i++) memcpy(to + i * Width, from + i * stride * Width, Width);
}

template <size_t Width>
void gather_as(const std::byte* data, const StridedLayout& layout, uint64_t begin, uint64_t n, std::byte* to) {
  const size_t dimensions = layout.sizes.size();
  if (dimensions == 0) return copy_run<Width>(data, 0, n, to);
  uint64_t at[kMaxDimensions];
  uint64_t element = 0;
  for (size_t d = dimensions; d-- > 0; begin /= layout.sizes[d]) {
    at[d] = begin % layout.sizes[d];
    element += at[d] * layout.strides[d];
  }
  const size_t last = dimensions - 1;
  while (true) {
    const uint64_t run = std::min(n, layout.sizes[last] - at[last]);
    copy_run<Width>(data + element * Width, layout.strides[last], run, to);
    n -= run;
    if (n == 0) return;
    to += run * Width;
    element -= at[last] * layout.strides[last];
    at[last] = 0;
    for (size_t d = last; d-- > 0;) {
      element += layout.strides[d];
      if (++at[d] < layout.sizes[d]) break;
      element -= layout.sizes[d] * layout.strides[d];
      at[d] = 0;
    }
  }
}

}  // namespace

uint64_t StridedLayout::extent() const {
  uint64_t last = 0;
  bool overflows = false;
  for (size_t d = 0; d < sizes.size(); d++) {
    if (sizes[d] == 0) return 0;
    uint64_t reach = 0;
    overflows |= __builtin_mul_overflow(sizes[d] - 1, strides[d], &reach);
    overflows |= __builtin_add_overflow(last, reach, &last);
  }
  return overflows || last == UINT64_MAX ? UINT64_MAX : last + 1;
}

StridedLayout StridedLayout::simplified() const {
  StridedLayout simple;
  for (size_t d = 0; d < sizes.size(); d++) {
    if (sizes[d] == 1) continue;
    if (!simple.sizes.empty() && simple.strides.back() == sizes[d] * strides[d]) {
      simple.sizes.back() *= sizes[d];
      simple.strides.back() = strides[d];
    } else {
      simple.sizes.push_back(sizes[d]);
      simple.strides.push_back(strides[d]);
    }
  }
  return simple;
}

void gather(const std::byte* data, const StridedLayout& layout, size_t width, uint64_t begin, uint64_t n,
            std::byte* to) {
  if (n == 0) return;
  if (width == 8) return gather_as<8>(data, layout, begin, n, to);
  if (width == 4) return gather_as<4>(data, layout, begin, n, to);
  if (width == 2) return gather_as<2>(data, layout, begin, n, to);
  gather_as<1>(data, layout, begin, n, to);
}

}  // namespace sinter
