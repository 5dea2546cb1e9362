#include "host.h"

#include <algorithm>
#include <cmath>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <mutex>
#include <utility>

struct napi_threadsafe_function__ {
  napi_env env;
  napi_value function;
  void* context;
  napi_threadsafe_function_call_js call;
  napi_finalize end;
  void* end_data;
};
struct napi_ref__ {
  napi_value value;
};
struct napi_deferred__ {
  napi_value promise;
};
struct napi_callback_info__ {
  napi_value self;
  const std::vector<napi_value>* arguments;
  void* data;
};

struct napi_env__ {
  std::deque<napi_value__> values;
  std::deque<std::unique_ptr<napi_threadsafe_function__>> functions;
  std::deque<std::unique_ptr<napi_deferred__>> deferreds;
  napi_value exception = nullptr;
  napi_extended_error_info last_error = {};
  void* instance = nullptr;
  napi_finalize end_instance = nullptr;
  void* end_hint = nullptr;
  std::vector<std::pair<napi_cleanup_hook, void*>> cleanups;
  struct Finalizer {
    napi_finalize end;
    void* data;
    void* hint;
  };
  std::vector<Finalizer> finalizers;
  std::mutex mutex;
  std::condition_variable wake;
  std::deque<std::pair<napi_threadsafe_function, void*>> reports;

  napi_value make(napi_valuetype type) {
    napi_value value = &values.emplace_back();
    value->type = type;
    return value;
  }
};

extern "C" napi_value napi_register_module_v1(napi_env env, napi_value exports);

namespace sinter::host {

size_t width_of(napi_typedarray_type type) {
  switch (type) {
    case napi_int8_array:
    case napi_uint8_array:
    case napi_uint8_clamped_array:
      return 1;
    case napi_int16_array:
    case napi_uint16_array:
      return 2;
    case napi_int32_array:
    case napi_uint32_array:
    case napi_float32_array:
      return 4;
    default:
      return 8;
  }
}

napi_value property(napi_value object, const std::string& name) {
  for (const auto& [key, value] : object->properties) {
    if (key == name) return value;
  }
  return nullptr;
}

Host::Host() : env_(new napi_env__) { exports_ = napi_register_module_v1(env_, env_->make(napi_object)); }

Host::~Host() {
  for (auto hook = env_->cleanups.rbegin(); hook != env_->cleanups.rend(); hook++) hook->first(hook->second);
  // What the addon's threads reported after the last look belongs to nobody else.
  for (const auto& [function, data] : env_->reports) function->call(nullptr, nullptr, function->context, data);
  for (const auto& function : env_->functions) {
    if (function->end != nullptr) function->end(env_, function->end_data, function->context);
  }
  if (env_->end_instance != nullptr) env_->end_instance(env_, env_->instance, env_->end_hint);
  for (const napi_env__::Finalizer& one : env_->finalizers) one.end(env_, one.data, one.hint);
  delete env_;
}

napi_value Host::undefined() { return env_->make(napi_undefined); }

napi_value Host::boolean(bool value) {
  napi_value made = env_->make(napi_boolean);
  made->truth = value;
  return made;
}

napi_value Host::number(double value) {
  napi_value made = env_->make(napi_number);
  made->number = value;
  return made;
}

napi_value Host::text(std::string value) {
  napi_value made = env_->make(napi_string);
  made->text = std::move(value);
  return made;
}

napi_value Host::array() {
  napi_value made = env_->make(napi_object);
  made->is_array = true;
  return made;
}

napi_value Host::object() { return env_->make(napi_object); }

napi_value Host::typed_array(napi_typedarray_type type, const uint8_t* bytes, size_t byte_length) {
  napi_value buffer = env_->make(napi_object);
  buffer->is_buffer = true;
  buffer->byte_length = byte_length;
  buffer->bytes = std::make_unique<uint8_t[]>(byte_length);
  if (byte_length > 0) memcpy(buffer->bytes.get(), bytes, byte_length);
  napi_value made = env_->make(napi_object);
  made->buffer = buffer;
  made->element_type = type;
  made->length = byte_length / width_of(type);
  return made;
}

napi_value Host::call(const std::string& method, const std::vector<napi_value>& arguments) {
  napi_value function = property(exports_, method);
  if (function == nullptr) {
    fprintf(stderr, "the addon has no method %s\n", method.c_str());
    abort();
  }
  napi_callback_info__ info{exports_, &arguments, function->data};
  napi_value result = function->call(env_, &info);
  thrown_ = std::exchange(env_->exception, nullptr);
  if (thrown_ != nullptr) return nullptr;
  if (result != nullptr && result->is_promise) promises_.push_back(result);
  return result;
}

bool Host::settle(std::chrono::milliseconds most) {
  const auto until = std::chrono::steady_clock::now() + most;
  const auto is_pending = [](napi_value promise) { return promise->state == napi_value__::State::pending; };
  while (std::any_of(promises_.begin(), promises_.end(), is_pending)) {
    std::unique_lock lock(env_->mutex);
    if (!env_->wake.wait_until(lock, until, [this] { return !env_->reports.empty(); })) return false;
    const auto [function, data] = env_->reports.front();
    env_->reports.pop_front();
    lock.unlock();
    function->call(env_, function->function, function->context, data);
  }
  return true;
}

}  // namespace sinter::host

// ---- Node-API, as https://nodejs.org/api/n-api.html says of each function ----

extern "C" {

napi_status napi_add_env_cleanup_hook(node_api_basic_env env, napi_cleanup_hook hook, void* data) {
  env->cleanups.emplace_back(hook, data);
  return napi_ok;
}
napi_status napi_remove_env_cleanup_hook(node_api_basic_env, napi_cleanup_hook, void*) { return napi_ok; }
napi_status napi_add_finalizer(napi_env env, napi_value, void* data, node_api_basic_finalize end, void* hint,
                               napi_ref*) {
  env->finalizers.push_back({end, data, hint});
  return napi_ok;
}
napi_status napi_async_destroy(napi_env, napi_async_context) { return napi_ok; }
napi_status napi_close_callback_scope(napi_env, napi_callback_scope) { return napi_ok; }
napi_status napi_open_handle_scope(napi_env, napi_handle_scope* scope) {
  *scope = nullptr;
  return napi_ok;
}
napi_status napi_close_handle_scope(napi_env, napi_handle_scope) { return napi_ok; }
napi_status napi_open_escapable_handle_scope(napi_env, napi_escapable_handle_scope* scope) {
  *scope = nullptr;
  return napi_ok;
}
napi_status napi_close_escapable_handle_scope(napi_env, napi_escapable_handle_scope) { return napi_ok; }
napi_status napi_escape_handle(napi_env, napi_escapable_handle_scope, napi_value value, napi_value* result) {
  *result = value;
  return napi_ok;
}

napi_status napi_call_function(napi_env env, napi_value self, napi_value function, size_t count,
                               const napi_value* arguments, napi_value* result) {
  const std::vector<napi_value> list(arguments, arguments + count);
  napi_callback_info__ info{self, &list, function->data};
  napi_value got = function->call(env, &info);
  if (result != nullptr) *result = got;
  return env->exception == nullptr ? napi_ok : napi_pending_exception;
}

napi_status napi_coerce_to_bool(napi_env env, napi_value value, napi_value* result) {
  *result = env->make(napi_boolean);
  (*result)->truth = value->type == napi_boolean  ? value->truth
                     : value->type == napi_number ? value->number != 0.0 && !std::isnan(value->number)
                     : value->type == napi_string ? !value->text.empty()
                                                  : value->type == napi_object || value->type == napi_function;
  return napi_ok;
}
napi_status napi_coerce_to_number(napi_env env, napi_value value, napi_value* result) {
  *result = env->make(napi_number);
  (*result)->number = value->type == napi_number    ? value->number
                      : value->type == napi_boolean ? static_cast<double>(value->truth)
                                                    : NAN;
  return napi_ok;
}

napi_status napi_create_array(napi_env env, napi_value* result) {
  *result = env->make(napi_object);
  (*result)->is_array = true;
  return napi_ok;
}
napi_status napi_create_array_with_length(napi_env env, size_t length, napi_value* result) {
  napi_create_array(env, result);
  (*result)->elements.assign(length, env->make(napi_undefined));
  return napi_ok;
}
napi_status napi_create_arraybuffer(napi_env env, size_t length, void** data, napi_value* result) {
  // What a runtime refuses: an ArrayBuffer ends at 4 GiB.
  if (length > size_t{1} << 28) return napi_generic_failure;
  *result = env->make(napi_object);
  (*result)->is_buffer = true;
  (*result)->byte_length = length;
  (*result)->bytes = std::make_unique<uint8_t[]>(length);
  if (data != nullptr) *data = (*result)->bytes.get();
  return napi_ok;
}
napi_status napi_create_double(napi_env env, double value, napi_value* result) {
  *result = env->make(napi_number);
  (*result)->number = value;
  return napi_ok;
}
napi_status napi_create_object(napi_env env, napi_value* result) {
  *result = env->make(napi_object);
  return napi_ok;
}
napi_status napi_create_string_utf8(napi_env env, const char* text, size_t length, napi_value* result) {
  *result = env->make(napi_string);
  (*result)->text = length == NAPI_AUTO_LENGTH ? std::string(text) : std::string(text, length);
  return napi_ok;
}
napi_status napi_create_error(napi_env env, napi_value code, napi_value message, napi_value* result) {
  *result = env->make(napi_object);
  (*result)->is_error = true;
  (*result)->properties.emplace_back("message", message);
  if (code != nullptr) (*result)->properties.emplace_back("code", code);
  return napi_ok;
}
napi_status napi_create_type_error(napi_env env, napi_value code, napi_value message, napi_value* result) {
  return napi_create_error(env, code, message, result);
}
napi_status napi_create_function(napi_env env, const char*, size_t, napi_callback call, void* data,
                                 napi_value* result) {
  *result = env->make(napi_function);
  (*result)->call = call;
  (*result)->data = data;
  return napi_ok;
}
napi_status napi_create_typedarray(napi_env env, napi_typedarray_type type, size_t length, napi_value buffer,
                                   size_t offset, napi_value* result) {
  *result = env->make(napi_object);
  (*result)->buffer = buffer;
  (*result)->element_type = type;
  (*result)->length = length;
  (*result)->byte_offset = offset;
  return napi_ok;
}
napi_status napi_create_promise(napi_env env, napi_deferred* deferred, napi_value* promise) {
  *promise = env->make(napi_object);
  (*promise)->is_promise = true;
  *deferred = env->deferreds.emplace_back(new napi_deferred__{*promise}).get();
  return napi_ok;
}
napi_status napi_resolve_deferred(napi_env, napi_deferred deferred, napi_value value) {
  deferred->promise->state = napi_value__::State::resolved;
  deferred->promise->outcome = value;
  return napi_ok;
}
napi_status napi_reject_deferred(napi_env, napi_deferred deferred, napi_value value) {
  deferred->promise->state = napi_value__::State::rejected;
  deferred->promise->outcome = value;
  return napi_ok;
}

napi_status napi_create_reference(napi_env, napi_value value, uint32_t, napi_ref* result) {
  *result = new napi_ref__{value};
  return napi_ok;
}
napi_status napi_delete_reference(node_api_basic_env, napi_ref reference) {
  delete reference;
  return napi_ok;
}
napi_status napi_get_reference_value(napi_env, napi_ref reference, napi_value* result) {
  *result = reference->value;
  return napi_ok;
}

napi_status napi_create_threadsafe_function(napi_env env, napi_value function, napi_value, napi_value, size_t, size_t,
                                            void* end_data, napi_finalize end, void* context,
                                            napi_threadsafe_function_call_js call, napi_threadsafe_function* result) {
  *result =
      env->functions.emplace_back(new napi_threadsafe_function__{env, function, context, call, end, end_data}).get();
  return napi_ok;
}
napi_status napi_call_threadsafe_function(napi_threadsafe_function function, void* data,
                                          napi_threadsafe_function_call_mode) {
  // Under the lock to the end: who is woken may end the host.
  const std::lock_guard lock(function->env->mutex);
  function->env->reports.emplace_back(function, data);
  function->env->wake.notify_one();
  return napi_ok;
}
napi_status napi_ref_threadsafe_function(node_api_basic_env, napi_threadsafe_function) { return napi_ok; }
napi_status napi_unref_threadsafe_function(node_api_basic_env, napi_threadsafe_function) { return napi_ok; }

napi_status napi_define_properties(napi_env env, napi_value object, size_t count,
                                   const napi_property_descriptor* descriptors) {
  for (size_t i = 0; i < count; i++) {
    napi_value function = nullptr;
    napi_create_function(env, nullptr, 0, descriptors[i].method, descriptors[i].data, &function);
    object->properties.emplace_back(descriptors[i].utf8name, function);
  }
  return napi_ok;
}

void napi_fatal_error(const char* place, size_t, const char* message, size_t) {
  fprintf(stderr, "fatal error: %s: %s\n", place, message);
  abort();
}
napi_status napi_get_and_clear_last_exception(napi_env env, napi_value* result) {
  *result = std::exchange(env->exception, nullptr);
  return napi_ok;
}
napi_status napi_is_exception_pending(napi_env env, bool* result) {
  *result = env->exception != nullptr;
  return napi_ok;
}
napi_status napi_throw(napi_env env, napi_value error) {
  env->exception = error;
  return napi_ok;
}
napi_status napi_get_last_error_info(node_api_basic_env env, const napi_extended_error_info** result) {
  env->last_error.error_code = napi_generic_failure;
  env->last_error.error_message = "refused";
  *result = &env->last_error;
  return napi_ok;
}

napi_status napi_get_array_length(napi_env, napi_value value, uint32_t* result) {
  if (!value->is_array) return napi_array_expected;
  *result = static_cast<uint32_t>(value->elements.size());
  return napi_ok;
}
napi_status napi_get_arraybuffer_info(napi_env, napi_value value, void** data, size_t* length) {
  if (!value->is_buffer) return napi_invalid_arg;
  if (data != nullptr) *data = value->bytes.get();
  if (length != nullptr) *length = value->byte_length;
  return napi_ok;
}
napi_status napi_get_typedarray_info(napi_env, napi_value value, napi_typedarray_type* type, size_t* length,
                                     void** data, napi_value* buffer, size_t* offset) {
  if (value->buffer == nullptr) return napi_invalid_arg;
  if (type != nullptr) *type = value->element_type;
  if (length != nullptr) *length = value->length;
  if (data != nullptr) *data = value->buffer->bytes.get() + value->byte_offset;
  if (buffer != nullptr) *buffer = value->buffer;
  if (offset != nullptr) *offset = value->byte_offset;
  return napi_ok;
}
napi_status napi_get_boolean(napi_env env, bool value, napi_value* result) {
  *result = env->make(napi_boolean);
  (*result)->truth = value;
  return napi_ok;
}
napi_status napi_get_cb_info(napi_env env, napi_callback_info info, size_t* count, napi_value* arguments,
                             napi_value* self, void** data) {
  if (count != nullptr) {
    for (size_t i = 0; i < *count && arguments != nullptr; i++) {
      arguments[i] = i < info->arguments->size() ? (*info->arguments)[i] : env->make(napi_undefined);
    }
    *count = info->arguments->size();
  }
  if (self != nullptr) *self = info->self;
  if (data != nullptr) *data = info->data;
  return napi_ok;
}
napi_status napi_get_element(napi_env env, napi_value object, uint32_t index, napi_value* result) {
  if (object->type != napi_object) return napi_object_expected;
  *result = index < object->elements.size() ? object->elements[index] : env->make(napi_undefined);
  return napi_ok;
}
napi_status napi_set_element(napi_env env, napi_value object, uint32_t index, napi_value value) {
  while (object->elements.size() <= index) object->elements.push_back(env->make(napi_undefined));
  object->elements[index] = value;
  return napi_ok;
}
napi_status napi_get_named_property(napi_env env, napi_value object, const char* name, napi_value* result) {
  if (object->type != napi_object) return napi_object_expected;
  napi_value found = sinter::host::property(object, name);
  *result = found == nullptr ? env->make(napi_undefined) : found;
  return napi_ok;
}
napi_status napi_get_property(napi_env env, napi_value object, napi_value key, napi_value* result) {
  return napi_get_named_property(env, object, key->text.c_str(), result);
}
napi_status napi_has_property(napi_env, napi_value object, napi_value key, bool* result) {
  *result = sinter::host::property(object, key->text) != nullptr;
  return napi_ok;
}
napi_status napi_set_named_property(napi_env, napi_value object, const char* name, napi_value value) {
  object->properties.emplace_back(name, value);
  return napi_ok;
}
napi_status napi_set_property(napi_env, napi_value object, napi_value key, napi_value value) {
  object->properties.emplace_back(key->text, value);
  return napi_ok;
}
napi_status napi_get_instance_data(node_api_basic_env env, void** data) {
  *data = env->instance;
  return napi_ok;
}
napi_status napi_set_instance_data(node_api_basic_env env, void* data, napi_finalize end, void* hint) {
  env->instance = data;
  env->end_instance = end;
  env->end_hint = hint;
  return napi_ok;
}
napi_status napi_get_undefined(napi_env env, napi_value* result) {
  *result = env->make(napi_undefined);
  return napi_ok;
}
napi_status napi_get_value_bool(napi_env, napi_value value, bool* result) {
  if (value->type != napi_boolean) return napi_boolean_expected;
  *result = value->truth;
  return napi_ok;
}
napi_status napi_get_value_double(napi_env, napi_value value, double* result) {
  if (value->type != napi_number) return napi_number_expected;
  *result = value->number;
  return napi_ok;
}
napi_status napi_get_value_string_utf8(napi_env, napi_value value, char* out, size_t room, size_t* length) {
  if (value->type != napi_string) return napi_string_expected;
  if (out == nullptr) {
    *length = value->text.size();
    return napi_ok;
  }
  const size_t count = std::min(room - 1, value->text.size());
  memcpy(out, value->text.data(), count);
  out[count] = '\0';
  if (length != nullptr) *length = count;
  return napi_ok;
}
napi_status napi_is_array(napi_env, napi_value value, bool* result) {
  *result = value->is_array;
  return napi_ok;
}
napi_status napi_is_typedarray(napi_env, napi_value value, bool* result) {
  *result = value->buffer != nullptr;
  return napi_ok;
}
napi_status napi_typeof(napi_env, napi_value value, napi_valuetype* result) {
  *result = value->type;
  return napi_ok;
}

}  // extern "C"
