/**
 * Loaded first by every Bun that `scripts/sanitize.ts` starts. GCC's address sanitizer walks the alternate signal stack
 * whenever a C++ exception is thrown and aborts where its address is no multiple of 8, as Bun's may be: without it, a
 * stack overflow of the program under test ends without Bun's crash report, and nothing else changes.
 */
import { dlopen, FFIType, ptr } from "bun:ffi";

const SS_DISABLE = 2;
/** `stack_t` of 64-bit Linux: address (8 bytes), flags (4), padding (4), size (8). */
const stack = new DataView(new ArrayBuffer(24));
stack.setInt32(8, SS_DISABLE, true);
const libc = dlopen("libc.so.6", { sigaltstack: { args: [FFIType.ptr, FFIType.ptr], returns: FFIType.i32 } });
if (libc.symbols.sigaltstack(ptr(stack), null) !== 0) throw new Error("sigaltstack failed");
