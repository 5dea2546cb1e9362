// N-API glue only: from JavaScript values to ops and back. The types are those of src/native.ts.

#include <napi.h>

#include <algorithm>
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
#include "glue/transplant.h"
#include "glue/values.h"
#include "io/error.h"
#include "io/hash-file.h"
#include "io/lock.h"
#include "io/sink.h"
#include "io/source.h"
#include "linear/low-rank.h"
#include "numeric/digest.h"
#include "transplant/well-trained.h"

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

/// More than any file has.
constexpr uint64_t kMostElements = uint64_t{1} << 53;

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

/// Threads that each run one job; `stop` waits for all of them.
class JobThreads {
 public:
  ~JobThreads() { stop(); }

  /// Called on the JavaScript thread only.
  void run(std::function<void()> job) {
    sweep();
    auto ended = std::make_shared<std::atomic<bool>>(false);
    threads_.push_back({std::thread([job = std::move(job), ended] {
                          job();
                          *ended = true;
                        }),
                        ended});
  }

  void stop() {
    for (Running& one : threads_) one.thread.join();
    threads_.clear();
  }

 private:
  struct Running {
    std::thread thread;
    std::shared_ptr<std::atomic<bool>> ended;
  };

  void sweep() {
    for (auto one = threads_.begin(); one != threads_.end();) {
      if (*one->ended) {
        one->thread.join();
        one = threads_.erase(one);
      } else {
        one++;
      }
    }
  }

  std::list<Running> threads_;
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
                             InstanceMethod("difference", &Addon::Guarded<&Addon::TakeDifference>),
                             InstanceMethod("decompose", &Addon::Guarded<&Addon::Decompose>),
                             InstanceMethod("gatherRows", &Addon::Guarded<&Addon::GatherRows>),
                             InstanceMethod("route", &Addon::Guarded<&Addon::Route>),
                             InstanceMethod("transplant", &Addon::Guarded<&Addon::RunTransplant>),
                             InstanceMethod("transplantProgress", &Addon::Guarded<&Addon::TransplantProgress>),
                             InstanceMethod("wellTrained", &Addon::Guarded<&Addon::WellTrained>),
                             InstanceMethod("forward", &Addon::Guarded<&Addon::Forward>),
                             InstanceMethod("multiply", &Addon::Guarded<&Addon::Multiply>),
                             InstanceMethod("peakRate", &Addon::Guarded<&Addon::PeakRate>),
                             InstanceMethod("cancel", &Addon::Guarded<&Addon::Cancel>),
                         });
    // Threads must be gone before the library may be unloaded.
    env.AddCleanupHook([this] {
      *cancelled_ = true;
      engine_.reset();
      waiter_.stop();
      decompositions_.stop();
      leaving_ = true;
      for (const std::shared_ptr<ForwardJob>& job : forwards_) job->cancelled = true;
      watch_->cancelled = true;
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
    } catch (const Napi::Error&) {
      throw;
    } catch (const std::exception& failure) {
      throw to_js(info.Env(), Failure("BAD_ARGUMENT", failure.what()));
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
    const Napi::Value rows = from.Get("rows");
    op->job.rows = rows.IsUndefined() ? 1 : whole(rows, "rows");
    read_inputs(from, *op);
    read_gathers(from, *op);
    read_patches(from, *op);
    return Run(info.Env(), op, &Addon::sums_of);
  }

  Napi::Value TakeDifference(const Napi::CallbackInfo& info) {
    const Napi::Object from = object(info[0]);
    const auto op = std::make_shared<Op>();
    op->kernel_name = "difference";
    op->job.count = whole(from.Get("count"), "count");
    op->job.input_count = op->job.count;
    op->job.rows = whole(from.Get("rows"), "rows");
    op->job.params = numbers(from.Get("thresholds"));
    read_inputs(from, *op);
    read_gathers(from, *op);
    read_patches(from, *op);
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

  Napi::Value Decompose(const Napi::CallbackInfo& info) {
    const auto task = std::make_shared<LowRankTask>(read_low_rank(object(info[0])));
    if (decomposing_ == 0) *cancelled_ = false;
    decomposing_++;
    auto result = std::make_shared<LowRankResult>();
    auto failure = std::make_shared<std::optional<Failure>>();
    auto report = Pending(info.Env(), [this, result, failure](Napi::Env env, const Napi::Promise::Deferred& promise) {
      decomposing_--;
      if (*failure) return promise.Reject(to_js(env, **failure).Value());
      promise.Resolve(low_rank_of(env, *result));
    });
    decompositions_.run([this, task, result, failure, report, cancelled = cancelled_] {
      try {
        *result = write_low_rank(*task, *cancelled);
      } catch (const Failure& caught) {
        *failure = caught;
      } catch (const std::exception& caught) {
        failure->emplace("BAD_ARGUMENT", caught.what());
      }
      task->source.reset();
      task->sink.reset();
      Report(report);
    });
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
    *cancelled_ = true;
    for (const std::shared_ptr<ForwardJob>& job : forwards_) job->cancelled = true;
    *std::exchange(hashing_stopped_, std::make_shared<std::atomic<bool>>(false)) = true;
    if (engine_ != nullptr) engine_->cancel();
    watch_->cancelled = true;
    return info.Env().Undefined();
  }

  Napi::Value RunTransplant(const Napi::CallbackInfo& info) {
    const std::shared_ptr<const Transplant> transplant = read_transplant(object(info[0]), handles());
    const auto effort = [](Napi::Env env, const Watch& watch) -> Napi::Value {
      Napi::Object result = Napi::Object::New(env);
      result.Set("productSeconds", static_cast<double>(watch.product_nanoseconds.load()) * 1e-9);
      result.Set("multiplyAdds", static_cast<double>(watch.multiply_adds.load()));
      return result;
    };
    return Compute(info.Env(), effort, [transplant](Team& team, const ProductKernels& kernels, Watch& watch) {
      run_transplant(*transplant, team, kernels, watch);
    });
  }

  /// Steps done and steps in all (0 until known) of the transplant that was started last.
  Napi::Value TransplantProgress(const Napi::CallbackInfo& info) {
    Napi::Array steps = Napi::Array::New(info.Env(), 2);
    steps.Set(0u, static_cast<double>(watch_->done.load()));
    steps.Set(1u, static_cast<double>(watch_->total.load()));
    return steps;
  }

  Napi::Value WellTrained(const Napi::CallbackInfo& info) {
    const auto [embedding, source] = read_rows(object(info[0]), handles());
    std::optional<StoredRows> head;
    std::vector<std::shared_ptr<Source>> sources{source};
    if (!info[1].IsUndefined()) {
      const auto [rows, head_source] = read_rows(object(info[1]), handles());
      head = rows;
      sources.push_back(head_source);
    }
    const std::vector<uint32_t> unused = indices(info[2], "unused");
    auto trained = std::make_shared<std::vector<uint8_t>>();
    const auto result = [trained](Napi::Env env, const Watch&) -> Napi::Value {
      Napi::Uint8Array array = Napi::Uint8Array::New(env, trained->size());
      std::copy(trained->begin(), trained->end(), array.Data());
      return array;
    };
    return Compute(info.Env(), result,
                   [embedding = embedding, head, sources, unused, trained](Team& team, const ProductKernels&, Watch&) {
                     *trained = well_trained(team, embedding, head, unused);
                     for (size_t i = 0; i < sources.size(); i++) {
                       if (!sources[i]->failed()) continue;
                       throw Failure("SOURCE_FAILED", sources[i]->path() + " shrank or failed while it was read",
                                     static_cast<int>(i));
                     }
                   });
  }

  using Computation = std::function<void(Team&, const ProductKernels&, Watch&)>;

  /// Runs `compute` off the JavaScript thread; `result` makes what the promise resolves to.
  Napi::Value Compute(Napi::Env env, std::function<Napi::Value(Napi::Env, const Watch&)> result, Computation compute) {
    const unsigned threads = engine().threads();
    const ProductKernels* kernels = find_products(engine().kernels().target);
    const auto watch = std::make_shared<Watch>();
    watch_ = watch;
    auto outcome = std::make_shared<std::optional<Failure>>();
    auto report = Pending(env, [outcome, result, watch](Napi::Env env, const Napi::Promise::Deferred& promise) {
      if (*outcome) return promise.Reject(to_js(env, **outcome).Value());
      promise.Resolve(result(env, *watch));
    });
    calculator_.run([this, threads, kernels, watch, outcome, report, compute]() {
      try {
        Team team(threads);
        compute(team, kernels == nullptr ? best_products() : *kernels, *watch);
      } catch (const Failure& failure) {
        *outcome = failure;
      } catch (const std::exception& error) {
        outcome->emplace("BAD_ARGUMENT", error.what());
      }
      if (!leaving_) Report(report);
    });
    return report->promise.Promise();
  }

  Handles handles() {
    return {[this](const Napi::Value& value) { return find(sources_, value, "source"); },
            [this](const Napi::Value& value) { return find(sinks_, value, "sink"); }};
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
    read_gathers(from, *op);
    read_patches(from, *op);
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
    const bool gathers = !from.Get("gather").IsUndefined();
    std::shared_ptr<const StridedLayout> layout = layout_of(from.Get("layout"), op.job.input_count);
    if (gathers && layout != nullptr) bad_argument("rows are gathered from pieces that lie one after another");
    const uint64_t elements = layout == nullptr ? op.job.input_count : std::min(layout->extent(), kMostElements);
    if (!gathers) check_range(offset, elements * element_size(dtype), source->size(), "source");
    if (op.kernel_name != "copy" && !is_float(dtype)) bad_argument("only copy reads integers");
    op.job.input[i] = {source->data() + offset, dtype, static_cast<uint32_t>(whole(from.Get("stream"), "stream"))};
    op.job.input[i].layout = std::move(layout);
    op.job.wide |= dtype == Dtype::F64 && op.kernel_name != "copy" && !gathers;
    op.sources.push_back(source);
  }

  /// Null where there is none, and where the elements lie one after another all the same.
  static std::shared_ptr<const StridedLayout> layout_of(const Napi::Value& value, uint64_t count) {
    if (value.IsUndefined()) return nullptr;
    const Napi::Object from = object(value);
    StridedLayout given{numbers_of(from.Get("sizes"), "sizes"), numbers_of(from.Get("strides"), "strides")};
    if (given.sizes.size() != given.strides.size()) bad_argument("a layout has a stride for each size");
    uint64_t elements = 1;
    for (const uint64_t size : given.sizes) {
      if (__builtin_mul_overflow(elements, size, &elements)) bad_argument("a layout has too many elements");
    }
    if (elements != count) bad_argument("a layout has as many elements as the op");
    StridedLayout layout = given.simplified();
    const bool is_plain = layout.sizes.empty() || (layout.sizes.size() == 1 && layout.strides[0] == 1);
    return is_plain ? nullptr : std::make_shared<const StridedLayout>(std::move(layout));
  }

  static std::vector<uint64_t> numbers_of(const Napi::Value& value, const char* name) {
    if (!value.IsArray()) bad_argument(std::string(name) + " must be a list");
    const Napi::Array list = value.As<Napi::Array>();
    if (list.Length() > kMaxDimensions) bad_argument(std::string(name) + " has too many entries");
    std::vector<uint64_t> numbers;
    for (uint32_t i = 0; i < list.Length(); i++) numbers.push_back(whole(list.Get(i), name));
    return numbers;
  }

  /// The rows of gathered inputs. After all inputs: their sources follow those of the inputs.
  void read_gathers(const Napi::Object& from, Op& op) {
    const Napi::Array inputs = from.Get("inputs").As<Napi::Array>();
    for (int i = 0; i < op.job.inputs; i++) {
      const Napi::Value gather = object(inputs.Get(static_cast<uint32_t>(i))).Get("gather");
      if (!gather.IsUndefined()) read_gather(object(gather), op, i);
    }
  }

  void read_gather(const Napi::Object& from, Op& op, int input) {
    auto gather = std::make_unique<RowGather>();
    if (op.job.rows == 0 || op.job.count % op.job.rows != 0) bad_argument("gathered rows need a tensor of rows");
    gather->width = op.job.count / op.job.rows;
    if (gather->width == 0) bad_argument("gathered rows must not be empty");
    const uint64_t rows = read_pieces(from, *gather, op, input);
    gather->rows = row_numbers(from.Get("rows"), "rows");
    if (gather->rows.size() != op.job.rows) bad_argument("rows must have a number for each row of the tensor");
    gather->mixes = row_numbers(from.Get("mixes"), "mixes");
    for (const int32_t row : gather->rows) check_row(row, rows, gather->mixes);
    uint64_t means = 0;
    for (const int32_t row : gather->rows) means += row == RowGather::kMean ? 1 : 0;
    gather->averaged = means == 0 ? 0 : op.job.rows - means;
    if (means > 0 && gather->averaged == 0) bad_argument("a mean needs rows");
    op.job.input[input].gather = gather.get();
    op.gathers.push_back(std::move(gather));
  }

  /// @returns how many rows all pieces have.
  uint64_t read_pieces(const Napi::Object& from, RowGather& gather, Op& op, int input) {
    if (!from.Get("pieces").IsArray()) bad_argument("pieces must be a list");
    const Napi::Array pieces = from.Get("pieces").As<Napi::Array>();
    uint64_t rows = 0;
    for (uint32_t p = 0; p < pieces.Length(); p++) {
      const Napi::Object piece = object(pieces.Get(p));
      const std::shared_ptr<Source> source = find(sources_, piece.Get("source"), "source");
      const uint64_t offset = whole(piece.Get("offset"), "offset");
      const Dtype dtype = dtype_of(piece.Get("dtype"));
      const uint64_t count = whole(piece.Get("rows"), "rows");
      if (!is_float(dtype)) bad_argument("gathered rows must be floats");
      if (count > 0 && gather.width > source->size() / element_size(dtype) / count) {
        bad_argument("a piece has more rows than its source has bytes");
      }
      check_range(offset, count * gather.width * element_size(dtype), source->size(), "source");
      gather.pieces.push_back({source->data() + offset, dtype, count});
      op.sources.push_back(source);
      op.served_inputs.push_back(input);
      op.job.wide |= dtype == Dtype::F64;
      rows += count;
    }
    return rows;
  }

  static std::vector<int32_t> row_numbers(const Napi::Value& value, const char* name) {
    if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_int32_array) {
      bad_argument(std::string(name) + " must be Int32Arrays");
    }
    const Napi::Int32Array numbers = value.As<Napi::Int32Array>();
    return {numbers.Data(), numbers.Data() + numbers.ElementLength()};
  }

  static void check_row(int32_t code, uint64_t rows, const std::vector<int32_t>& mixes) {
    const auto is_row = [rows](int32_t row) { return row >= 0 && static_cast<uint64_t>(row) < rows; };
    if (is_row(code) || code == RowGather::kZeros || code == RowGather::kMean) return;
    const int64_t first = static_cast<int64_t>(RowGather::kMixed) - code;
    const int64_t size = static_cast<int64_t>(mixes.size());
    if (code < 0 && first < size) {
      const int64_t count = mixes[static_cast<size_t>(first)];
      bool fits = count > 0 && count < size - first;
      for (int64_t m = 1; fits && m <= count; m++) fits = is_row(mixes[static_cast<size_t>(first + m)]);
      if (fits) return;
    }
    bad_argument("a gathered row lies in no piece");
  }

  /// `patches`: for each input that has some, those patches in the order of their rows.
  void read_patches(const Napi::Object& from, Op& op) {
    if (from.Get("patches").IsUndefined()) return;
    if (!from.Get("patches").IsArray()) bad_argument("patches must be a list");
    const Napi::Array patches = from.Get("patches").As<Napi::Array>();
    Job& job = op.job;
    if (op.kernel_name == "copy" && patches.Length() > 0) bad_argument("copy takes no patches");
    for (uint32_t i = 0; i < patches.Length(); i++) {
      const Napi::Object one = object(patches.Get(i));
      const uint64_t input = whole(one.Get("input"), "input");
      const uint64_t columns = whole(one.Get("columns"), "columns");
      if (input >= static_cast<uint64_t>(job.inputs)) bad_argument("a patch is of an input that there is not");
      if (columns == 0 || job.input_count % columns != 0) bad_argument("columns of a patch must divide the input");
      InputSpan& span = job.input[input];
      if (span.gather != nullptr) bad_argument("gathered rows take no patches");
      if (span.patches == nullptr) {
        job.patches.push_back(std::make_unique<InputPatches>());
        job.patches.back()->input = static_cast<int>(input);
        job.patches.back()->columns = columns;
        span.patches = job.patches.back().get();
      }
      InputPatches& own = *job.patches.back();
      if (own.input != static_cast<int>(input) || own.columns != columns) {
        bad_argument("patches of one input must follow each other and have the same columns");
      }
      const uint64_t after = own.patches.empty() ? 0 : own.patches.back().end;
      own.patches.push_back(read_patch(one, op, columns, after));
    }
  }

  /// Both lie in the task's source, row-major without gaps.
  static Matrix read_product_factor(const Napi::Object& from, const std::string& name, const Source& source,
                                    uint64_t rows, uint64_t columns) {
    const uint64_t offset = whole(from.Get(name + "Offset"), "offset");
    const Dtype dtype = dtype_of(from.Get(name + "Dtype"));
    if (!is_float(dtype) || rows == 0 || rows > (uint64_t{1} << 40) / columns) bad_argument("no such factor");
    check_range(offset, rows * columns * element_size(dtype), source.size(), "source");
    return Matrix::stored(source.data() + offset, dtype, rows, columns, columns);
  }

  LowRankTask read_low_rank(const Napi::Object& from) {
    LowRankTask task;
    task.source = find(sources_, from.Get("source"), "source");
    task.sink = find(sinks_, from.Get("sink"), "sink");
    const uint64_t rows = whole(from.Get("rows"), "rows");
    const uint64_t columns = whole(from.Get("columns"), "columns");
    const uint64_t offset = whole(from.Get("offset"), "offset");
    if (rows == 0 || columns == 0) bad_argument("a matrix without elements has no factors");
    if (rows > (uint64_t{1} << 40) / columns) bad_argument("the matrix is too large");
    if (from.Get("factors").IsUndefined()) {
      check_range(offset, rows * columns * sizeof(float), task.source->size(), "source");
      task.matrix = Matrix::stored(task.source->data() + offset, Dtype::F32, rows, columns, columns);
      if (from.Get("transposed").ToBoolean()) task.matrix = task.matrix.transposed();
    } else {
      const Napi::Object factors = object(from.Get("factors"));
      const uint64_t inner = whole(factors.Get("inner"), "inner");
      task.is_product = true;
      task.scale = factors.Get("scale").ToNumber().DoubleValue();
      task.matrix = Matrix::stored(static_cast<const float*>(nullptr), rows, columns);
      task.a = read_product_factor(factors, "a", *task.source, inner, columns);
      task.b = read_product_factor(factors, "b", *task.source, rows, inner);
    }
    task.request.rank = whole(from.Get("rank"), "rank");
    if (task.request.rank == 0) bad_argument("rank must be at least 1");
    task.request.rank = std::min({task.request.rank, rows, columns});
    task.request.epsilon = from.Get("epsilon").ToNumber().DoubleValue();
    task.request.share = from.Get("share").ToNumber().DoubleValue();
    task.request.seed = whole(from.Get("seed"), "seed");
    task.distribute = from.Get("distribute").ToBoolean();
    task.threads = static_cast<unsigned>(whole(from.Get("threads"), "threads"));
    task.dtype = dtype_of(from.Get("dtype"));
    if (!is_float(task.dtype)) bad_argument("factors are floating point numbers");
    task.a_offset = whole(from.Get("aOffset"), "aOffset");
    task.b_offset = whole(from.Get("bOffset"), "bOffset");
    const uint64_t width = task.request.rank * element_size(task.dtype);
    check_range(task.a_offset, width * task.matrix.columns, task.sink->size(), "sink");
    check_range(task.b_offset, width * task.matrix.rows, task.sink->size(), "sink");
    return task;
  }

  Patch read_patch(const Napi::Object& from, Op& op, uint64_t columns, uint64_t after) {
    Patch patch{};
    patch.begin = whole(from.Get("begin"), "begin");
    patch.end = whole(from.Get("end"), "end");
    const uint64_t rows = patch.end - patch.begin;
    if (patch.begin < after || patch.end <= patch.begin || patch.end > op.job.input_count / columns) {
      bad_argument("rows of a patch must lie in the input, one patch after the other");
    }
    const uint64_t rank = whole(from.Get("rank"), "rank");
    if (rank == 0 || rank > 1 << 20) bad_argument("rank must be at least 1");
    patch.rank = static_cast<uint32_t>(rank);
    patch.scale = from.Get("scale").ToNumber().DoubleValue();
    patch.replaces = from.Get("replaces").ToBoolean();
    if (!from.Get("left").IsUndefined()) patch.left = read_factor(object(from.Get("left")), op, rows, rank);
    if (patch.left.data == nullptr && rank != 1) bad_argument("without a left factor the rank is 1");
    patch.right = read_factor(object(from.Get("right")), op, rank, columns);
    if (from.Get("magnitude").IsUndefined()) return patch;
    patch.along = text(from.Get("along"), "along") == "rows" ? Magnitude::rows : Magnitude::columns;
    const uint64_t numbers = patch.along == Magnitude::rows ? rows : columns;
    patch.magnitude = read_factor(object(from.Get("magnitude")), op, 1, numbers);
    return patch;
  }

  Factor read_factor(const Napi::Object& from, Op& op, uint64_t rows, uint64_t columns) {
    const std::shared_ptr<Source> source = find(sources_, from.Get("source"), "source");
    Factor factor;
    const uint64_t offset = whole(from.Get("offset"), "offset");
    factor.dtype = dtype_of(from.Get("dtype"));
    factor.row_stride = whole(from.Get("rowStride"), "rowStride");
    factor.column_stride = whole(from.Get("columnStride"), "columnStride");
    if (!is_float(factor.dtype)) bad_argument("factors must be floating point numbers");
    const uint64_t most = source->size();
    if (factor.row_stride > most || factor.column_stride > most) bad_argument("a stride lies beyond the source");
    const uint64_t last = (rows - 1) * factor.row_stride + (columns - 1) * factor.column_stride;
    check_range(offset, (last + 1) * element_size(factor.dtype), most, "source");
    factor.data = source->data() + offset;
    op.sources.push_back(source);
    return factor;
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

  static Napi::Value low_rank_of(Napi::Env env, const LowRankResult& found) {
    Napi::Object result = Napi::Object::New(env);
    result.Set("rank", static_cast<double>(found.rank));
    result.Set("energy", found.energy);
    result.Set("kept", found.kept);
    result.Set("largest", found.largest);
    result.Set("smallest", found.smallest);
    result.Set("iterations", found.iterations);
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
  JobThreads decompositions_;
  uint32_t decomposing_ = 0;
  std::shared_ptr<std::atomic<bool>> cancelled_ = std::make_shared<std::atomic<bool>>(false);
  Waiter calculator_;
  Waiter hashers_{available_cpus()};
  /// Of the files that are being hashed now; `cancel` sets it and begins another.
  std::shared_ptr<std::atomic<bool>> hashing_stopped_ = std::make_shared<std::atomic<bool>>(false);
  /// Of the transplant that was started last.
  std::shared_ptr<Watch> watch_ = std::make_shared<Watch>();
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
