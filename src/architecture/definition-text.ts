import type { FamilyDefinition } from "./definition.ts";

const WIDTH = 120;
/** These stand on lines of their own, however short. */
const OPEN = ["", "config", "modules", "modules.*"];

/** A definition as JSON that people read and change: what fits a line stands on one. */
export function definitionText(definition: FamilyDefinition): string {
  return `${render(definition, "", "", 0)}\n`;
}

function render(value: unknown, path: string, indent: string, used: number): string {
  const flat = inline(value);
  if (typeof value !== "object" || value === null) return flat;
  if (!OPEN.includes(path) && indent.length + used + flat.length < WIDTH) return flat;
  const inner = `${indent}  `;
  if (Array.isArray(value)) {
    const items = value.map((item) => inner + render(item, `${path}[]`, inner, 0));
    return `[\n${items.join(",\n")}\n${indent}]`;
  }
  const entries = Object.entries(value).map(([key, item]) => {
    const below = path === "modules" ? "modules.*" : path === "" ? key : `${path}.${key}`;
    const name = JSON.stringify(key);
    return `${inner}${name}: ${render(item, below, inner, name.length + 2)}`;
  });
  return `{\n${entries.join(",\n")}\n${indent}}`;
}

function inline(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(inline).join(", ")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const entries = Object.entries(value).map(([key, item]) => `${JSON.stringify(key)}: ${inline(item)}`);
  return entries.length === 0 ? "{}" : `{ ${entries.join(", ")} }`;
}
