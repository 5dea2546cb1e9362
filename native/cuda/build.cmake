# libsinter_cuda, and the programs that check it. The addon never links any of this: it opens the library at run time.

set(SINTER_CUDA_HOST
  native/cuda/device.cc
  native/cuda/kernels.cc
  native/cuda/lane.cc
  native/cuda/library.cc
  native/cuda/marks.cc
  native/cuda/status.cc)
set(SINTER_CUDA_CHECK
  native/cuda/check/case.cc
  native/cuda/check/check.cc
  native/cuda/check/passes.cc
  native/cuda/check/timing.cc
  native/cuda/check/whole-op.cc
  native/cpu/dispatch.cc
  native/engine/select.cc
  native/engine/strided.cc
  ${SINTER_MERGING})
# Whole merges: all that lies between a file and a kernel, but not the addon.
set(SINTER_CUDA_MERGES ${SINTER_SOURCES})
list(FILTER SINTER_CUDA_MERGES EXCLUDE REGEX "native/(addon|glue|forward|transplant)")
set(SINTER_CUDA_DEFINITIONS SINTER_TARGET=gpu SINTER_VERSION="${SINTER_VERSION}")

# The kernels compiled for the host, where the threads of a block take turns: `check-cuda-emulated --small`.
add_executable(check-cuda-emulated EXCLUDE_FROM_ALL
  native/cuda/emulate/all-kernels.cc native/cuda/emulate/simt.cc ${SINTER_CUDA_HOST} ${SINTER_CUDA_CHECK})
target_compile_options(check-cuda-emulated PRIVATE ${SINTER_FLAGS} -Wno-unknown-pragmas -O1)
target_compile_definitions(check-cuda-emulated PRIVATE SINTER_EMULATE ${SINTER_CUDA_DEFINITIONS})
target_include_directories(check-cuda-emulated BEFORE PRIVATE native/cuda/emulate)
target_link_libraries(check-cuda-emulated PRIVATE Threads::Threads)

add_executable(end-to-end-emulated EXCLUDE_FROM_ALL
  native/cuda/end-to-end/end-to-end.cc native/cuda/emulate/all-kernels.cc native/cuda/emulate/simt.cc ${SINTER_CUDA_HOST}
  ${SINTER_CUDA_MERGES})
target_compile_options(end-to-end-emulated PRIVATE ${SINTER_FLAGS} -Wno-unknown-pragmas -O1)
target_compile_definitions(end-to-end-emulated PRIVATE SINTER_EMULATE ${SINTER_CUDA_DEFINITIONS})
target_include_directories(end-to-end-emulated BEFORE PRIVATE native/cuda/emulate)
target_include_directories(end-to-end-emulated SYSTEM PRIVATE ${SINTER_MODULES}/xxhash-addon/xxHash ${SINTER_EIGEN})
target_link_libraries(end-to-end-emulated PRIVATE Threads::Threads ${CMAKE_DL_LIBS})

if(NOT SINTER_CUDA)
  return()
endif()
if(CMAKE_VERSION VERSION_LESS 3.24)
  message(FATAL_ERROR "SINTER_CUDA needs CMake 3.24 or newer, this is ${CMAKE_VERSION}")
endif()
find_package(CUDAToolkit 12.4 REQUIRED)

# Ampere to Blackwell, and code that drivers compile for what comes after.
if(SINTER_CUDA_ARCHITECTURES STREQUAL "")
  set(SINTER_CUDA_ARCHITECTURES 80-real 86-real 89-real 90)
  if(CUDAToolkit_VERSION VERSION_GREATER_EQUAL 12.8)
    set(SINTER_CUDA_ARCHITECTURES 80-real 86-real 89-real 90-real 100 120-real)
  endif()
endif()
set(CMAKE_CUDA_ARCHITECTURES ${SINTER_CUDA_ARCHITECTURES})
set(CMAKE_CUDA_COMPILER ${CUDAToolkit_NVCC_EXECUTABLE})
set(CMAKE_CUDA_HOST_COMPILER ${CMAKE_CXX_COMPILER})
enable_language(CUDA)
# Not every CMake knows these of a toolkit newer than itself.
set(CMAKE_CUDA_STANDARD 20)
if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)
  set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION "-std=c++20")
  set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION "-std=c++20")
endif()

set(SINTER_CUDA_KERNELS
  native/cuda/probe.cu
  native/cuda/methods/arcee-fusion.cu
  native/cuda/methods/breadcrumbs.cu
  native/cuda/methods/compare.cu
  native/cuda/methods/dare.cu
  native/cuda/methods/della.cu
  native/cuda/methods/gram-base.cu
  native/cuda/methods/gram.cu
  native/cuda/methods/linear.cu
  native/cuda/methods/ram.cu
  native/cuda/methods/sce.cu
  native/cuda/methods/ties.cu)
# The same bytes as the CPU: no fused multiply-add; denormals, divisions and square roots as IEEE 754 has them.
set(SINTER_CUDA_FLAGS -fmad=false -ftz=false -prec-div=true -prec-sqrt=true
  -Xcompiler=-ffp-contract=off,-Wall,-Wextra,-Wno-psabi)

# Hidden but for `sinter_devices`.
add_library(cuda_objects OBJECT ${SINTER_CUDA_HOST} ${SINTER_CUDA_KERNELS})
set_target_properties(cuda_objects PROPERTIES CUDA_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
target_compile_options(cuda_objects PRIVATE
  $<$<COMPILE_LANGUAGE:CXX>:${SINTER_FLAGS}>
  $<$<COMPILE_LANGUAGE:CUDA>:${SINTER_CUDA_FLAGS}>)
target_compile_definitions(cuda_objects PRIVATE ${SINTER_CUDA_DEFINITIONS})
target_link_libraries(cuda_objects PUBLIC CUDA::cudart_static)

add_library(sinter_cuda SHARED)
target_link_libraries(sinter_cuda PRIVATE cuda_objects CUDA::cudart_static)
set_target_properties(sinter_cuda PROPERTIES LINKER_LANGUAGE CXX)
set_target_properties(sinter_cuda PROPERTIES LINK_DEPENDS ${CMAKE_SOURCE_DIR}/native/cuda/exports.map)
target_link_options(sinter_cuda PRIVATE -Wl,--version-script=${CMAKE_SOURCE_DIR}/native/cuda/exports.map -Wl,--no-undefined)
if(SINTER_PORTABLE)
  sinter_portable(sinter_cuda)
  # What lies in the C library now lay in these: they are to be there on old systems.
  target_link_options(sinter_cuda PRIVATE -Wl,--no-as-needed -l:libdl.so.2 -l:libpthread.so.0 -l:librt.so.1 -Wl,--as-needed)
endif()

# What drivers and ptxas are given, looked through for instructions that they may fuse, or that are fused.
add_library(cuda_ptx OBJECT EXCLUDE_FROM_ALL ${SINTER_CUDA_KERNELS})
set_target_properties(cuda_ptx PROPERTIES CUDA_PTX_COMPILATION ON CUDA_ARCHITECTURES 80-virtual)
target_compile_options(cuda_ptx PRIVATE ${SINTER_CUDA_FLAGS})
target_compile_definitions(cuda_ptx PRIVATE ${SINTER_CUDA_DEFINITIONS})
add_custom_target(check-cuda-contraction
  COMMAND ${CMAKE_COMMAND} "-DFILES=$<TARGET_OBJECTS:cuda_ptx>" -P ${CMAKE_SOURCE_DIR}/native/cuda/check/contraction.cmake
  DEPENDS cuda_ptx VERBATIM)

# bench/gpu.sh builds and runs it.
add_executable(check-cuda EXCLUDE_FROM_ALL ${SINTER_CUDA_CHECK})
target_compile_options(check-cuda PRIVATE ${SINTER_FLAGS})
target_compile_definitions(check-cuda PRIVATE ${SINTER_CUDA_DEFINITIONS})
target_link_libraries(check-cuda PRIVATE cuda_objects CUDA::cudart_static Threads::Threads)

add_executable(end-to-end-cuda EXCLUDE_FROM_ALL native/cuda/end-to-end/end-to-end.cc ${SINTER_CUDA_MERGES})
target_compile_options(end-to-end-cuda PRIVATE ${SINTER_FLAGS})
target_compile_definitions(end-to-end-cuda PRIVATE ${SINTER_CUDA_DEFINITIONS})
target_include_directories(end-to-end-cuda SYSTEM PRIVATE ${SINTER_MODULES}/xxhash-addon/xxHash ${SINTER_EIGEN})
target_link_libraries(end-to-end-cuda PRIVATE cuda_objects CUDA::cudart_static Threads::Threads ${CMAKE_DL_LIBS})
