// All kernels, compiled for the host.

#include "../methods/arcee-fusion.cu"
#include "../methods/breadcrumbs.cu"
#include "../methods/compare.cu"
#include "../methods/dare.cu"
#include "../methods/della.cu"
#include "../methods/gram-base.cu"
#include "../methods/gram.cu"
#include "../methods/linear.cu"
#include "../methods/ram.cu"
#include "../methods/sce.cu"
#include "../methods/ties.cu"
#include "../probe.cu"
