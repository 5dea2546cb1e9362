/** A set-up step that cannot go on. The message is for the user, complete as it is. */
export class SetupError extends Error {
  override name = "SetupError";
}
