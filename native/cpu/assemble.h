// assemble: pieces one behind the other, each with noise and a factor: out = concat_p(factor_p (x_p + noise_p n)),
// n from the standard normal distribution.
//
// Inputs are the pieces, all of `job.input_count` elements; their dtypes may differ. params: factor and noise of each
// piece in turn. A piece of factor 1 without noise and of the output's dtype is moved as it is, bit by bit; any other is
// computed in the work type and rounded once. NaN and infinity reach the output.
// Noise of element i of a piece depends on the op's key, the piece's stream and i alone: a piece has the same noise
// wherever it lies. This is a routine of its own because inputs and output differ in size.
#pragma once

#include "chunks.h"
#include "gather.h"
#include "normal.h"

SINTER_KERNEL_NAMESPACE_BEGIN

inline bool valid_assembly(const Job& job) {
  const uint64_t pieces = static_cast<uint64_t>(job.inputs);
  return pieces >= 1 && job.params.size() == 2 * pieces && job.input_count * pieces == job.count;
}

template <class Work>
bool assemble_chunk(const Job& job, int piece, uint64_t begin, uint32_t n, Work* room, double* normals) {
  const InputSpan& span = job.input[piece];
  const size_t pair = 2 * static_cast<size_t>(piece);
  const Work factor = static_cast<Work>(job.params[pair]);
  const Work noise = static_cast<Work>(job.params[pair + 1]);
  const bool found = load_elements(job, piece, begin, n, room);
  if (noise != Work{0}) {
    const uint64_t aligned = begin - begin % kChunk;
    normal_chunk(job.key, span.stream, aligned, normals);
    const double* from = normals + (begin - aligned);
    for (uint32_t i = 0; i < n; i++) room[i] += noise * static_cast<Work>(from[i]);
  }
  for (uint32_t i = 0; i < n; i++) room[i] *= factor;
  return found;
}

template <class Work>
void assemble_range(const Job& job, uint64_t begin, uint64_t end, std::byte* out, uint64_t& non_finite) {
  Work room[kChunk];
  double normals[kChunk];
  const uint64_t width = element_size(job.out);
  for (uint64_t at = begin; at < end;) {
    const int piece = static_cast<int>(at / job.input_count);
    const uint64_t first = at % job.input_count;
    const InputSpan& span = job.input[piece];
    const size_t pair = 2 * static_cast<size_t>(piece);
    uint64_t n = std::min(job.input_count - first, end - at);
    bool found;
    if (span.patches == nullptr && span.dtype == job.out && job.params[pair] == 1.0 && job.params[pair + 1] == 0.0) {
      const std::byte* const bytes = elements_of(span, first, n, out);
      if (bytes != out) memcpy(out, bytes, n * width);
      found = has_non_finite(out, job.out, n);
    } else {
      // Chunks of random numbers start at multiples of kChunk within the piece.
      n = std::min<uint64_t>(n, kChunk - first % kChunk);
      found = assemble_chunk(job, piece, first, static_cast<uint32_t>(n), room, normals);
      narrow_chunk(job.out, room, static_cast<uint32_t>(n), out);
    }
    non_finite |= static_cast<uint64_t>(found) << piece;
    out += n * width;
    at += n;
  }
}

inline void assemble(const Job& job, Scratch&, uint64_t begin, uint64_t end, std::byte* out, uint64_t& non_finite) {
  if (job.wide) {
    assemble_range<double>(job, begin, end, out, non_finite);
  } else {
    assemble_range<float>(job, begin, end, out, non_finite);
  }
}

constexpr Kernel assemble_kernel() {
  Kernel kernel{};
  kernel.name = "assemble";
  kernel.input_kind = InputKind::pieces;
  kernel.valid = valid_assembly;
  kernel.map = assemble;
  return kernel;
}

SINTER_KERNEL_NAMESPACE_END
