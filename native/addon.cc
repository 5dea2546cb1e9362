// N-API glue only: from JavaScript values to ops and back. The types are those of src/native.ts.

#include <napi.h>

#include <algorithm>
#include <atomic>
#include <list>
#include <map>
#include <memory>

#include "cpu/dispatch.h"
#include "engine/engine.h"
#include "glue/device.h"
#include "glue/forward.h"
#include "glue/handles.h"
#include "glue/low-rank.h"
#include "glue/op.h"
#include "glue/products.h"
#include "glue/routing.h"
#include "glue/threads.h"
#include "glue/transplant.h"
#include "glue/values.h"
#include "io/error.h"
#include "io/hash-file.h"
#include "io/lock.h"
#include "io/sink.h"
#include "io/source.h"
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
                             InstanceMethod("openSolver", &Addon::Guarded<&Addon::OpenSolver>),
                             InstanceMethod("decompose", &Addon::Guarded<&Addon::Decompose>),
                             InstanceMethod("gatherRows", &Addon::Guarded<&Addon::GatherRows>),
                             InstanceMethod("route", &Addon::Guarded<&Addon::Route>),
                             InstanceMethod("transplant", &Addon::Guarded<&Addon::RunTransplant>),
                             InstanceMethod("transplantProgress", &Addon::Guarded<&Addon::TransplantProgress>),
                             InstanceMethod("wellTrained", &Addon::Guarded<&Addon::WellTrained>),
                             InstanceMethod("forward", &Addon::Guarded<&Addon::Forward>),
                             InstanceMethod("multiply", &Addon::Guarded<&Addon::Multiply>),
                             InstanceMethod("peakRate", &Addon::Guarded<&Addon::PeakRate>),
                             InstanceMethod("devices", &Addon::Guarded<&Addon::Devices>),
                             InstanceMethod("measureTransfers", &Addon::Guarded<&Addon::MeasureTransfers>),
                             InstanceMethod("useDevices", &Addon::Guarded<&Addon::UseDevices>),
                             InstanceMethod("underway", &Addon::Guarded<&Addon::Underway>),
                             InstanceMethod("cancel", &Addon::Guarded<&Addon::Cancel>),
                         });
    // Threads must be gone before the library may be unloaded.
    env.AddCleanupHook([this] {
      *cancelled_ = true;
      pipeline_.reset();
      engine_.reset();
      waiter_.stop();
      decompositions_.stop();
      solver_.reset();
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
    const Napi::Value checksums = options.Get("checksums");
    engine().set_checksums(checksums.IsUndefined() || checksums.ToBoolean());
    return info.Env().Undefined();
  }

  Napi::Value Devices(const Napi::CallbackInfo& info) {
    const DeviceQuestion question = read_device_question(info[1], info[2]);
    const std::string path = info[0].IsUndefined() ? "" : text(info[0], "library");
    return devices_of(info.Env(), find_device_library(path), question);
  }

  Napi::Value MeasureTransfers(const Napi::CallbackInfo& info) {
    const FoundLibrary found = find_device_library(info[1].IsUndefined() ? "" : text(info[1], "library"));
    return transfers_of(info.Env(), found, static_cast<int>(whole(info[0], "device") % 1024));
  }

  /// Without options: the CPU alone from now on.
  Napi::Value UseDevices(const Napi::CallbackInfo& info) {
    if (pipeline_ != nullptr && !pipeline_->is_idle()) bad_argument("cannot change devices while ops are running");
    pipeline_.reset();
    if (info[0].IsUndefined()) return info.Env().Undefined();
    const Napi::Object from = object(info[0]);
    const Napi::Value path = from.Get("library");
    const FoundLibrary found = find_device_library(path.IsUndefined() ? "" : text(path, "library"));
    if (found.library == nullptr) throw Failure("DEVICE_FAILED", found.message);
    pipeline_ = std::make_unique<Pipeline>(engine(), *found.library, read_device_options(from), engine().threads());
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
    const std::shared_ptr<Op> op = read_op(object(info[0]), handles());
    read_output(object(info[0]), *op, handles());
    return Run(info.Env(), op, result_of);
  }

  /// `merge` without a sink: what it would write, in checksums.
  Napi::Value Checksum(const Napi::CallbackInfo& info) {
    const std::shared_ptr<Op> op = read_op(object(info[0]), handles());
    if (op->kernel_name != "copy" && !is_float(op->job.out)) bad_argument("only copy writes integers");
    op->want_crc32 = object(info[0]).Get("crc32").ToBoolean();
    return Run(info.Env(), op, result_of);
  }

  Napi::Value Compare(const Napi::CallbackInfo& info) {
    return Run(info.Env(), read_measurement(object(info[0]), "compare", handles()), sums_of);
  }

  Napi::Value TakeDifference(const Napi::CallbackInfo& info) {
    return Run(info.Env(), read_measurement(object(info[0]), "difference", handles()), sums_of);
  }

  Napi::Value GatherRows(const Napi::CallbackInfo& info) {
    const KernelSet& kernels = engine_ == nullptr ? best_kernels() : engine_->kernels();
    return gather_rows_of(info.Env(), object(info[0]), handles(), kernels);
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
      op->reads_ahead = pipeline_ == nullptr || pipeline_->is_read_ahead(*op);
      engine().admit(*op);
      if (op->wants_device && pipeline_ != nullptr) {
        pipeline_->submit(op);
      } else {
        engine().enqueue(op);
      }
    } catch (...) {
      // The op and its report hold each other, and the files of the op.
      op->done = nullptr;
      Settled(env);
      throw;
    }
    return report->promise.Promise();
  }

  Napi::Value OpenSolver(const Napi::CallbackInfo& info) {
    const uint64_t device = whole(info[1], "device");
    if (device > 1024) bad_argument("device is out of range");
    solver_ = Cusolver::open(text(info[0], "folder"), static_cast<int>(device));
    return Napi::String::New(info.Env(), solver_->name());
  }

  Napi::Value Decompose(const Napi::CallbackInfo& info) {
    const auto task = std::make_shared<LowRankTask>(read_low_rank(object(info[0]), handles()));
    if (object(info[0]).Get("onDevice").ToBoolean()) {
      if (solver_ == nullptr) bad_argument("no device was opened");
      task->device = solver_;
    }
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
      task->device.reset();
      Report(report);
    });
    return report->promise.Promise();
  }

  /// Forward passes run one after the other, each on threads of its own.
  Napi::Value Forward(const Napi::CallbackInfo& info) {
    const auto job = read_forward(object(info[0]), handles(), engine().kernels());
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

  Napi::Value Underway(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), engine_ == nullptr ? 0 : engine_->underway());
  }

  Napi::Value Cancel(const Napi::CallbackInfo& info) {
    *cancelled_ = true;
    for (const std::shared_ptr<ForwardJob>& job : forwards_) job->cancelled = true;
    *std::exchange(hashing_stopped_, std::make_shared<std::atomic<bool>>(false)) = true;
    if (pipeline_ != nullptr) pipeline_->cancel();
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

  template <class T>
  static std::shared_ptr<T> find(const std::map<uint32_t, std::shared_ptr<T>>& handles, const Napi::Value& value,
                                 const char* name) {
    const auto found = handles.find(static_cast<uint32_t>(whole(value, name)));
    if (found == handles.end()) bad_argument(std::string("no such ") + name + ": it was closed or never opened");
    return found->second;
  }

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
  /// While devices are in use.
  std::unique_ptr<Pipeline> pipeline_;
  Waiter waiter_;
  JobThreads decompositions_;
  std::shared_ptr<Cusolver> solver_;
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
