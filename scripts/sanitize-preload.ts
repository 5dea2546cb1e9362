/**
 * Loaded first by every Bun that `scripts/sanitize.ts` starts: gives up the alternate signal stack, which a crash report
 * for an overflowing stack needs and nothing else. GCC's address sanitizer visits it whenever C++ throws, and aborts where
 * its address is no multiple of 8, as that of Bun's is not.
 */
import { dlopen, FFIType, ptr } from "bun:ffi";

const SS_DISABLE = 2;
/** `stack_t` of 64-bit Linux: address (8 bytes), flags (4), padding (4), size (8). */
const stack = new DataView(new ArrayBuffer(24));
stack.setInt32(8, SS_DISABLE, true);
const libc = dlopen("libc.so.6", { sigaltstack: { args: [FFIType.ptr, FFIType.ptr], returns: FFIType.i32 } });
if (libc.symbols.sigaltstack(ptr(stack), null) !== 0) throw new Error("sigaltstack failed");
