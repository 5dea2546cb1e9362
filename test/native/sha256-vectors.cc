// SHA-256 alone, as a program for processors that the tests do not run on: test/native/sha256-arm64.test.ts.
// Prints whether the processor has instructions for it, and the hash of each length with them and without.

#include <cstdio>
#include <vector>

#include "numeric/sha256.h"

int main() {
  std::vector<std::byte> bytes(100'003);
  for (size_t i = 0; i < bytes.size(); i++) bytes[i] = static_cast<std::byte>(static_cast<uint32_t>(i) * 2654435761u >> 13);
  std::printf("%d\n", sinter::has_sha256_instructions());
  for (const size_t length : {0, 1, 55, 56, 63, 64, 65, 127, 128, 129, 1000, 100'003}) {
    for (const bool portable : {false, true}) {
      sinter::Sha256 hash(portable);
      hash.update(bytes.data(), length / 3);
      hash.update(bytes.data() + length / 3, length - length / 3);
      for (const uint8_t byte : hash.finish()) std::printf("%02x", byte);
    }
    std::printf("\n");
  }
}
