#include "weights.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstring>

#include "../io/error.h"
#include "../numeric/convert.h"

namespace sinter {
namespace {

template <class D>
void widen_elements(const std::byte* from, uint64_t count, float* out) {
  for (uint64_t i = 0; i < count; i++) {
    // Tensors in files need not be aligned.
    typename D::Stored stored;
    memcpy(&stored, from + i * sizeof(stored), sizeof(stored));
    out[i] = static_cast<float>(D::widen(stored));
  }
}

void advise(const Weight& weight, uint64_t begin, uint64_t end, int advice) {
  if (weight.data == nullptr || begin >= end) return;
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const uint64_t row_bytes = weight.columns * element_size(weight.dtype);
  const uintptr_t from = (reinterpret_cast<uintptr_t>(weight.data) + begin * row_bytes) / page * page;
  const uintptr_t to = reinterpret_cast<uintptr_t>(weight.data) + end * row_bytes;
  // Advice only: where it is not taken, nothing is lost but time or memory.
  (void)madvise(reinterpret_cast<void*>(from), to - from, advice);
}

/// The weights that are large.
template <class Use>
void for_matrices(const DecoderLayer& layer, Use use) {
  for (const Linear* linear :
       {&layer.query, &layer.key, &layer.value, &layer.output, &layer.gate, &layer.up, &layer.down}) {
    use(linear->weight);
  }
}

/// All of them.
template <class Use>
void for_weights(const DecoderLayer& layer, Use use) {
  for_matrices(layer, use);
  for (const Linear* linear :
       {&layer.query, &layer.key, &layer.value, &layer.output, &layer.gate, &layer.up, &layer.down}) {
    use(linear->bias);
  }
  for (const Weight* norm : {&layer.attention_norm, &layer.query_norm, &layer.key_norm, &layer.mlp_norm}) use(*norm);
}

}  // namespace

void widen_row(const Weight& weight, uint64_t row, float* out) {
  if (weight.patched != nullptr) return weight.patched->read(row * weight.columns, (row + 1) * weight.columns, out);
  const std::byte* from = weight.data + row * weight.columns * element_size(weight.dtype);
  switch (weight.dtype) {
    case Dtype::F64:
      return widen_elements<F64>(from, weight.columns, out);
    case Dtype::F16:
      return widen_elements<F16>(from, weight.columns, out);
    case Dtype::BF16:
      return widen_elements<BF16>(from, weight.columns, out);
    default:
      return widen_elements<F32>(from, weight.columns, out);
  }
}

std::vector<float> widen(const Weight& weight) {
  std::vector<float> values(weight.columns);
  widen_row(weight, 0, values.data());
  return values;
}

void prepare(const Weight& weight, Team& team) {
  if (weight.patched != nullptr) weight.patched->prepare(team);
}

void prepare(const DecoderLayer& layer, Team& team) {
  for_weights(layer, [&team](const Weight& weight) { prepare(weight, team); });
}

void want(const DecoderLayer& layer) {
  for_matrices(layer, [](const Weight& weight) { advise(weight, 0, weight.rows, MADV_WILLNEED); });
}

void release(const DecoderLayer& layer) {
  for_weights(layer, [](const Weight& weight) {
    if (weight.patched != nullptr) weight.patched->release();
  });
  for_matrices(layer, [](const Weight& weight) { advise(weight, 0, weight.rows, MADV_DONTNEED); });
}

void release(const Weight& weight, uint64_t begin, uint64_t end) { advise(weight, begin, end, MADV_DONTNEED); }

void check(const Weight& weight) {
  if (weight.patched != nullptr) weight.patched->check();
  if (weight && weight.source->failed()) {
    throw Failure("SOURCE_FAILED", weight.source->path() + " shrank or failed while it was read");
  }
}

void check(const DecoderLayer& layer) {
  for_weights(layer, [](const Weight& weight) { check(weight); });
}

}  // namespace sinter
