#include "session.h"

#include <cstddef>
#include <cstring>
#include <iterator>

namespace sinter::fuzz {
namespace {

constexpr int kMostDepth = 8;
constexpr size_t kMostValues = 4096;

class Reader {
 public:
  Reader(const uint8_t* bytes, size_t size) : at_(bytes), end_(bytes + size) {}

  bool done() const { return at_ == end_ || values_ > kMostValues; }

  template <class T>
  T number() {
    T value{};
    const size_t count = std::min(sizeof(T), static_cast<size_t>(end_ - at_));
    if (count > 0) memcpy(&value, at_, count);
    at_ += count;
    return value;
  }

  std::vector<uint8_t> bytes(size_t count) {
    count = std::min(count, static_cast<size_t>(end_ - at_));
    std::vector<uint8_t> taken(at_, at_ + count);
    at_ += count;
    return taken;
  }

  std::string words() {
    const std::vector<uint8_t> taken = bytes(number<uint8_t>());
    return {taken.begin(), taken.end()};
  }

  Value value(int depth = 0) {
    Value value;
    values_++;
    if (depth > kMostDepth || done()) return value;
    value.tag = static_cast<Value::Tag>(number<uint8_t>() % Value::kTags);
    if (value.tag == Value::number) value.real = number<double>();
    if (value.tag == Value::text) value.words = words();
    if (value.tag == Value::list || value.tag == Value::object) {
      const size_t count = number<uint8_t>();
      for (size_t i = 0; i < count && !done(); i++) {
        if (value.tag == Value::object) value.keys.push_back(words());
        value.items.push_back(this->value(depth + 1));
      }
    }
    if (value.tag == Value::elements) {
      value.element_type = number<uint8_t>() % 9;
      value.bytes = bytes(number<uint16_t>());
    }
    return value;
  }

 private:
  const uint8_t* at_;
  const uint8_t* end_;
  size_t values_ = 0;
};

class Writer {
 public:
  template <class T>
  void number(T value) {
    const auto* bytes = reinterpret_cast<const uint8_t*>(&value);
    out.insert(out.end(), bytes, bytes + sizeof(T));
  }

  void words(const std::string& words) {
    const size_t count = std::min<size_t>(words.size(), 255);
    number(static_cast<uint8_t>(count));
    out.insert(out.end(), words.begin(), words.begin() + static_cast<std::ptrdiff_t>(count));
  }

  void bytes(const std::vector<uint8_t>& bytes) {
    const size_t count = std::min<size_t>(bytes.size(), 65535);
    number(static_cast<uint16_t>(count));
    out.insert(out.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(count));
  }

  void value(const Value& value) {
    number(static_cast<uint8_t>(value.tag));
    if (value.tag == Value::number) number(value.real);
    if (value.tag == Value::text) words(value.words);
    if (value.tag == Value::list || value.tag == Value::object) {
      const size_t count = std::min<size_t>(value.items.size(), 255);
      number(static_cast<uint8_t>(count));
      for (size_t i = 0; i < count; i++) {
        if (value.tag == Value::object) words(value.keys[i]);
        this->value(value.items[i]);
      }
    }
    if (value.tag == Value::elements) {
      number(value.element_type);
      bytes(value.bytes);
    }
  }

  std::vector<uint8_t> out;
};

constexpr double kEdges[] = {0,
                             1,
                             -1,
                             2,
                             -2,
                             -3,
                             -4,
                             3,
                             7,
                             8,
                             63,
                             64,
                             65,
                             255,
                             256,
                             4095,
                             4096,
                             65535,
                             65536,
                             65537,
                             524288,
                             1048576,
                             2147483647,
                             2147483648.0,
                             4294967295.0,
                             4294967296.0,
                             1099511627776.0,
                             4503599627370496.0,
                             9007199254740991.0,
                             9007199254740992.0,
                             1e300,
                             -1e300,
                             0.5,
                             1.5,
                             1e-40,
                             5e-324,
                             __builtin_nan(""),
                             __builtin_inf(),
                             -__builtin_inf()};

constexpr const char* kWords[] = {"F64",
                                  "F32",
                                  "F16",
                                  "BF16",
                                  "I64",
                                  "I32",
                                  "I16",
                                  "I8",
                                  "U8",
                                  "BOOL",
                                  "F8_E4M3",
                                  "F8_E5M2",
                                  "copy",
                                  "assemble",
                                  "constant",
                                  "literal",
                                  "normal",
                                  "uniform",
                                  "linear",
                                  "slerp",
                                  "nuslerp",
                                  "nuslerp_base",
                                  "multislerp",
                                  "karcher",
                                  "model_stock",
                                  "task_arithmetic",
                                  "ties",
                                  "ties_count",
                                  "dare_linear",
                                  "dare_ties",
                                  "breadcrumbs",
                                  "breadcrumbs_ties",
                                  "della_linear",
                                  "della",
                                  "sce",
                                  "ram",
                                  "ramplus_tl",
                                  "multislerp_base",
                                  "nearswap",
                                  "arcee_fusion",
                                  "compare",
                                  "difference",
                                  "rows",
                                  "columns",
                                  "none",
                                  "last",
                                  "average",
                                  "mean",
                                  "direction",
                                  "omp",
                                  "mp_rope",
                                  "subword",
                                  "landmark_pca",
                                  "common_interpolation",
                                  "U64",
                                  "U32",
                                  "U16",
                                  "barycentric",
                                  "least_squares",
                                  "distance_proportional",
                                  "randn",
                                  "zero"};

class Mutator {
 public:
  explicit Mutator(std::minstd_rand& random) : random_(random) {}

  size_t below(size_t count) { return count == 0 ? 0 : random_() % count; }

  void session(Session& session) {
    switch (below(10)) {
      case 0:
        if (!session.calls.empty()) session.calls.push_back(session.calls[below(session.calls.size())]);
        return;
      case 1:
        if (!session.calls.empty()) session.calls[below(session.calls.size())].method = static_cast<uint8_t>(random_());
        return;
      case 2:
        session.calls.push_back({static_cast<uint8_t>(10 + below(6)), Value{}});
        return;
      case 3:
        if (below(4) == 0) session.memory = static_cast<uint8_t>(random_());
        if (below(4) == 0) session.sink = static_cast<uint32_t>(random_() % 70000);
        files(session);
        return;
      default:
        arguments(session);
    }
  }

 private:
  void files(Session& session) {
    if (session.files.empty()) return;
    std::vector<uint8_t>& file = session.files[below(session.files.size())];
    if (below(3) == 0) file.resize(below(2 * file.size() + 16));
    if (file.empty()) return;
    for (size_t n = 1 + below(8); n > 0; n--) file[below(file.size())] = static_cast<uint8_t>(random_());
    // Elements that are NaN, infinite, or all the same.
    if (below(4) == 0) {
      constexpr uint8_t kBytes[] = {0x00, 0x7f, 0x80, 0xff, 0x3f};
      const size_t begin = below(file.size());
      memset(file.data() + begin, kBytes[below(5)], below(file.size() - begin) + 1);
    }
  }

  void arguments(Session& session) {
    if (session.calls.empty()) return;
    std::vector<Value*> all;
    collect(session.calls[below(session.calls.size())].argument, all);
    value(*all[below(all.size())]);
  }

  static void collect(Value& value, std::vector<Value*>& all) {
    all.push_back(&value);
    for (Value& item : value.items) collect(item, all);
  }

  void value(Value& value) {
    if (below(16) == 0) {
      Value other;
      other.tag = static_cast<Value::Tag>(below(Value::kTags));
      other.real = kEdges[below(std::size(kEdges))];
      value = other;
      return;
    }
    switch (value.tag) {
      case Value::number:
        number(value);
        return;
      case Value::text:
        value.words = kWords[below(std::size(kWords))];
        return;
      case Value::list:
      case Value::object:
        items(value);
        return;
      case Value::elements:
        elements(value);
        return;
      default:
        value.tag = below(2) == 0 ? Value::yes : Value::no;
    }
  }

  void number(Value& value) {
    switch (below(4)) {
      case 0:
        value.real += below(2) == 0 ? 1 : -1;
        return;
      case 1:
        value.real = value.real * 2 + static_cast<double>(below(2));
        return;
      case 2:
        value.real = static_cast<double>(below(300));
        return;
      default:
        value.real = kEdges[below(std::size(kEdges))];
    }
  }

  void items(Value& value) {
    if (value.items.empty()) return;
    const size_t one = below(value.items.size()), other = below(value.items.size());
    switch (below(4)) {
      case 0:
        value.items.erase(value.items.begin() + static_cast<std::ptrdiff_t>(one));
        if (value.tag == Value::object) value.keys.erase(value.keys.begin() + static_cast<std::ptrdiff_t>(one));
        return;
      case 1:
        value.items[one] = Value(value.items[other]);
        return;
      case 2:
        std::swap(value.items[one], value.items[other]);
        return;
      default:
        if (value.tag == Value::list && value.items.size() < 100) value.items.push_back(Value(value.items[one]));
    }
  }

  void elements(Value& value) {
    if (below(8) == 0) value.element_type = static_cast<uint8_t>(below(9));
    if (below(4) == 0) value.bytes.resize(below(value.bytes.size() + 16));
    constexpr int32_t kNumbers[] = {0, 1, -1, -2, -3, -4, -5, 2, 3, 5, 100, INT32_MAX, INT32_MIN, 65536};
    if (value.bytes.size() < 4) return;
    const size_t at = below(value.bytes.size() / 4);
    memcpy(value.bytes.data() + 4 * at, &kNumbers[below(std::size(kNumbers))], 4);
  }

  std::minstd_rand& random_;
};

}  // namespace

Session read_session(const uint8_t* bytes, size_t size) {
  Reader reader(bytes, size);
  Session session;
  const size_t files = reader.number<uint8_t>() % 9;
  for (size_t i = 0; i < files; i++) session.files.push_back(reader.bytes(reader.number<uint16_t>()));
  session.sink = reader.number<uint32_t>() % (1 << 20);
  session.memory = reader.number<uint8_t>();
  while (!reader.done() && session.calls.size() < 16) {
    Call call;
    call.method = static_cast<uint8_t>(reader.number<uint8_t>() % std::size(kMethods));
    call.argument = reader.value();
    session.calls.push_back(std::move(call));
  }
  return session;
}

std::vector<uint8_t> written(const Session& session) {
  Writer writer;
  writer.number(static_cast<uint8_t>(session.files.size()));
  for (const std::vector<uint8_t>& file : session.files) writer.bytes(file);
  writer.number(session.sink);
  writer.number(session.memory);
  for (const Call& call : session.calls) {
    writer.number(call.method);
    writer.value(call.argument);
  }
  return std::move(writer.out);
}

void mutate(Session& session, std::minstd_rand& random) {
  Mutator mutator(random);
  for (size_t n = 1 + mutator.below(3); n > 0; n--) mutator.session(session);
}

}  // namespace sinter::fuzz
