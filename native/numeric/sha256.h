// SHA-256 (FIPS 180-4), by the CPU's own instructions where it has them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

namespace sinter {

/// SHA-256 of data that comes in pieces.
class Sha256 {
 public:
  using Digest = std::array<uint8_t, 32>;

  /// `portable`: without the CPU's own instructions, which give the same.
  explicit Sha256(bool portable = false);
  void update(const std::byte* bytes, size_t count);
  /// Of everything so far; ends it.
  Digest finish();

 private:
  using Compress = void (*)(uint32_t* state, const uint8_t* blocks, size_t count);
  Compress compress_;
  std::array<uint32_t, 8> state_;
  std::array<uint8_t, 64> rest_;
  size_t rest_size_ = 0;
  uint64_t total_ = 0;
};

/// Whether this CPU has instructions for SHA-256 that are used here.
bool has_sha256_instructions();

}  // namespace sinter
