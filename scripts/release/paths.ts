import { join } from "node:path";
import pkg from "../../package.json" with { type: "json" };
import { ROOT } from "../paths.ts";

export const VERSION = pkg.version;

/** What a release consists of lies here. */
export const DIST = join(ROOT, "dist");

/** The system and processor that a release is for, as the platform's package is named (`src/native.ts`). */
export const PLATFORM = `linux-${process.arch}`;
export const PLATFORM_PACKAGE = `sinter-${PLATFORM}-gnu`;
