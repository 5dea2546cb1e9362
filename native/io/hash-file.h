// The SHA-256 of a whole file, as the Hugging Face Hub and `sha256sum` give it.
#pragma once

#include <atomic>
#include <string>

namespace sinter {

/// @return 64 hexadecimal digits. Throws Failure SOURCE_OPEN, SOURCE_FAILED where reading fails, or CANCELLED when
/// `stop` is set.
std::string sha256_of_file(const std::string& path, bool portable, const std::atomic<bool>& stop);

}  // namespace sinter
