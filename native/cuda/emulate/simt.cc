#include "simt.h"

#include <ucontext.h>

#include <cstdio>
#include <memory>
#include <mutex>
#include <vector>

EmulatedIndex threadIdx, blockIdx, blockDim, gridDim;

namespace sinter::cuda {
namespace {

constexpr size_t kStack = 256 << 10;

/// Where some threads wait for each other. Two sets of slots: who is woken reads the last one while others fill the next.
struct Meeting {
  unsigned members = 0;
  unsigned arrived = 0;
  unsigned round = 0;
  uint64_t slots[2][32] = {};
};

struct Block {
  std::vector<ucontext_t> threads;
  std::vector<std::unique_ptr<char[]>> stacks;
  std::vector<Meeting> warps;
  std::vector<char> finished;
  Meeting all;
  ucontext_t scheduler;
  unsigned current = 0;
  const std::function<void()>* body = nullptr;
};

Block* running = nullptr;

void run_thread() {
  (*running->body)();
  running->finished[running->current] = 1;
  // Returns to the scheduler by `uc_link`.
}

void give_way() { swapcontext(&running->threads[running->current], &running->scheduler); }

void meet(Meeting& meeting) {
  const unsigned round = meeting.round;
  if (++meeting.arrived == meeting.members) {
    meeting.arrived = 0;
    meeting.round++;
    return;
  }
  while (meeting.round == round) give_way();
}

void run_block(Block& block) {
  const unsigned count = static_cast<unsigned>(block.threads.size());
  for (unsigned t = 0; t < count; t++) {
    ucontext_t& context = block.threads[t];
    getcontext(&context);
    context.uc_stack.ss_sp = block.stacks[t].get();
    context.uc_stack.ss_size = kStack;
    context.uc_link = &block.scheduler;
    makecontext(&context, run_thread, 0);
    block.finished[t] = 0;
  }
  block.all = {};
  block.all.members = count;
  for (Meeting& warp : block.warps) {
    warp = {};
    warp.members = 32;
  }
  for (unsigned left = count, idle = 0; left > 0;) {
    const unsigned before = left;
    uint64_t rounds = block.all.round;
    for (const Meeting& warp : block.warps) rounds += warp.round;
    for (unsigned t = 0; t < count; t++) {
      if (block.finished[t]) continue;
      block.current = t;
      threadIdx.x = t;
      swapcontext(&block.scheduler, &block.threads[t]);
      if (block.finished[t]) left--;
    }
    uint64_t rounds_now = block.all.round;
    for (const Meeting& warp : block.warps) rounds_now += warp.round;
    idle = left == before && rounds_now == rounds ? idle + 1 : 0;
    if (idle > 2) {
      std::fprintf(stderr, "threads of a block wait for each other at different places\n");
      std::abort();
    }
  }
}

}  // namespace

void run_grid(unsigned blocks, unsigned threads, const std::function<void()>& body) {
  // Lanes of several threads launch kernels, and what a kernel shares is there once.
  static std::mutex one_at_a_time;
  const std::lock_guard lock(one_at_a_time);
  Block block;
  block.threads.resize(threads);
  block.finished.resize(threads);
  block.warps.resize((threads + 31) / 32);
  for (unsigned t = 0; t < threads; t++) block.stacks.emplace_back(new char[kStack]);
  block.body = &body;
  running = &block;
  blockDim.x = threads;
  gridDim.x = blocks;
  for (unsigned b = 0; b < blocks; b++) {
    blockIdx.x = b;
    run_block(block);
  }
  running = nullptr;
}

void meet_block() { meet(running->all); }

const uint64_t* meet_warp(uint64_t value) {
  const unsigned thread = running->current;
  Meeting& warp = running->warps[thread / 32];
  uint64_t* const slots = warp.slots[warp.round % 2];
  slots[thread % 32] = value;
  meet(warp);
  return slots;
}

}  // namespace sinter::cuda
