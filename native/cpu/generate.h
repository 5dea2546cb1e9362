// Tensors that are made without an input.
//
// constant: every element is params[0].
// literal:  element i is params[i].
// normal:   independent normal numbers of mean 0 and standard deviation params[0].
// uniform:  independent numbers, uniform in (params[0], params[1]).
// Random numbers depend on the op's key and the element's index alone. All are rounded to the output's dtype once, those
// of 16 bits by way of the work type.
#pragma once

#include <algorithm>

#include "chunks.h"
#include "normal.h"

SINTER_KERNEL_NAMESPACE_BEGIN

struct Constant {
  static constexpr const char* kName = "constant";
  static bool valid(const Job& job) { return job.params.size() == 1; }
  static void chunk(const Job& job, uint64_t, double* to) { std::fill(to, to + kChunk, job.params[0]); }
};

struct Literal {
  static constexpr const char* kName = "literal";
  static bool valid(const Job& job) { return job.params.size() == job.count; }
  static void chunk(const Job& job, uint64_t begin, double* to) {
    const uint64_t n = std::min<uint64_t>(kChunk, job.count - begin);
    std::copy_n(job.params.data() + begin, n, to);
  }
};

struct Normal {
  static constexpr const char* kName = "normal";
  static bool valid(const Job& job) { return job.params.size() == 1; }
  static void chunk(const Job& job, uint64_t begin, double* to) {
    normal_chunk(job.key, 0, begin, to);
    for (uint32_t i = 0; i < kChunk; i++) to[i] *= job.params[0];
  }
};

struct Uniform {
  static constexpr const char* kName = "uniform";
  static bool valid(const Job& job) { return job.params.size() == 2; }
  static void chunk(const Job& job, uint64_t begin, double* to) {
    uint32_t words[kChunk];
    random_words(job.key, 0, begin, words);
    const double low = job.params[0];
    const double range = job.params[1] - low;
    for (uint32_t i = 0; i < kChunk; i++) to[i] = low + range * unit_interval(words[i]);
  }
};

template <class Source, class Work>
void generate_range(const Job& job, uint64_t begin, uint64_t end, std::byte* out) {
  double made[kChunk] = {};
  Work room[kChunk];
  for (uint64_t at = begin; at < end; at += kChunk) {
    const uint32_t n = static_cast<uint32_t>(std::min<uint64_t>(kChunk, end - at));
    Source::chunk(job, at, made);
    for (uint32_t i = 0; i < n; i++) room[i] = static_cast<Work>(made[i]);
    narrow_chunk(job.out, room, n, out);
    out += n * element_size(job.out);
  }
}

template <class Source>
void generate(const Job& job, Scratch&, uint64_t begin, uint64_t end, std::byte* out, uint64_t&) {
  if (job.wide) {
    generate_range<Source, double>(job, begin, end, out);
  } else {
    generate_range<Source, float>(job, begin, end, out);
  }
}

template <class Source>
constexpr Kernel generator() {
  Kernel kernel{};
  kernel.name = Source::kName;
  kernel.input_kind = InputKind::none;
  kernel.valid = Source::valid;
  kernel.map = generate<Source>;
  return kernel;
}

SINTER_KERNEL_NAMESPACE_END
