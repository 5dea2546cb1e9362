import { homedir } from "node:os";

/** The user's home folder; where a user has none, as in a container with a user of any number, the root, as Docker has it. */
export function homeFolder(): string {
  try {
    return homedir();
  } catch {
    return "/";
  }
}
