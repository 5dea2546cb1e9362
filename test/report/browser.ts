import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A Chromium of this machine; undefined where there is none. */
export const CHROMIUM = ["chromium", "chromium-browser", "google-chrome"].map((name) => Bun.which(name)).find(Boolean);

/** A page in Chromium, by the DevTools protocol. */
export interface Tab {
  call<T = Record<string, never>>(method: string, params?: object): Promise<T>;
  /** The value of an expression in the page. */
  value<T>(expression: string): Promise<T>;
  /** Parameters of every event of a kind so far. */
  seen(method: string): unknown[];
}

/** Opens a file in a headless Chromium, which is gone after `use`. */
export async function inChromium<T>(file: string, use: (tab: Tab) => Promise<T>): Promise<T> {
  const profile = mkdtempSync(join(tmpdir(), "sinter-chromium-"));
  const flags = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--remote-debugging-port=0",
    `--user-data-dir=${profile}`,
  ];
  const child = Bun.spawn([CHROMIUM as string, ...flags, "about:blank"], { stdout: "ignore", stderr: "pipe" });
  try {
    const browser = await addressIn(child.stderr);
    const targets = (await (await fetch(`http://${new URL(browser).host}/json`)).json()) as {
      type: string;
      webSocketDebuggerUrl: string;
    }[];
    const page = targets.find(({ type }) => type === "page");
    const tab = await openTab(page?.webSocketDebuggerUrl ?? "");
    for (const domain of ["Page", "Network", "Runtime", "Log", "Accessibility"]) await tab.call(`${domain}.enable`);
    await tab.call("Page.navigate", { url: `file://${file}` });
    while ((await tab.value("document.readyState")) !== "complete") await Bun.sleep(20);
    return await use(tab);
  } finally {
    child.kill();
    await child.exited;
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
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
  socket.onmessage = ({ data }) => {
    const message = JSON.parse(String(data));
    if (message.id === undefined) events.push(message);
    else if (message.error === undefined) waiting.get(message.id)?.resolve(message.result as never);
    else waiting.get(message.id)?.reject(new Error(message.error.message));
  };
  await new Promise((resolve, reject) => {
    socket.onopen = resolve;
    socket.onerror = () => reject(new Error("Chromium does not answer"));
  });
  const call = <T>(method: string, params: object = {}) =>
    new Promise<T>((resolve, reject) => {
      const id = next++;
      waiting.set(id, { resolve, reject });
      socket.send(JSON.stringify({ id, method, params }));
    });
  return {
    call,
    async value<T>(expression: string) {
      const { result } = await call<{ result: { value: T } }>("Runtime.evaluate", { expression, returnByValue: true });
      return result.value;
    },
    seen: (method) => events.filter((event) => event.method === method).map(({ params }) => params),
  };
}
