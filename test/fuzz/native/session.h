// What the fuzzer feeds the addon: files, and calls of its methods with any values. As bytes, little-endian:
//
//   session  u8 number of files; each: u16 bytes, the bytes. u32 size of the sink. u8 which memory. calls to the end
//   call     u8 method (kMethods, modulo), value
//   value    u8 tag (Value::Tag, modulo), then
//            number: 8 bytes; text: u8 length, bytes; list: u8 count, values; object: u8 count, (text, value) each;
//            elements: u8 napi_typedarray_type, u16 bytes, the bytes
//
// Every sequence of bytes can be read: what is missing at the end is zeros. The files are the sources 1, 2, …, the sink's
// handle follows them. test/fuzz/native/record.ts writes sessions from the calls that the tests make.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace sinter::fuzz {

struct Value {
  enum Tag : uint8_t { undefined, no, yes, number, text, list, object, elements, kTags };
  Tag tag = undefined;
  double real = 0.0;
  std::string words;
  std::vector<Value> items;
  std::vector<std::string> keys;
  uint8_t element_type = 0;
  std::vector<uint8_t> bytes;
};

struct Call {
  uint8_t method = 0;
  Value argument;
};

struct Session {
  std::vector<std::vector<uint8_t>> files;
  uint32_t sink = 0;
  uint8_t memory = 0;
  std::vector<Call> calls;
};

/// In the order that record.ts numbers them by. Not those that take a path, or time by design (peakRate).
constexpr const char* kMethods[] = {
    "merge",   "checksum", "compare",   "difference", "decompose",   "gatherRows", "route",  "transplant",
    "forward", "multiply", "writeSink", "commitSink", "wellTrained", "close",      "cancel", "transplantProgress"};

Session read_session(const uint8_t* bytes, size_t size);
std::vector<uint8_t> written(const Session& session);

/// Changes the session in a few places: numbers to edges, names to other names, parts left out, doubled, of another type.
void mutate(Session& session, std::minstd_rand& random);

}  // namespace sinter::fuzz
