// What methods share that only need the inner products of their inputs: one reduce for the Gram matrix, any iteration on
// a few float64 numbers, one map that combines the inputs.
//
// The vectors are the inputs, or their differences from the base, input 0, where there is one. Differences and the
// final combination are in the work type; inner products are float64 sums over a fixed tree.
#pragma once

#include <vector>

#include "../engine/job.h"
#include "../numeric/lanes.h"
#include "../numeric/target.h"

SINTER_KERNEL_NAMESPACE_BEGIN

/// The Gram matrix of one group, upper half row by row as the reduce pass leaves it.
class Gram {
 public:
  Gram(const double* sums, int vectors) : sums_(sums), vectors_(vectors) {}

  double operator()(int i, int j) const {
    const int low = i < j ? i : j;
    const int high = i < j ? j : i;
    return sums_[low * vectors_ - low * (low - 1) / 2 + (high - low)];
  }

  /// Squared norm of the combination with these coefficients; cancellation may leave it slightly below zero.
  double squared_norm(const std::vector<double>& coefficients) const {
    double sum = 0;
    for (int i = 0; i < vectors_; i++) sum += coefficients[i] * product(coefficients, i);
    return sum;
  }

  /// Inner product of the combination with these coefficients and vector `i`.
  double product(const std::vector<double>& coefficients, int i) const {
    double sum = 0;
    for (int j = 0; j < vectors_; j++) sum += coefficients[j] * (*this)(i, j);
    return sum;
  }

 private:
  const double* sums_;
  int vectors_;
};

constexpr int gram_size(int vectors) { return vectors * (vectors + 1) / 2; }

template <bool kBase, class Value>
SINTER_HD Value vector_element(const Value* x, int k) {
  return kBase ? x[k + 1] - x[0] : x[k];
}

/// All inner products.
template <class Work, int N, bool kBase>
struct GramReduce {
  static constexpr int kVectors = N > 0 ? N - (kBase ? 1 : 0) : kMaxInputs;
  static constexpr int kSums = N > 0 ? gram_size(kVectors) : 0;
  static constexpr bool kLanewise = true;
  int vectors;

  explicit GramReduce(const Job& job) : vectors(job.inputs - (kBase ? 1 : 0)) {}
  void at(uint64_t) {}

  template <class Value, class Word, class Index, class Sums>
  SINTER_HD void operator()(const Value* x, const Word*, Index, Sums sums) const {
    const int n = N > 0 ? kVectors : vectors;
    DoubleOf<Value> v[kVectors];
    for (int i = 0; i < n; i++) v[i] = to_double(vector_element<kBase>(x, i));
    int next = 0;
    for (int i = 0; i < n; i++) {
      for (int j = i; j < n; j++) sums[next++] = v[i] * v[j];
    }
  }
};

/// Squared norm of a combination, measured element by element: where the Gram matrix would cancel.
template <class Work, int N, bool kBase>
struct CombinationNorm {
  static constexpr int kVectors = N > 0 ? N - (kBase ? 1 : 0) : kMaxInputs;
  static constexpr int kSums = 1;
  int vectors;
  double coefficient[kVectors] = {};

  explicit CombinationNorm(const Job& job) : vectors(job.inputs - (kBase ? 1 : 0)) {
    for (int k = 0; k < vectors; k++) coefficient[k] = job.solved[static_cast<size_t>(k)];
  }
  void at(uint64_t) {}

  static constexpr bool kLanewise = true;

  template <class Value, class Word, class Index, class Sums>
  SINTER_HD void operator()(const Value* x, const Word*, Index, Sums sums) const {
    const int n = N > 0 ? kVectors : vectors;
    DoubleOf<Value> sum = {};
    for (int k = 0; k < n; k++) sum += coefficient[k] * to_double(vector_element<kBase>(x, k));
    sums[0] = sum * sum;
  }
};

/// out = [base +] sum_k c_k v_k. With groups the coefficients follow the inputs in `x`, those of the element's group.
template <class Work, int N, bool kBase, bool kGrouped>
struct Combine {
  static constexpr int kVectors = N > 0 ? N - (kBase ? 1 : 0) : kMaxInputs;
  static constexpr int kExtra = kGrouped ? kVectors : 0;
  int inputs;
  int vectors;
  Work coefficient[kVectors] = {};

  explicit Combine(const Job& job) : inputs(job.inputs), vectors(job.inputs - (kBase ? 1 : 0)) {
    if constexpr (!kGrouped) {
      for (int k = 0; k < vectors; k++) coefficient[k] = static_cast<Work>(job.solved[static_cast<size_t>(k)]);
    }
  }
  void at(uint64_t) {}

  static constexpr bool kLanewise = true;

  template <class Value, class Word, class Index>
  SINTER_HD Value operator()(const Value* x, const Word*, Index) const {
    const int n = N > 0 ? kVectors : vectors;
    const int first = N > 0 ? N : inputs;
    const Value zero = {};
    Value sum = zero;
    for (int k = 0; k < n; k++) {
      const Value c = kGrouped ? x[first + k] : zero + coefficient[k];
      sum = k == 0 ? c * vector_element<kBase>(x, k) : sum + c * vector_element<kBase>(x, k);
    }
    return kBase ? x[0] + sum : sum;
  }
};

/// A method that is a Gram matrix, a `coefficients(job, gram, out)` and a combination.
template <class Method, bool kBase, int kLeastVectors, int kMostVectors>
struct GramMethod {
  static constexpr int kLeastInputs = kLeastVectors + (kBase ? 1 : 0);
  static constexpr int kMostInputs = kMostVectors == kMaxInputs ? kMaxInputs : kMostVectors + (kBase ? 1 : 0);

  static int vectors(const Job& job) { return job.inputs - (kBase ? 1 : 0); }
  static int sum_count(const Job& job) { return gram_size(vectors(job)); }
  static int group_values(const Job& job) { return vectors(job); }
  static const double* group_table(const Job& job) { return job.solved.data(); }

  template <class Work, int N>
  using Reduce = GramReduce<Work, N, kBase>;
  template <class Work, int N>
  using Map = Combine<Work, N, kBase, false>;
  template <class Work, int N>
  using GroupedMap = Combine<Work, N, kBase, true>;

  static bool solve(Job& job) {
    const int n = vectors(job);
    const size_t groups = static_cast<size_t>(job.groups());
    job.solved.assign(groups * static_cast<size_t>(n), 0.0);
    std::vector<double> coefficients(static_cast<size_t>(n));
    for (size_t group = 0; group < groups; group++) {
      const Gram gram(job.sums.data() + group * static_cast<size_t>(gram_size(n)), n);
      Method::coefficients(job, gram, coefficients);
      for (int k = 0; k < n; k++)
        job.solved[group * static_cast<size_t>(n) + static_cast<size_t>(k)] = coefficients[static_cast<size_t>(k)];
    }
    return false;
  }
};

SINTER_KERNEL_NAMESPACE_END
