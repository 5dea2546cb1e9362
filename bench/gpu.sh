#!/usr/bin/env bash
# Checks the kernels for NVIDIA devices against the CPU's, bit for bit, on fresh random inputs with poisoned outputs, then
# prints a table of what they take, medians of CUDA events beside the device's own copies; where python3 has PyTorch for
# CUDA, beside its time for the same merges too (bench/gpu-torch.py). Needs a CUDA toolkit, a C++ compiler and a device; no
# Bun, no network. Then merges files of three models of 7B width, beside the time to move and to copy their bytes; that
# takes 20 GB of disk and xxhash.h: of node_modules/xxhash-addon, or of the system. Rows that stay below what is wanted of
# them say so. Fits in ten minutes: each part gets what the others can spare. Exit code 1 where anything differs.
#
#   bench/gpu.sh [--device N] [--seed N] [--seconds N] [--no-sanitizer] [--no-files]
#
# ARCH=90 says which devices to compile for; else this one's capability is asked for. FILES_DIR: where the files are
# written, below build/gpu unless given. Where PyTorch, xxhash.h or compute-sanitizer are missing it says what it leaves out.
set -euo pipefail
cd "$(dirname "$0")/.."

sanitizer=1
files=1
arguments=()
device=0
last=
for argument in "$@"; do
  case $argument in
    --no-sanitizer) sanitizer=0 ;;
    --no-files) files=0 ;;
    *) arguments+=("$argument") ;;
  esac
  if [ "$last" = --device ]; then device=$argument; fi
  last=$argument
done

# Behind all else: compute-sanitizer may lie there though nvcc does not.
PATH=$PATH:/usr/local/cuda/bin
command -v nvcc >/dev/null || { echo "nvcc is not installed" >&2; exit 2; }
if [ -z "${ARCH:-}" ]; then
  ARCH=$(nvidia-smi -i "$device" --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | head -1 | tr -d '.' || true)
fi
ARCH=${ARCH:-90}
jobs=$(nproc)
out=${OUT_DIR:-build/gpu}/sm_$ARCH
mkdir -p "$out"
begun=$SECONDS

# Without CMake, and only what is needed: the library, the CPU's kernels and the driver.
version=$(sed -n 's/^ *"version": "\(.*\)",$/\1/p' package.json | head -1)
common=(-std=c++20 -O3 -DSINTER_TARGET=gpu "-DSINTER_VERSION=\"$version\"")
host=(-fPIC -ffp-contract=off -fno-trapping-math -fno-math-errno -Wno-psabi)
to_host="-Xcompiler=$(IFS=,; echo "${host[*]}")"

# compile OUTPUT COMMAND…: in the background, a few at a time, where the output is older than any source.
failed=0
compile() {
  local object=$out/$1.o
  shift
  [ -e "$object" ] && [ -z "$(find native -type f -newer "$object" -print -quit)" ] && return
  while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do wait -n || failed=1; done
  { "$@" -c -o "$object.new" && mv "$object.new" "$object"; } &
}
for source in native/cuda/methods/*.cu native/cuda/probe.cu; do
  compile "cuda-$(basename "$source" .cu)" nvcc "${common[@]}" -arch="sm_$ARCH" -fmad=false -lineinfo "$to_host" "$source"
done
xxhash=(-I node_modules/xxhash-addon/xxHash)
if [ "$files" = 1 ] && ! echo '#include <xxhash.h>' | g++ -E "${xxhash[@]}" -x c++ - >/dev/null 2>&1; then
  echo "no xxhash.h: no files are merged (bun install, or libxxhash-dev)"
  files=0
fi
targets=()
if [ "$(uname -m)" = x86_64 ]; then
  targets=(x86_64_v2:x86-64-v2 x86_64_v3:x86-64-v3 x86_64_v4:x86-64-v4)
else
  targets=(arm64:arm64)
fi
for target in "${targets[@]}"; do
  flags=()
  [ "${target%%:*}" = arm64 ] || flags=("-march=${target##*:}")
  [ "${target%%:*}" = x86_64_v4 ] && flags+=(-mprefer-vector-width=512)
  cpu=(g++ -std=c++20 -O3 "${host[@]}" "${flags[@]}" "-DSINTER_TARGET=${target%%:*}" "-DSINTER_TARGET_NAME=${target##*:}")
  compile "cpu-${target%%:*}" "${cpu[@]}" native/cpu/target.cc
  if [ "$files" = 1 ]; then
    compile "merge-linear-${target%%:*}" "${cpu[@]}" -ffp-contract=fast native/linear/target.cc
    compile "merge-digest-${target%%:*}" "${cpu[@]}" "${xxhash[@]}" native/numeric/digest-target.cc
  fi
done
# By nvcc, which knows where its headers are.
for source in native/cuda/*.cc native/cuda/check/*.cc native/cpu/dispatch.cc native/engine/select.cc native/engine/strided.cc; do
  compile "host-$(echo "${source%.cc}" | tr / -)" nvcc "${common[@]}" "$to_host" "$source"
done
# All between a file and a kernel.
if [ "$files" = 1 ]; then
  compile merge-end-to-end nvcc "${common[@]}" "${xxhash[@]}" "$to_host" native/cuda/end-to-end/end-to-end.cc
  for source in native/device/{computed-inputs,cufile,device-op,device-room,device-select,direct-reads,inflow,library,measure,outflow,pipeline,slot}.cc \
    native/engine/{engine,gather-means,patch-pass,patched-tensor,read-ahead,sums}.cc native/io/{sink,source,write-pool}.cc \
    native/linear/{gemm,kernels,team}.cc native/numeric/{digest,gather}.cc; do
    compile "merge-$(echo "${source%.cc}" | tr / -)" nvcc "${common[@]}" "${xxhash[@]}" "$to_host" "$source"
  done
fi
while [ "$(jobs -rp | wc -l)" -gt 0 ]; do wait -n || failed=1; done
[ "$failed" = 0 ] || { echo "the kernels do not compile" >&2; exit 2; }
# without PATTERN: the objects whose names do not begin so.
without() { find "$out" -name '*.o' ! -name "$1*"; }
mapfile -t objects < <(without merge-)
nvcc -arch="sm_$ARCH" -o "$out/check-cuda" "${objects[@]}" -lpthread -ldl -lrt
if [ "$files" = 1 ]; then
  mapfile -t objects < <(without host-native-cuda-check-)
  nvcc -arch="sm_$ARCH" -o "$out/end-to-end-cuda" "${objects[@]}" -lpthread -ldl -lrt
fi
echo "built for sm_$ARCH in $((SECONDS - begun)) s"

# left SECONDS: of the ten minutes, without so many that the parts to come want; at least 20.
left() {
  local seconds=$((580 - (SECONDS - begun) - $1))
  echo $((seconds > 20 ? seconds : 20))
}

status=0
# The cases end early where the time does; --seconds of the caller's counts.
"$out/check-cuda" --seconds "$(left 360)" --timing "${arguments[@]}" | tee "$out/table.txt" || status=$?
[ "$status" -ne 2 ] || { echo "no device: nothing was checked" >&2; exit 2; }

if python3 -c 'import torch; assert torch.cuda.is_available()' 2>/dev/null; then
  timeout "$(left 200)" python3 bench/gpu-torch.py --device "cuda:$device" --ours "$out/table.txt" || status=1
else
  echo "PyTorch: left out, python3 has none that finds a device"
fi

if [ "$files" = 1 ]; then
  echo
  folder=$(mktemp -d -p "${FILES_DIR:-$out}" files.XXXXXX)
  trap 'rm -rf "$folder"' EXIT
  timeout "$(left 60)" "$out/end-to-end-cuda" --device "$device" --folder "$folder/models" || status=1
  rm -rf "$folder"
fi

if [ "$sanitizer" = 1 ] && ! command -v compute-sanitizer >/dev/null; then
  echo "compute-sanitizer: left out, it is not installed"
elif [ "$sanitizer" = 1 ]; then
  # Sizes of a test: tools run kernels a hundred times slower.
  for tool in memcheck racecheck; do
    echo "== compute-sanitizer $tool"
    seconds=$(left 40)
    [ "$tool" = racecheck ] || seconds=$((seconds / 2))
    timeout $((seconds + 40)) compute-sanitizer --tool "$tool" --error-exitcode 1 \
      "$out/check-cuda" --device "$device" --small --every 23 --seconds "$seconds" || status=1
  done
fi
echo "done in $((SECONDS - begun)) s, exit code $status"
exit "$status"
