#include "patch-pass.h"

#include <algorithm>
#include <cmath>

namespace sinter {
namespace {

/// Most blocks whose sums for each column are added up. Results depend on it.
constexpr uint64_t kColumnBlocks = 64;

/// Rows of one block: what a task of other passes takes, except along columns, where there are few blocks.
uint64_t block_rows(const InputPatches& own, const Patch& patch) {
  const uint64_t rows = patch.end - patch.begin;
  const uint64_t usual = std::max<uint64_t>(1, kTaskElements / own.columns);
  return patch.along == Magnitude::columns ? std::max(usual, (rows + kColumnBlocks - 1) / kColumnBlocks) : usual;
}

}  // namespace

PatchPass::PatchPass(const KernelSet& kernels, Job& job) : kernels_(kernels), job_(job) {
  for (const auto& own : job.patches) {
    for (Patch& patch : own->patches) patches_.emplace_back(own.get(), &patch);
  }
}

uint32_t PatchPass::tasks() const {
  if (step_ == Step::factors) return static_cast<uint32_t>(patches_.size());
  return step_ == Step::norms ? static_cast<uint32_t>(blocks_.size()) : 0;
}

void PatchPass::run(uint32_t task) {
  if (step_ == Step::factors) return kernels_.make_patch(job_, *patches_[task].first, *patches_[task].second);
  Block& block = blocks_[task];
  block.sums.resize(block.patch->along == Magnitude::rows ? block.end - block.begin : block.own->columns);
  kernels_.sum_patch_squares(job_, *block.own, *block.patch, block.begin, block.end, block.sums.data());
}

void PatchPass::advance() {
  if (step_ == Step::factors) {
    list_blocks();
    step_ = blocks_.empty() ? Step::done : Step::norms;
  } else {
    finish_norms();
    step_ = Step::done;
  }
}

void PatchPass::list_blocks() {
  for (const auto& [own, patch] : patches_) {
    if (patch->along == Magnitude::none) continue;
    const uint64_t rows = block_rows(*own, *patch);
    for (uint64_t begin = patch->begin; begin < patch->end; begin += rows) {
      blocks_.push_back({own, patch, begin, std::min(patch->end, begin + rows), {}});
    }
  }
}

void release_patches(Job& job) {
  for (const auto& own : job.patches) {
    for (Patch& patch : own->patches) {
      patch.right32 = {};
      patch.right64 = {};
      patch.ratio = {};
    }
  }
}

/// Blocks of a patch follow each other, in the order of its rows.
void PatchPass::finish_norms() {
  for (const Block& block : blocks_) {
    std::vector<double>& squares = block.patch->ratio;
    if (block.patch->along == Magnitude::rows) {
      squares.insert(squares.end(), block.sums.begin(), block.sums.end());
    } else {
      squares.resize(block.sums.size());
      for (size_t j = 0; j < squares.size(); j++) squares[j] += block.sums[j];
    }
  }
  blocks_.clear();
  for (const auto& [own, patch] : patches_) {
    for (size_t i = 0; i < patch->ratio.size(); i++) {
      patch->ratio[i] = kernels_.magnitude_of(*patch, i) / std::sqrt(patch->ratio[i]);
    }
  }
}

}  // namespace sinter
