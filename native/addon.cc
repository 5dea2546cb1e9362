// N-API glue only: from JavaScript values to ops and back. The types are those of src/native.ts.

#include <napi.h>

#include <atomic>
#include <deque>
#include <list>
#include <map>
#include <memory>

#include "cpu/dispatch.h"
#include "engine/engine.h"
#include "glue/forward.h"
#include "glue/products.h"
#include "glue/routing.h"
#include "glue/values.h"
#include "io/error.h"
#include "io/hash-file.h"
#include "io/lock.h"
#include "io/sink.h"
#include "io/source.h"
#include "numeric/digest.h"

#ifndef SINTER_VERSION
#error "SINTER_VERSION comes from package.json through CMakeLists.txt"
#endif

namespace sinter {
namespace {

Napi::Error to_js(Napi::Env env, const Failure& failure) {
  Napi::Error error = Napi::Error::New(env, failure.what());
  error.Set("code", Napi::String::New(env, failure.code));
  if (failure.source >= 0) error.Set("source", Napi::Number::New(env, failure.source));
  return error;
}

/// Runs what takes long, as waiting for the disk does, in turn, off the JavaScript thread and the workers.
class Waiter {
 public:
  /// `threads`: jobs that may run at once.
  explicit Waiter(unsigned threads = 1) : most_threads_(threads) {}
  ~Waiter() { stop(); }

  void run(std::function<void()> job) {
    const std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(job));
    if (threads_.size() < most_threads_ && threads_.size() < ++begun_) threads_.emplace_back([this] { work(); });
    wake_.notify_one();
  }

  void stop() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

 private:
  void work() {
    std::unique_lock lock(mutex_);
    while (true) {
      wake_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
      if (stopping_) return;
      const std::function<void()> job = std::move(jobs_.front());
      jobs_.pop_front();
      lock.unlock();
      job();
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> jobs_;
  std::vector<std::thread> threads_;
  const unsigned most_threads_;
  unsigned begun_ = 0;
  bool stopping_ = false;
};

class Addon : public Napi::Addon<Addon> {
 public:
  Addon(Napi::Env env, Napi::Object exports) {
    DefineAddon(exports, {
                             InstanceMethod("info", &Addon::Guarded<&Addon::Info>),
                             InstanceMethod("configure", &Addon::Guarded<&Addon::Configure>),
                             InstanceMethod("openSource", &Addon::Guarded<&Addon::OpenSource>),
                             InstanceMethod("createSink", &Addon::Guarded<&Addon::CreateSink>),
                             InstanceMethod("openSink", &Addon::Guarded<&Addon::OpenSink>),
                             InstanceMethod("writeSink", &Addon::Guarded<&Addon::WriteSink>),
                             InstanceMethod("commitSink", &Addon::Guarded<&Addon::CommitSink>),
                             InstanceMethod("lock", &Addon::Guarded<&Addon::Lock>),
                             InstanceMethod("sha256", &Addon::Guarded<&Addon::Sha256OfFile>),
                             InstanceMethod("close", &Addon::Guarded<&Addon::Close>),
                             InstanceMethod("merge", &Addon::Guarded<&Addon::Merge>),
                             InstanceMethod("checksum", &Addon::Guarded<&Addon::Checksum>),
                             InstanceMethod("compare", &Addon::Guarded<&Addon::Compare>),
                             InstanceMethod("gatherRows", &Addon::Guarded<&Addon::GatherRows>),
                             InstanceMethod("route", &Addon::Guarded<&Addon::Route>),
                             InstanceMethod("forward", &Addon::Guarded<&Addon::Forward>),
                             InstanceMethod("multiply", &Addon::Guarded<&Addon::Multiply>),
                             InstanceMethod("peakRate", &Addon::Guarded<&Addon::PeakRate>),
                             InstanceMethod("cancel", &Addon::Guarded<&Addon::Cancel>),
                         });
    // Threads must be gone before the library may be unloaded.
    env.AddCleanupHook([this] {
      engine_.reset();
      waiter_.stop();
      leaving_ = true;
      for (const std::shared_ptr<ForwardJob>& job : forwards_) job->cancelled = true;
      *hashing_stopped_ = true;
      hashers_.stop();
      calculator_.stop();
    });
  }

 private:
  /// Calls `method` and turns a Failure into a JavaScript error: the one place where that happens for throws.
  template <Napi::Value (Addon::*method)(const Napi::CallbackInfo&)>
  Napi::Value Guarded(const Napi::CallbackInfo& info) {
    try {
      return (this->*method)(info);
    } catch (const Failure& failure) {
      throw to_js(info.Env(), failure);
    } catch (const std::bad_alloc&) {
      throw to_js(info.Env(), out_of_memory());
    }
  }

  /// Threads start with the first use, so that loading the addon costs nothing.
  Engine& engine() {
    if (engine_ == nullptr) engine_ = std::make_unique<Engine>();
    return *engine_;
  }

  Napi::Value Info(const Napi::CallbackInfo& info) {
    const Napi::Env env = info.Env();
    Napi::Object result = Napi::Object::New(env);
    const KernelSet& kernels = engine_ == nullptr ? best_kernels() : engine_->kernels();
    result.Set("version", SINTER_VERSION);
    result.Set("target", kernels.target);
    Napi::Array targets = Napi::Array::New(env);
    for (const KernelSet* set : runnable_kernels()) targets.Set(targets.Length(), set->target);
    result.Set("targets", targets);
    result.Set("threads", engine_ == nullptr ? available_cpus() : engine_->threads());
    result.Set("cpus", available_cpus());
    Napi::Array names = Napi::Array::New(env);
    for (int i = 0; i < kernels.count; i++) {
      const Kernel& kernel = kernels.kernels[i];
      if (writes_tensor(kernel)) names.Set(names.Length(), kernel.name);
    }
    result.Set("kernels", names);
    return result;
  }

  Napi::Value Configure(const Napi::CallbackInfo& info) {
    const Napi::Object options = object(info[0]);
    const Napi::Value threads = options.Get("threads");
    const Napi::Value target = options.Get("target");
    std::string name = target.IsUndefined() ? "" : text(target, "target");
    if (name == "auto") name.clear();
    const uint64_t count = threads.IsUndefined() ? 0 : whole(threads, "threads");
    if (count > 1024) bad_argument("threads must be at most 1024");
    const Napi::Value memory = options.Get("memory");
    engine().configure(static_cast<unsigned>(count), name, memory.IsUndefined() ? 0 : whole(memory, "memory"));
    return info.Env().Undefined();
  }

  Napi::Value OpenSource(const Napi::CallbackInfo& info) {
    const std::shared_ptr<Source> source = Source::open(text(info[0], "path"));
    sources_[next_handle_] = source;
    Napi::Object result = Napi::Object::New(info.Env());
    result.Set("handle", next_handle_++);
    result.Set("size", static_cast<double>(source->size()));
    return result;
  }

  Napi::Value CreateSink(const Napi::CallbackInfo& info) {
    sinks_[next_handle_] = Sink::create(text(info[0], "path"), whole(info[1], "size"), info[2].ToBoolean());
    return Napi::Number::New(info.Env(), next_handle_++);
  }

  Napi::Value OpenSink(const Napi::CallbackInfo& info) {
    sinks_[next_handle_] = Sink::open(text(info[0], "path"), whole(info[1], "size"), info[2].ToBoolean());
    return Napi::Number::New(info.Env(), next_handle_++);
  }

  Napi::Value Lock(const Napi::CallbackInfo& info) {
    locks_[next_handle_] = FileLock::take(text(info[0], "path"));
    return Napi::Number::New(info.Env(), next_handle_++);
  }

  Napi::Value Sha256OfFile(const Napi::CallbackInfo& info) {
    struct Outcome {
      std::string hash;
      std::optional<Failure> failure;
    };
    auto outcome = std::make_shared<Outcome>();
    auto report = Pending(info.Env(), [outcome](Napi::Env env, const Napi::Promise::Deferred& promise) {
      if (outcome->failure) return promise.Reject(to_js(env, *outcome->failure).Value());
      promise.Resolve(Napi::String::New(env, outcome->hash));
    });
    hashers_.run([this, path = text(info[0], "path"), portable = info[1].ToBoolean().Value(), stop = hashing_stopped_,
                  outcome, report] {
      try {
        outcome->hash = sha256_of_file(path, portable, *stop);
      } catch (const Failure& failure) {
        outcome->failure = failure;
      }
      if (!leaving_) Report(report);
    });
    return report->promise.Promise();
  }

  Napi::Value WriteSink(const Napi::CallbackInfo& info) {
    const std::shared_ptr<Sink> sink = find(sinks_, info[0], "sink");
    const uint64_t offset = whole(info[1], "offset");
    if (!info[2].IsTypedArray()) bad_argument("bytes must be a Uint8Array");
    const Napi::Uint8Array bytes = info[2].As<Napi::Uint8Array>();
    check_range(offset, bytes.ByteLength(), sink->size(), "sink");
    sink->write(offset, reinterpret_cast<const std::byte*>(bytes.Data()), bytes.ByteLength());
    return info.Env().Undefined();
  }

  Napi::Value CommitSink(const Napi::CallbackInfo& info) {
    std::shared_ptr<Sink> sink = find(sinks_, info[0], "sink");
    const bool sync = info[1].ToBoolean();
    sinks_.erase(static_cast<uint32_t>(whole(info[0], "sink")));
    auto outcome = std::make_shared<std::optional<Failure>>();
    auto report = Pending(info.Env(), [outcome](Napi::Env env, const Napi::Promise::Deferred& promise) {
      if (*outcome) {
        promise.Reject(to_js(env, **outcome).Value());
      } else {
        promise.Resolve(env.Undefined());
      }
    });
    waiter_.run([this, sink, sync, outcome, report]() mutable {
      try {
        if (sync) sink->sync();
      } catch (const Failure& failure) {
        *outcome = failure;
      }
      sink.reset();
      Report(report);
    });
    return report->promise.Promise();
  }

  Napi::Value Close(const Napi::CallbackInfo& info) {
    const uint32_t handle = static_cast<uint32_t>(whole(info[0], "handle"));
    if (sources_.erase(handle) + sinks_.erase(handle) + locks_.erase(handle) == 0) bad_argument("no such handle");
    return info.Env().Undefined();
  }

  Napi::Value Merge(const Napi::CallbackInfo& info) {
    const std::shared_ptr<Op> op = read_op(object(info[0]));
    read_output(object(info[0]), *op);
    return Run(info.Env(), op, &Addon::result_of);
  }

  /// `merge` without a sink: what it would write, in a checksum.
  Napi::Value Checksum(const Napi::CallbackInfo& info) {
    const std::shared_ptr<Op> op = read_op(object(info[0]));
    if (op->kernel_name != "copy" && !is_float(op->job.out)) bad_argument("only copy writes integers");
    return Run(info.Env(), op, &Addon::result_of);
  }

  Napi::Value Compare(const Napi::CallbackInfo& info) {
    const Napi::Object from = object(info[0]);
    const auto op = std::make_shared<Op>();
    op->kernel_name = "compare";
    op->job.count = whole(from.Get("count"), "count");
    op->job.input_count = op->job.count;
    read_inputs(from, *op);
    return Run(info.Env(), op, &Addon::sums_of);
  }

  Napi::Value GatherRows(const Napi::CallbackInfo& info) {
    const Napi::Object from = object(info[0]);
    return gather_rows_of(info.Env(), from, *find(sources_, from.Get("source"), "source"));
  }

  Napi::Value Route(const Napi::CallbackInfo& info) { return route_of(info.Env(), object(info[0])); }

  /// Queues an op; `result` makes what its promise resolves to.
  Napi::Value Run(Napi::Env env, const std::shared_ptr<Op>& op, Napi::Value (*result)(Napi::Env, const Op&)) {
    auto report = Pending(env, [op, result](Napi::Env env, const Napi::Promise::Deferred& promise) {
      if (op->failure) return promise.Reject(to_js(env, *op->failure).Value());
      promise.Resolve(result(env, *op));
    });
    op->done = [this, report](Op&) { Report(report); };
    try {
      engine().submit(op);
    } catch (const Failure&) {
      Settled(env);
      throw;
    }
    return report->promise.Promise();
  }

  /// Forward passes run one after the other, each on threads of its own.
  Napi::Value Forward(const Napi::CallbackInfo& info) {
    const auto job =
        read_forward(object(info[0]), [this](const Napi::Value& handle) { return find(sources_, handle, "source"); });
    forwards_.push_back(job);
    auto report = Pending(info.Env(), [this, job](Napi::Env env, const Napi::Promise::Deferred& promise) {
      forwards_.remove(job);
      if (job->failure) return promise.Reject(to_js(env, *job->failure).Value());
      promise.Resolve(forward_result(env, *job));
    });
    calculator_.run([this, job, report, threads = engine().threads(), target = engine().kernels().target] {
      job->run(threads, target);
      if (!leaving_) Report(report);
    });
    return report->promise.Promise();
  }

  Napi::Value Multiply(const Napi::CallbackInfo& info) {
    return multiply(info.Env(), object(info[0]), engine().threads(), engine().kernels().target);
  }

  Napi::Value PeakRate(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), peak_rate(engine().threads(), engine().kernels().target));
  }

  Napi::Value Cancel(const Napi::CallbackInfo& info) {
    for (const std::shared_ptr<ForwardJob>& job : forwards_) job->cancelled = true;
    *std::exchange(hashing_stopped_, std::make_shared<std::atomic<bool>>(false)) = true;
    if (engine_ != nullptr) engine_->cancel();
    return info.Env().Undefined();
  }

  // ---- from JavaScript ----

  template <class T>
  static std::shared_ptr<T> find(const std::map<uint32_t, std::shared_ptr<T>>& handles, const Napi::Value& value,
                                 const char* name) {
    const auto found = handles.find(static_cast<uint32_t>(whole(value, name)));
    if (found == handles.end()) bad_argument(std::string("no such ") + name + ": it was closed or never opened");
    return found->second;
  }

  std::shared_ptr<Op> read_op(const Napi::Object& from) {
    auto op = std::make_shared<Op>();
    Job& job = op->job;
    op->kernel_name = text(from.Get("kernel"), "kernel");
    job.count = whole(from.Get("count"), "count");
    job.rows = whole(from.Get("rows"), "rows");
    job.columns = whole(from.Get("columns"), "columns");
    if (job.count > 0 &&
        (job.rows == 0 || job.columns == 0 || job.count % job.rows != 0 || job.count % job.columns != 0)) {
      bad_argument("rows and columns must divide count");
    }
    const Napi::Value elements = from.Get("elements");
    job.input_count = elements.IsUndefined() ? job.count : whole(elements, "elements");
    job.out = dtype_of(from.Get("dtype"));
    job.wide = job.out == Dtype::F64;
    read_inputs(from, *op);
    job.params = numbers(from.Get("params"));
    const std::string tensor = text(from.Get("tensor"), "tensor");
    job.key = xxh3_64(tensor.data(), tensor.size(), whole(from.Get("seed"), "seed"));
    return op;
  }

  void read_output(const Napi::Object& from, Op& op) {
    op.sink = find(sinks_, from.Get("sink"), "sink");
    op.sink_offset = whole(from.Get("offset"), "offset");
    op.want_crc32 = from.Get("crc32").ToBoolean();
    check_range(op.sink_offset, op.job.count * element_size(op.job.out), op.sink->size(), "sink");
    if (op.kernel_name != "copy" && !is_float(op.job.out)) bad_argument("only copy writes integers");
  }

  void read_inputs(const Napi::Object& from, Op& op) {
    if (!from.Get("inputs").IsArray()) bad_argument("inputs must be a list");
    const Napi::Array inputs = from.Get("inputs").As<Napi::Array>();
    if (inputs.Length() > kMaxInputs) {
      bad_argument("an op takes at most " + std::to_string(kMaxInputs) + " inputs");
    }
    op.job.inputs = static_cast<int>(inputs.Length());
    for (int i = 0; i < op.job.inputs; i++) read_input(object(inputs.Get(static_cast<uint32_t>(i))), op, i);
  }

  void read_input(const Napi::Object& from, Op& op, int i) {
    const std::shared_ptr<Source> source = find(sources_, from.Get("source"), "source");
    const uint64_t offset = whole(from.Get("offset"), "offset");
    const Dtype dtype = dtype_of(from.Get("dtype"));
    check_range(offset, op.job.input_count * element_size(dtype), source->size(), "source");
    if (op.kernel_name != "copy" && !is_float(dtype)) bad_argument("only copy reads integers");
    op.job.input[i] = {source->data() + offset, dtype, static_cast<uint32_t>(whole(from.Get("stream"), "stream"))};
    op.job.wide |= dtype == Dtype::F64 && op.kernel_name != "copy";
    op.sources.push_back(source);
  }

  // ---- to JavaScript ----

  static Napi::Value result_of(Napi::Env env, const Op& op) {
    Napi::Object result = Napi::Object::New(env);
    std::string hex;
    for (const uint8_t byte : op.checksum) {
      hex += "0123456789abcdef"[byte >> 4];
      hex += "0123456789abcdef"[byte & 15];
    }
    result.Set("checksum", hex);
    result.Set("crc32", static_cast<double>(op.crc32));
    Napi::Array non_finite = Napi::Array::New(env, static_cast<size_t>(op.job.inputs));
    for (int i = 0; i < op.job.inputs; i++) {
      non_finite.Set(static_cast<uint32_t>(i), Napi::Boolean::New(env, (op.non_finite.load() >> i & 1) != 0));
    }
    result.Set("nonFinite", non_finite);
    return result;
  }

  static Napi::Value sums_of(Napi::Env env, const Op& op) { return float64s(env, op.job.sums); }

  /// A promise that another thread reports on; `settle` runs on the JavaScript thread.
  struct Promised {
    Napi::Promise::Deferred promise;
    std::function<void(Napi::Env, const Napi::Promise::Deferred&)> settle;
  };

  std::shared_ptr<Promised> Pending(Napi::Env env,
                                    std::function<void(Napi::Env, const Napi::Promise::Deferred&)> settle) {
    if (!reports_) {
      reports_ = Napi::ThreadSafeFunction::New(env, Napi::Function::New(env, [](const Napi::CallbackInfo&) {}),
                                               "sinter", 0, 1);
      reports_.Unref(env);
    }
    if (pending_++ == 0) reports_.Ref(env);
    return std::make_shared<Promised>(Promised{Napi::Promise::Deferred::New(env), std::move(settle)});
  }

  /// The process may end when nothing is pending.
  void Settled(Napi::Env env) {
    if (--pending_ == 0) reports_.Unref(env);
  }

  /// The one way from other threads to JavaScript.
  void Report(const std::shared_ptr<Promised>& promised) {
    auto* kept = new std::shared_ptr<Promised>(promised);
    const napi_status status =
        reports_.NonBlockingCall(kept, [this](Napi::Env env, Napi::Function, std::shared_ptr<Promised>* data) {
          const std::unique_ptr<std::shared_ptr<Promised>> owned(data);
          const Napi::HandleScope scope(env);
          (*owned)->settle(env, (*owned)->promise);
          Settled(env);
        });
    if (status != napi_ok) delete kept;
  }

  std::unique_ptr<Engine> engine_;
  Waiter waiter_;
  Waiter calculator_;
  Waiter hashers_{available_cpus()};
  /// Of the files that are being hashed now; `cancel` sets it and begins another.
  std::shared_ptr<std::atomic<bool>> hashing_stopped_ = std::make_shared<std::atomic<bool>>(false);
  std::list<std::shared_ptr<ForwardJob>> forwards_;
  std::atomic<bool> leaving_{false};
  std::map<uint32_t, std::shared_ptr<Source>> sources_;
  std::map<uint32_t, std::shared_ptr<Sink>> sinks_;
  std::map<uint32_t, std::shared_ptr<FileLock>> locks_;
  uint32_t next_handle_ = 1;
  Napi::ThreadSafeFunction reports_;
  uint64_t pending_ = 0;
};

}  // namespace

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  Addon::Init(env, exports);
  return exports;
}
NODE_API_MODULE(sinter, Init)

}  // namespace sinter
