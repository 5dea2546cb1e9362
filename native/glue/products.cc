#include "products.h"

#include <chrono>
#include <vector>

#include "../linear/gemm.h"
#include "values.h"

namespace sinter {
namespace {

Matrix read_operand(const Napi::Object& from) {
  const Dtype dtype = dtype_of(from.Get("dtype"));
  if (!is_float(dtype)) bad_argument("matrix products take floats only");
  const uint64_t rows = whole(from.Get("rows"), "rows"), columns = whole(from.Get("columns"), "columns");
  const uint64_t stride = whole(from.Get("stride"), "stride");
  if (rows > UINT32_MAX || columns > UINT32_MAX || stride > UINT32_MAX || stride < columns) {
    bad_argument("the sizes of a matrix are out of range");
  }
  if (!from.Get("bytes").IsTypedArray()) bad_argument("bytes must be a typed array");
  const Napi::TypedArray bytes = from.Get("bytes").As<Napi::TypedArray>();
  const uint64_t elements = rows == 0 ? 0 : (rows - 1) * stride + columns;
  check_range(0, elements * element_size(dtype), bytes.ByteLength(), "matrix");
  const auto* data = static_cast<const std::byte*>(bytes.ArrayBuffer().Data()) + bytes.ByteOffset();
  const Matrix matrix = Matrix::stored(data, dtype, rows, columns, stride);
  return from.Get("transposed").ToBoolean() ? matrix.transposed() : matrix;
}

}  // namespace

Napi::Value multiply(Napi::Env env, const Napi::Object& from, unsigned threads, const std::string& target) {
  const Matrix a = read_operand(object(from.Get("a"))), b = read_operand(object(from.Get("b")));
  const Napi::Value c = from.Get("c");
  if (!c.IsTypedArray() || c.As<Napi::TypedArray>().TypedArrayType() != napi_float32_array) {
    bad_argument("c must be a Float32Array");
  }
  Napi::Float32Array out = c.As<Napi::Float32Array>();
  if (out.ElementLength() != a.rows * b.columns) bad_argument("c has not as many elements as the product");
  Team team(threads);
  const auto alpha = static_cast<float>(real(from.Get("alpha"), "alpha"));
  const auto beta = static_cast<float>(real(from.Get("beta"), "beta"));
  gemm(team, a, b, out.Data(), b.columns, alpha, beta, *find_products(target));
  return env.Undefined();
}

double peak_rate(unsigned threads, const std::string& target) {
  const ProductKernels& kernels = *find_products(target);
  Team team(threads);
  // Long enough that waking the threads does not count, short enough to be repeated.
  constexpr uint64_t kRounds = 2'000'000;
  double best = 0.0;
  for (int attempt = 0; attempt < 5; attempt++) {
    std::vector<uint64_t> done(team.size());
    const auto begin = std::chrono::steady_clock::now();
    team.run(team.size(), [&](uint64_t i) {
      float numbers[64];
      for (float& number : numbers) number = 0.5f;
      done[i] = kernels.spin(kRounds, numbers);
    });
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
    double operations = 0.0;
    for (const uint64_t count : done) operations += 2.0 * static_cast<double>(count);
    best = std::max(best, operations / seconds.count());
  }
  return best;
}

}  // namespace sinter
