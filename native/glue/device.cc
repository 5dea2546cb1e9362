#include "device.h"

#include <algorithm>

#include "../device/cufile.h"
#include "../device/measure.h"
#include "values.h"

namespace sinter {
namespace {

const char* name_of(Lack lack) {
  switch (lack) {
    case Lack::library:
      return "library";
    case Lack::version:
      return "version";
    default:
      return "device";
  }
}

DirectUse direct_use(const std::string& name) {
  if (name == "auto") return DirectUse::automatic;
  if (name == "always") return DirectUse::always;
  if (name == "never") return DirectUse::never;
  bad_argument("direct is auto, always or never");
}

/// 12040 is 12.4.
std::string version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

Napi::Object device_of(Napi::Env env, const DeviceLibrary& library, int index,
                       const std::optional<std::string>& cufile_path) {
  Napi::Object result = Napi::Object::New(env);
  result.Set("index", index);
  std::string reason;
  DeviceFacts facts{};
  Device* const device = open_device(library, index, reason);
  if (device != nullptr) {
    const DeviceStatus status = device->facts(facts);
    if (status != DeviceStatus::ok) reason = status_text(*device, status);
  }
  if (!reason.empty()) {
    result.Set("failure", reason);
    return result;
  }
  result.Set("name", std::string(facts.name));
  result.Set("memory", static_cast<double>(facts.memory));
  result.Set("free", static_cast<double>(facts.free));
  result.Set("capability", std::to_string(facts.major) + "." + std::to_string(facts.minor));
  result.Set("driver", version_text(facts.driver));
  if (cufile_path && (facts.direct_storage || !cufile_path->empty())) {
    std::string absence = "the device does not answer";
    const Cufile* const direct = device->enter() == DeviceStatus::ok ? cufile(*cufile_path, absence) : nullptr;
    result.Set("directStorage", direct == nullptr ? "not used: " + absence : direct->path);
  }
  return result;
}

}  // namespace

DeviceQuestion read_device_question(const Napi::Value& wanted, const Napi::Value& cufile) {
  DeviceQuestion question;
  if (!wanted.IsUndefined()) question.wanted = numbers(wanted);
  if (!cufile.IsUndefined()) question.cufile = text(cufile, "cufile");
  return question;
}

Napi::Value devices_of(Napi::Env env, const FoundLibrary& found, const DeviceQuestion& question) {
  Napi::Object result = Napi::Object::New(env);
  result.Set("path", found.path);
  if (found.runtime > 0) result.Set("runtime", version_text(found.runtime));
  result.Set("count", found.library == nullptr ? 0 : found.library->count);
  Napi::Array devices = Napi::Array::New(env);
  if (found.library != nullptr) {
    for (int i = 0; i < found.library->count; i++) {
      if (question.wanted && std::find(question.wanted->begin(), question.wanted->end(), i) == question.wanted->end()) {
        continue;
      }
      devices.Set(devices.Length(), device_of(env, *found.library, i, question.cufile));
    }
  } else {
    Napi::Object lack = Napi::Object::New(env);
    lack.Set("what", name_of(found.lack));
    lack.Set("message", found.message);
    result.Set("lack", lack);
  }
  result.Set("devices", devices);
  return result;
}

Napi::Value transfers_of(Napi::Env env, const FoundLibrary& found, int index) {
  std::string reason = found.message;
  Device* const device = found.library == nullptr ? nullptr : open_device(*found.library, index, reason);
  if (device == nullptr) throw Failure("DEVICE_FAILED", reason);
  try {
    const TransferRates rates = measure_transfers(*device);
    Napi::Object result = Napi::Object::New(env);
    result.Set("upload", rates.upload);
    result.Set("download", rates.download);
    result.Set("copy", rates.copy);
    return result;
  } catch (const DeviceTrouble& trouble) {
    throw Failure("DEVICE_FAILED", trouble.what());
  }
}

DeviceOptions read_device_options(const Napi::Object& from) {
  DeviceOptions options;
  for (const double index : numbers(from.Get("devices"))) {
    if (!(index >= 0) || index > 1024) bad_argument("a device is a whole number");
    options.devices.push_back(static_cast<int>(index));
  }
  if (options.devices.empty()) bad_argument("devices are missing");
  if (!from.Get("memory").IsUndefined()) options.memory = whole(from.Get("memory"), "memory");
  if (!from.Get("pinned").IsUndefined()) options.pinned = whole(from.Get("pinned"), "pinned");
  if (!from.Get("direct").IsUndefined()) options.direct = direct_use(text(from.Get("direct"), "direct"));
  if (!from.Get("cufile").IsUndefined()) options.cufile = text(from.Get("cufile"), "cufile");
  options.strict = from.Get("strict").ToBoolean();
  return options;
}

}  // namespace sinter
