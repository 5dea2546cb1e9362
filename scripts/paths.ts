import { dirname, join } from "node:path";

/** The folder that holds package.json. */
export const ROOT = dirname(import.meta.dirname);

/** Where the addon's release build and its log lie. */
export const BUILD_DIR = join(ROOT, "build");
