import { expect } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type NativeError, type NativeOp, native } from "../../src/native.ts";
import { inFolder } from "./workbench.ts";

/** What a call fails with, thrown or rejected; undefined where it succeeds. */
export async function failure(call: () => unknown): Promise<Partial<NativeError> | undefined> {
  try {
    await call();
    return undefined;
  } catch (error) {
    expect(error).toBeInstanceOf(Error);
    const { code, message, source } = error as NativeError;
    return { code, message, ...(source === undefined ? {} : { source }) };
  }
}

export async function code(call: () => unknown): Promise<string | undefined> {
  return (await failure(call))?.code;
}

/** A source of 1000 bytes, a sink of 1000 bytes, and an op over them that is right: tests spoil one thing at a time. */
export async function withOp<T>(use: (op: NativeOp, folder: string) => Promise<T>): Promise<T> {
  return await inFolder(async (folder) => {
    writeFileSync(join(folder, "in"), new Uint8Array(1000));
    const source = native().openSource(join(folder, "in")).handle;
    const sink = native().createSink(join(folder, "out"), 1000);
    const input = { source, offset: 0, dtype: "F32" as const, stream: 0 };
    const numbers = { params: [1, 1], count: 250, rows: 1, columns: 250, seed: 0, offset: 0 };
    const op: NativeOp = {
      kernel: "linear",
      inputs: [input, input],
      ...numbers,
      tensor: "w",
      sink,
      dtype: "F32",
      crc32: false,
    };
    try {
      return await use(op, folder);
    } finally {
      for (const handle of [source, sink]) await code(() => native().close(handle));
    }
  });
}
