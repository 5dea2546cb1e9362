import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A Chromium of this machine; undefined where there is none. */
export const CHROMIUM = ["chromium", "chromium-browser", "google-chrome"].map((name) => Bun.which(name)).find(Boolean);

/** A page in Chromium, by the DevTools protocol. */
export interface Tab {
  call<T = Record<string, never>>(method: string, params?: object): Promise<T>;
  /** The value of an expression in the page; that of a promise is waited for. @throws where it throws. */
  value<T>(expression: string): Promise<T>;
  /** Parameters of every event of a kind so far. */
  seen(method: string): unknown[];
}

export interface Browser {
  /** Opens a file in a tab of its own, which is gone after `use`. */
  open<T>(file: string, use: (tab: Tab) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

/** Pixels should not depend on the machine more than they must. */
const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-lcd-text",
  "--font-render-hinting=none",
  "--force-color-profile=srgb",
  "--hide-scrollbars",
  "--remote-debugging-port=0",
];

/** Chromium, or the process of a page, has ended or does not answer: nothing that was tried in it says anything. */
class ChromiumGone extends Error {}

/** What a call may take, in milliseconds; on a busy machine, too. */
const PATIENCE = 60_000;

/** Starts a headless Chromium with an empty profile, once more where it ends by itself. @param env more of its environment. */
export async function startChromium(env: Readonly<Record<string, string>> = {}): Promise<Browser> {
  let running = await launch(env);
  return {
    async open(file, use) {
      try {
        return await inTab(running.host, file, use);
      } catch (error) {
        if (!(error instanceof ChromiumGone)) throw error;
        await running.close();
        running = await launch(env);
        return await inTab(running.host, file, use);
      }
    },
    close: () => running.close(),
  };
}

async function launch(env: Readonly<Record<string, string>>): Promise<{ host: string; close(): Promise<void> }> {
  const profile = mkdtempSync(join(tmpdir(), "sinter-chromium-"));
  const child = Bun.spawn([CHROMIUM as string, ...FLAGS, `--user-data-dir=${profile}`, "about:blank"], {
    env: { ...process.env, ...env },
    stdout: "ignore",
    stderr: "pipe",
  });
  const close = async () => {
    child.kill();
    await child.exited;
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
  };
  try {
    const { host } = new URL(await addressIn(child.stderr));
    return { host, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Opens a file in a Chromium that is there for it alone. */
export async function inChromium<T>(file: string, use: (tab: Tab) => Promise<T>): Promise<T> {
  const browser = await startChromium();
  try {
    return await browser.open(file, use);
  } finally {
    await browser.close();
  }
}

async function inTab<T>(host: string, file: string, use: (tab: Tab) => Promise<T>): Promise<T> {
  const made = await fetch(`http://${host}/json/new?about:blank`, { method: "PUT" }).catch((error) => {
    throw new ChromiumGone(String(error));
  });
  const { id, webSocketDebuggerUrl } = (await made.json()) as { id: string; webSocketDebuggerUrl: string };
  const tab = await openTab(webSocketDebuggerUrl);
  try {
    for (const domain of ["Inspector", "Page", "Network", "Runtime", "Log", "Accessibility"])
      await tab.call(`${domain}.enable`);
    await tab.call("Page.navigate", { url: `file://${file}` });
    while ((await tab.value("location.protocol + document.readyState")) !== "file:complete") await Bun.sleep(20);
    return await use(tab);
  } finally {
    await fetch(`http://${host}/json/close/${id}`).catch(() => undefined);
  }
}

async function addressIn(stderr: ReadableStream<Uint8Array>): Promise<string> {
  let text = "";
  for await (const part of stderr) {
    text += new TextDecoder().decode(part);
    const address = /DevTools listening on (\S+)/.exec(text)?.[1];
    if (address !== undefined) return address;
  }
  throw new Error(`Chromium did not start: ${text}`);
}

async function openTab(address: string): Promise<Tab> {
  const socket = new WebSocket(address);
  const waiting = new Map<number, { resolve: (value: never) => void; reject: (error: Error) => void }>();
  const events: { method: string; params: unknown }[] = [];
  let next = 1;
  const giveUp = (reason: string) => {
    for (const { reject } of waiting.values()) reject(new ChromiumGone(reason));
    waiting.clear();
  };
  socket.onclose = () => giveUp("Chromium has ended");
  socket.onmessage = ({ data }) => {
    const message = JSON.parse(String(data));
    if (message.method === "Inspector.targetCrashed") giveUp("the page has crashed");
    if (message.id === undefined) events.push(message);
    else if (message.error === undefined) waiting.get(message.id)?.resolve(message.result as never);
    else waiting.get(message.id)?.reject(new Error(message.error.message));
  };
  await new Promise((resolve, reject) => {
    socket.onopen = resolve;
    socket.onerror = () => reject(new ChromiumGone("Chromium does not answer"));
  });
  const call = <T>(method: string, params: object = {}) =>
    new Promise<T>((resolve, reject) => {
      const id = next++;
      const timer = setTimeout(() => reject(new ChromiumGone(`no answer to ${method}`)), PATIENCE);
      const ending =
        <Value>(end: (value: Value) => void) =>
        (value: Value) => {
          clearTimeout(timer);
          end(value);
        };
      waiting.set(id, { resolve: ending(resolve), reject: ending(reject) });
      socket.send(JSON.stringify({ id, method, params }));
    });
  return {
    call,
    async value<T>(expression: string) {
      const { result, exceptionDetails } = await call<{
        result: { value: T; description?: string };
        exceptionDetails?: object;
      }>("Runtime.evaluate", { expression, returnByValue: true, awaitPromise: true });
      if (exceptionDetails !== undefined) throw new Error(result.description ?? JSON.stringify(exceptionDetails));
      return result.value;
    },
    seen: (method) => events.filter((event) => event.method === method).map(({ params }) => params),
  };
}
