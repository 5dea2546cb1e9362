import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { lockFile } from "../../../src/model/hub/lock.ts";

const root = mkdtempSync(join(realpathSync(tmpdir()), "sinter-lock-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const never = new AbortController().signal;

test("the second waits until the first lets go", async () => {
  const path = join(root, "locks", "a.lock");
  const release = await lockFile(path, never, () => {});
  const events: string[] = [];
  const second = lockFile(path, never, () => events.push("waits")).then((releaseSecond) => {
    events.push("has it");
    releaseSecond();
  });
  await Bun.sleep(20);
  events.push("let go");
  release();
  await second;
  expect(events).toEqual(["waits", "let go", "has it"]);
  expect(readdirSync(join(root, "locks"))).toEqual(["a.lock"]);
});

test("the end of the session ends the wait", async () => {
  const path = join(root, "b.lock");
  const release = await lockFile(path, never, () => {});
  const stop = new AbortController();
  const reason = new Error("stopped by hand");
  const second = lockFile(path, stop.signal, () => stop.abort(reason));
  await expect(second).rejects.toBe(reason);
  release();
});

test("different files do not wait for each other", async () => {
  const releases = await Promise.all(
    ["c", "d"].map((name) => lockFile(join(root, name), never, () => expect.unreachable())),
  );
  for (const release of releases) release();
});
