/** Characters of a prompt that a message or a card shows. */
const SHOWN = 60;

/** A prompt on one line, in quotes, cut where it is long. */
export function promptText(prompt: string): string {
  const characters = [...prompt];
  return JSON.stringify(characters.length <= SHOWN ? prompt : `${characters.slice(0, SHOWN).join("")}…`);
}
