// What native code reports: a stable code and a sentence. One place (addon.cc) turns it into a JavaScript error.
#pragma once

#include <cerrno>
#include <cstring>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>

namespace sinter {

struct Failure : std::runtime_error {
  /// One of the codes that src/native.ts lists.
  const char* code;
  /// Index of the input to blame, or -1.
  int source;

  Failure(const char* code, const std::string& message, int source = -1)
      : std::runtime_error(message), code(code), source(source) {}
};

/// `path: text of errno`.
inline std::string with_errno(const std::string& what) { return what + ": " + std::strerror(errno); }

inline Failure out_of_memory() { return Failure("NO_MEMORY", "there is not enough memory"); }

/// Calls `part`. @returns what it threw, as the failure of the op that it is a part of: nothing may leave a pool's thread.
template <class Part>
std::optional<Failure> failure_of(const Part& part) {
  try {
    part();
    return std::nullopt;
  } catch (const Failure& caught) {
    return caught;
  } catch (const std::bad_alloc&) {
    return out_of_memory();
  } catch (const std::exception& caught) {
    return Failure("BAD_ARGUMENT", caught.what());
  }
}

}  // namespace sinter
