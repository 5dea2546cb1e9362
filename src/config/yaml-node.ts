import { isAlias, isMap, isScalar, isSeq, Scalar, type YAMLMap, type YAMLSeq } from "yaml";
import type { Position, Report } from "../errors.ts";
import { resolvePlain, resolveTagged, type ScalarValue } from "./yaml-scalar.ts";

/** A value of a YAML text and where it stands. An alias gives the node it names, with that node's position. */
export type YamlNode = YamlScalar | YamlSequence | YamlMapping;

export interface YamlScalar {
  kind: "scalar";
  value: ScalarValue;
  /** The text as written, without quotes, escapes or folds. */
  source: string;
  at: Position;
}

export interface YamlSequence {
  kind: "sequence";
  items: readonly YamlNode[];
  at: Position;
}

/** Keys are distinct; merge keys (`<<`) are already applied. */
export interface YamlMapping {
  kind: "mapping";
  entries: readonly YamlEntry[];
  at: Position;
}

export interface YamlEntry {
  key: YamlScalar;
  value: YamlNode;
}

/** Nodes of a text with its aliases written out. Far beyond any recipe; an alias bomb reaches it in a few lines. */
const MAX_NODES = 1_000_000;

/** A node in a few words, for messages. */
export function describe(node: YamlNode): string {
  if (node.kind === "mapping") return "a mapping";
  if (node.kind === "sequence") return "a list";
  if (node.value === null) return "nothing";
  return typeof node.value === "string"
    ? `the text ${JSON.stringify(node.value)}`
    : `${typeof node.value} ${node.source}`;
}

/** Turns the parser's nodes into ours, for one document. */
export class NodeReader {
  private readonly anchors = new Map<string, { node: YamlNode; size: number }>();
  private count = 0;

  constructor(
    private readonly text: string,
    private readonly position: (offset: number) => Position,
    private readonly report: Report,
  ) {}

  /** `offset` is where the node would stand, for one that is left out. */
  read(node: unknown, offset: number): YamlNode {
    if (isAlias(node)) return this.alias(node.source, this.at(node, offset));
    const before = this.count++;
    const result = this.fresh(node, offset);
    const anchor = isScalar(node) || isMap(node) || isSeq(node) ? node.anchor : undefined;
    if (anchor !== undefined) this.anchors.set(anchor, { node: result, size: this.count - before });
    return result;
  }

  private fresh(node: unknown, offset: number): YamlNode {
    const at = this.at(node, offset);
    if (isMap(node)) return this.mapping(node, at);
    if (isSeq(node)) return this.sequence(node, at);
    return isScalar(node) ? this.scalar(node, at) : missing(at);
  }

  /** Nodes are shared, not copied; the count bounds what a reader of the tree may walk through. */
  private alias(name: string, at: Position): YamlNode {
    const anchor = this.anchors.get(name);
    if (anchor === undefined) {
      this.report.error({ code: "yaml-alias", message: `alias *${name} names no anchor that ends before it`, at });
      return missing(at);
    }
    if (this.count <= MAX_NODES && this.count + anchor.size > MAX_NODES) {
      const message = `alias *${name}: with its aliases written out, the text has over ${MAX_NODES} values`;
      this.report.error({ code: "yaml-alias", message, at });
    }
    this.count += anchor.size;
    return anchor.node;
  }

  private scalar(node: Scalar, at: Position): YamlScalar {
    const source = this.withoutAddedNewline(node);
    if (node.tag === undefined) {
      return { kind: "scalar", value: node.type === Scalar.PLAIN ? resolvePlain(source) : source, source, at };
    }
    const value = resolveTagged(source, node.tag);
    if (value === undefined) this.badTag(node.tag, at);
    return { kind: "scalar", value: value ?? null, source, at };
  }

  /** The parser ends a block scalar with a newline even where the file ends without one; PyYAML adds none. */
  private withoutAddedNewline(node: Scalar): string {
    const source = node.source ?? "";
    const block = node.type === Scalar.BLOCK_LITERAL || node.type === Scalar.BLOCK_FOLDED;
    const reachesEnd = block && node.range?.[1] === this.text.length;
    const added = reachesEnd && source.endsWith("\n") && lastLine(this.text).trim() !== "";
    return added ? source.slice(0, -1) : source;
  }

  private sequence(node: YAMLSeq, at: Position): YamlSequence {
    if (node.tag !== undefined && node.tag !== "tag:yaml.org,2002:seq") this.badTag(node.tag, at);
    const start = node.range?.[0] ?? 0;
    return { kind: "sequence", items: node.items.map((item) => this.read(item, start)), at };
  }

  private mapping(node: YAMLMap, at: Position): YamlMapping {
    if (node.tag !== undefined && node.tag !== "tag:yaml.org,2002:map") this.badTag(node.tag, at);
    const own: YamlEntry[] = [];
    const merged = new Map<string, YamlEntry>();
    for (const pair of node.items) {
      const key = this.read(pair.key, node.range?.[0] ?? 0);
      const value = this.read(pair.value, isScalar(pair.key) ? (pair.key.range?.[1] ?? 0) : 0);
      if (isMergeKey(pair.key)) {
        for (const entry of this.mergeEntries(value)) merged.set(keyId(entry.key), entry);
      } else if (key.kind === "scalar" && !isLeftOut(pair.key)) {
        own.push({ key, value });
      } else if (key.kind === "scalar") {
        this.report.error({ code: "yaml-key", message: 'nothing stands before this ":"', at: key.at });
      } else {
        this.report.error({ code: "yaml-key", message: `${describe(key)} cannot be a key`, at: key.at });
      }
    }
    return { kind: "mapping", entries: this.lastWins(merged, own), at };
  }

  /** What `<<: value` adds: of several mappings the first that has a key gives its value. */
  private mergeEntries(value: YamlNode): readonly YamlEntry[] {
    const mappings = value.kind === "sequence" ? value.items.toReversed() : [value];
    return mappings.flatMap((mapping) => {
      if (mapping.kind === "mapping") return mapping.entries;
      const message = `"<<" takes a mapping or a list of mappings, not ${describe(mapping)}`;
      this.report.error({ code: "yaml-merge", message, at: mapping.at });
      return [];
    });
  }

  private lastWins(merged: ReadonlyMap<string, YamlEntry>, own: readonly YamlEntry[]): readonly YamlEntry[] {
    const entries = new Map(merged);
    const seen = new Map<string, YamlEntry>();
    for (const entry of own) {
      const id = keyId(entry.key);
      const earlier = seen.get(id);
      if (earlier !== undefined) {
        this.report.warn({
          code: "duplicate-key",
          message: `"${entry.key.source}" stands twice in one mapping; the last one counts`,
          at: entry.key.at,
          hint: `the other is in line ${earlier.key.at.line}`,
        });
      }
      seen.set(id, entry);
      entries.set(id, entry);
    }
    return [...entries.values()];
  }

  private badTag(tag: string, at: Position): void {
    const name = tag.replace("tag:yaml.org,2002:", "!!");
    this.report.error({ code: "yaml-tag", message: `the tag ${name} is unknown or does not fit its value`, at });
  }

  private at(node: unknown, offset: number): Position {
    const known = isScalar(node) || isMap(node) || isSeq(node) || isAlias(node) ? node.range?.[0] : undefined;
    return this.position(known ?? offset);
  }
}

function isMergeKey(key: unknown): boolean {
  return isScalar(key) && key.tag === undefined && key.type === Scalar.PLAIN && key.source === "<<";
}

function lastLine(text: string): string {
  return text.slice(text.lastIndexOf("\n") + 1);
}

function isLeftOut(key: unknown): boolean {
  return !isAlias(key) && (!isScalar(key) || (key.source === "" && key.type === Scalar.PLAIN && key.tag === undefined));
}

/** `1` and `"1"` are different keys. */
function keyId(key: YamlScalar): string {
  return `${typeof key.value}:${key.value}`;
}

function missing(at: Position): YamlScalar {
  return { kind: "scalar", value: null, source: "", at };
}
