// What the thread sanitizer cannot see: that a thread-safe function hands data from one thread to another, which happens
// within the runtime. Only in builds with that sanitizer, where the linker sends the two calls here (`--wrap`).

#include <node_api.h>

extern "C" {

void __tsan_acquire(void* address);
void __tsan_release(void* address);

napi_status __real_napi_call_threadsafe_function(napi_threadsafe_function function, void* data,
                                                 napi_threadsafe_function_call_mode mode);
napi_status __real_napi_create_threadsafe_function(napi_env env, napi_value callback, napi_value resource,
                                                   napi_value name, size_t most_queued, size_t threads, void* end_data,
                                                   napi_finalize end, void* context,
                                                   napi_threadsafe_function_call_js call_js,
                                                   napi_threadsafe_function* result);

/// The same for every function: node-addon-api's own.
static napi_threadsafe_function_call_js g_call_js = nullptr;

static void call_js_acquired(napi_env env, napi_value callback, void* context, void* data) {
  __tsan_acquire(data);
  g_call_js(env, callback, context, data);
}

napi_status __wrap_napi_call_threadsafe_function(napi_threadsafe_function function, void* data,
                                                 napi_threadsafe_function_call_mode mode) {
  __tsan_release(data);
  return __real_napi_call_threadsafe_function(function, data, mode);
}

napi_status __wrap_napi_create_threadsafe_function(napi_env env, napi_value callback, napi_value resource,
                                                   napi_value name, size_t most_queued, size_t threads, void* end_data,
                                                   napi_finalize end, void* context,
                                                   napi_threadsafe_function_call_js call_js,
                                                   napi_threadsafe_function* result) {
  g_call_js = call_js;
  return __real_napi_create_threadsafe_function(env, callback, resource, name, most_queued, threads, end_data, end,
                                                context, call_js_acquired, result);
}

}  // extern "C"
