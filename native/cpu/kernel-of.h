// From what a method declares to the engine's table, and from a job's number of inputs and work type to the loop that was
// compiled for it.
#pragma once

#include "map.h"
#include "reduce.h"
#include "rows.h"
#include "select.h"

SINTER_KERNEL_NAMESPACE_BEGIN

/// Calls `f` with the number of inputs as a constant where that is a common one, else with 0.
template <class Method, int N = Method::kLeastInputs, class F>
void with_inputs(int inputs, const F& f) {
  constexpr int kMostUnrolled = [] {
    if constexpr (requires { Method::kMostUnrolled; }) {
      return Method::kMostUnrolled;
    } else {
      return 6;
    }
  }();
  if constexpr (N <= kMostUnrolled && N <= Method::kMostInputs) {
    if (inputs == N) {
      f.template operator()<N>();
    } else {
      with_inputs<Method, N + 1>(inputs, f);
    }
  } else if constexpr (Method::kMostInputs > kMostUnrolled) {
    f.template operator()<0>();
  }
}

/// Float64 is rare: only methods of a fixed number of inputs are unrolled for it.
template <class Method>
constexpr int kWideInputs = Method::kLeastInputs == Method::kMostInputs ? Method::kLeastInputs : 0;

/// Calls `f` with the work type and the number of inputs that a job was compiled for.
template <class Method, class F>
void with_work(const Job& job, const F& f) {
  if (job.wide) {
    f.template operator()<double, kWideInputs<Method>>();
  } else {
    with_inputs<Method>(job.inputs, [&]<int N>() { f.template operator()<float, N>(); });
  }
}

template <class Method>
void map(const Job& job, Scratch& scratch, uint64_t begin, uint64_t end, std::byte* out, uint64_t& non_finite) {
  with_work<Method>(job, [&]<class Work, int N>() {
    if constexpr (requires { typename Method::template GroupedMap<Work, N>; }) {
      if (job.grouping != Grouping::whole) {
        using Function = typename Method::template GroupedMap<Work, N>;
        return map_range<Method, Function, Work, N>(job, scratch, begin, end, out, non_finite);
      }
    }
    using Function = typename Method::template Map<Work, N>;
    map_range<Method, Function, Work, N>(job, scratch, begin, end, out, non_finite);
  });
}

template <class Method>
void reduce(const Job& job, Scratch& scratch, uint64_t begin, uint64_t end, double* sums) {
  with_work<Method>(job, [&]<class Work, int N>() {
    if constexpr (requires { typename Method::template Remeasure<Work, N>; }) {
      if (job.round > 0) {
        using Function = typename Method::template Remeasure<Work, N>;
        return reduce_range<Method, Function, Work, N>(job, scratch, begin, end, sums);
      }
    }
    using Function = typename Method::template Reduce<Work, N>;
    reduce_range<Method, Function, Work, N>(job, scratch, begin, end, sums);
  });
}

template <class Method>
void reduce_columns(const Job& job, Scratch& scratch, uint64_t begin, uint64_t end, double* sums) {
  with_work<Method>(job, [&]<class Work, int N>() {
    using Function = typename Method::template Reduce<Work, N>;
    reduce_columns_range<Method, Function, Work, N>(job, scratch, begin, end, sums);
  });
}

template <class Method>
void magnitudes32(const Job& job, Scratch& scratch, int input, uint64_t begin, uint32_t n, uint32_t* out) {
  with_inputs<Method>(job.inputs,
                      [&]<int N>() { magnitudes_range<Method, float, N>(job, scratch, input, begin, n, out); });
}

template <class Method>
void tally32(const Job& job, Scratch& scratch, const std::vector<Selection>& selections,
             const std::vector<Bracket<uint32_t>>& brackets, uint64_t begin, uint64_t end,
             std::vector<Tally<uint32_t>*>& tallies) {
  with_inputs<Method>(job.inputs, [&]<int N>() {
    tally_range<Method, float, N>(job, scratch, selections, brackets, begin, end, tallies);
  });
}

/// Everything a method declares, as the engine's table wants it.
template <class Method>
constexpr Kernel kernel_of() {
  Kernel kernel{};
  kernel.name = Method::kName;
  kernel.valid = Method::valid;
  if constexpr (requires { typename Method::template Map<float, 2>; }) kernel.map = map<Method>;
  if constexpr (requires { &Method::grouping; }) kernel.grouping = Method::grouping;
  if constexpr (requires { requires Method::kSelects; }) {
    kernel.selections = Method::selections;
    kernel.select32 = {magnitudes32<Method>, tally32<Method>};
    kernel.select64 = {magnitudes_range<Method, double, kWideInputs<Method>>,
                       tally_range<Method, double, kWideInputs<Method>>};
  }
  if constexpr (requires { &Method::sum_count; }) {
    kernel.sum_count = Method::sum_count;
    kernel.reduce = reduce<Method>;
    if constexpr (requires { &Method::grouping; }) kernel.reduce_columns = reduce_columns<Method>;
  }
  if constexpr (requires { &Method::solve; }) kernel.solve = Method::solve;
  if constexpr (requires { &Method::group_table; }) {
    kernel.group_values = Method::group_values;
    kernel.group_table = Method::group_table;
  }
  if constexpr (requires { requires Method::kRanked; }) {
    kernel.make_room = make_mask_room<Method>;
    kernel.prepare = prepare_masks<Method>;
    kernel.needs_ranks = Method::needs_words;
    kernel.rank_limits = ranked_limits<Method>;
  } else if constexpr (requires { &Method::make_room; }) {
    kernel.make_room = Method::make_room;
    kernel.prepare = prepare_divergences<Method>;
  }
  return kernel;
}

SINTER_KERNEL_NAMESPACE_END
