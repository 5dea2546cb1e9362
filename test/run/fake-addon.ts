import { closeSync, existsSync, fsyncSync, ftruncateSync, openSync, readFileSync, statSync, writeSync } from "node:fs";
import { DTYPE_BYTES } from "../../src/model/dtype.ts";
import type { Addon, NativeError, NativeInfo, NativeOp, NativeResult } from "../../src/native.ts";
import { JOURNAL_NAME } from "../../src/run/journal.ts";

export interface FakeOptions {
  /** Called when an op is about to be computed; may throw a `nativeError`, return a result in part, or wait. */
  onMerge?: (op: NativeOp) => Promise<Partial<NativeResult> | undefined> | Partial<NativeResult> | undefined;
  onCommit?: (path: string) => void;
  onWrite?: (path: string) => void;
  /** Called when what an interrupted run left is checked; may give another checksum. */
  onCheck?: (tensor: string) => Promise<Partial<NativeResult> | undefined> | Partial<NativeResult> | undefined;
  onLock?: (path: string) => void;
  onOpen?: (path: string) => void;
  /** Added to the size that `openSource` gives. */
  grown?: number;
}

export interface FakeAddon extends Addon {
  /** What was called, in order: `open a.safetensors`, `create x.tmp`, `merge w`, `commit x.tmp`, `close …`, `cancel`. */
  readonly calls: string[];
  readonly open: ReadonlyMap<number, string>;
  readonly mostInFlight: () => number;
}

export function nativeError(code: NativeError["code"], message: string, source?: number): NativeError {
  return Object.assign(new Error(message), { code, ...(source === undefined ? {} : { source }) });
}

const INFO: NativeInfo = {
  version: "0.0.0",
  target: "x86-64-v2",
  targets: ["x86-64-v2"],
  threads: 2,
  cpus: 2,
  kernels: ["copy"],
};

/** An Addon in TypeScript, with real files: every kernel moves the bytes of the first input. */
export function fakeAddon(options: FakeOptions = {}): FakeAddon {
  const calls: string[] = [];
  const files = new Map<number, { path: string; fd: number }>();
  let next = 1;
  let cancelled = false;
  let running = 0;
  let most = 0;
  const base = (path: string) => path.slice(path.lastIndexOf("/") + 1);
  const take = (handle: number) => {
    const file = files.get(handle);
    if (file === undefined) throw nativeError("BAD_ARGUMENT", `handle ${handle} is not open`);
    return file;
  };
  const add = (path: string, fd: number) => {
    files.set(next, { path, fd });
    return next++;
  };

  async function compute(op: NativeOp): Promise<NativeResult> {
    await Bun.sleep(0);
    const given = await options.onMerge?.(op);
    if (cancelled) throw nativeError("CANCELLED", "cancelled");
    const input = op.inputs[0];
    const sink = take(op.sink);
    const bytes = op.count * DTYPE_BYTES[op.dtype];
    if (input && bytes > 0) {
      const data = readFileSync(take(input.source).path).subarray(input.offset, input.offset + bytes);
      writeSync(sink.fd, data, 0, data.length, op.offset);
    }
    return { checksum: `sum-of-${op.tensor}`, crc32: 7, nonFinite: op.inputs.map(() => false), ...given };
  }

  return {
    calls,
    get open() {
      return new Map([...files].map(([handle, { path }]) => [handle, path]));
    },
    mostInFlight: () => most,
    info: () => INFO,
    configure() {},
    openSource(path) {
      options.onOpen?.(path);
      calls.push(`open ${base(path)}`);
      return { handle: add(path, openSync(path, "r")), size: statSync(path).size + (options.grown ?? 0) };
    },
    openSolver: () => "none",
    createSink(path, size) {
      if (existsSync(path)) throw nativeError("SINK_EXISTS", path);
      calls.push(`create ${base(path)}`);
      const fd = openSync(path, "wx+");
      ftruncateSync(fd, size);
      return add(path, fd);
    },
    openSink(path, size) {
      calls.push(`go on with ${base(path)}`);
      const fd = openSync(path, "r+");
      ftruncateSync(fd, size);
      return add(path, fd);
    },
    writeSink(sink, offset, bytes) {
      const { path, fd } = take(sink);
      options.onWrite?.(path);
      writeSync(fd, bytes, 0, bytes.length, offset);
    },
    async commitSink(sink, sync) {
      const { path, fd } = take(sink);
      files.delete(sink);
      await Bun.sleep(0);
      options.onCommit?.(path);
      if (sync) fsyncSync(fd);
      closeSync(fd);
      calls.push(`commit ${base(path)}${sync ? "" : " without sync"}`);
    },
    close(handle) {
      const { path, fd } = take(handle);
      files.delete(handle);
      closeSync(fd);
      if (base(path) !== JOURNAL_NAME) calls.push(`close ${base(path)}`);
    },
    merge(op) {
      calls.push(`merge ${op.tensor}`);
      running++;
      most = Math.max(most, running);
      return compute(op).finally(() => running--);
    },
    async checksum(op) {
      calls.push(`check ${op.tensor}`);
      return { checksum: `sum-of-${op.tensor}`, crc32: 0, nonFinite: [false], ...(await options.onCheck?.(op.tensor)) };
    },
    underway: () => 0,
    lock(path) {
      options.onLock?.(path);
      return add(path, openSync(path, "a"));
    },
    sha256: () => Promise.reject(nativeError("BAD_ARGUMENT", "running a plan hashes no file")),
    compare() {
      return Promise.reject(nativeError("BAD_ARGUMENT", "running a plan compares nothing"));
    },
    difference() {
      return Promise.reject(nativeError("BAD_ARGUMENT", "running a plan takes no differences"));
    },
    decompose() {
      throw new Error("nothing here decomposes");
    },
    gatherRows() {
      throw nativeError("BAD_ARGUMENT", "running a plan gathers no rows");
    },
    route() {
      throw nativeError("BAD_ARGUMENT", "running a plan makes no routing vectors");
    },
    transplant() {
      return Promise.reject(nativeError("BAD_ARGUMENT", "running a plan transplants nothing"));
    },
    transplantProgress: () => [0, 0],
    wellTrained() {
      return Promise.reject(nativeError("BAD_ARGUMENT", "running a plan judges no rows"));
    },
    forward() {
      return Promise.reject(nativeError("BAD_ARGUMENT", "running a plan runs no model"));
    },
    multiply() {
      throw nativeError("BAD_ARGUMENT", "running a plan multiplies nothing");
    },
    peakRate: () => 0,
    devices: () => ({ path: "", count: 0, devices: [], lack: { what: "library", message: "there is none" } }),
    useDevices() {},
    measureTransfers() {
      throw nativeError("DEVICE_FAILED", "there is no device");
    },
    cancel() {
      calls.push("cancel");
      cancelled = true;
    },
  };
}
