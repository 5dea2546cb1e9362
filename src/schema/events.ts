import { DRAFT, listOf, part, type Schema } from "./parts.ts";

const NUMBER_OR_NULL = ["number", "null"] as const;
const TEXT: Schema = { type: "string" };

const PHASE: Schema = {
  description:
    "planning; downloading; routing (the base model reads prompts); approximating (rows of tokens); merging (tensors are " +
    "computed, or decomposed); reading (nothing is written); evaluating; syncing (all is computed, the disk is not done).",
  type: "string",
};

const BYTES_TOTAL: Schema = { description: "Bytes that the phase reads and writes in all.", type: "integer" };
const UNIT: Schema = { description: "What is counted in place of bytes: steps or tokens.", type: "string" };
const TOTAL: Schema = { description: "How many of the unit there are in all.", type: "integer" };
const SUMMARY: Schema = { description: "What --json prints.", type: "object" };

/** A line of `--events`. New events and keys may come: none of these schemas is closed. */
export function eventSchema(): Schema {
  return {
    $schema: DRAFT,
    title: "An event (Sinter, a line of --events)",
    description: "One line of what --events writes. Pass over events and keys that are not here: new ones may come.",
    oneOf: [
      event("start", "First, always.", {
        format: { description: "Goes up when an event or a key changes its meaning or goes away.", type: "integer" },
        version: { description: "Of Sinter.", type: "string" },
        command: { description: "As it is typed: sinter merge.", type: "string" },
      }),
      event("phase", "Something begins.", { phase: PHASE }, { bytes_total: BYTES_TOTAL, unit: UNIT, total: TOTAL }),
      event("step", "A command of several steps (multi, bench) begins one.", { title: TEXT }),
      event(
        "progress",
        "How far a phase is: at most ten times a second, once where nothing moves, and at its end. Bytes, or done of total of a unit.",
        {
          phase: PHASE,
          seconds_left: { description: "From what was done in the last ten seconds.", type: NUMBER_OR_NULL },
          item: { description: "The tensor that is worked on, or the file that was done last.", type: "string" },
        },
        {
          bytes: { type: "integer" },
          bytes_total: BYTES_TOTAL,
          bytes_earlier: { description: "Those of bytes that an earlier run brought.", type: "integer" },
          bytes_per_second: { type: NUMBER_OR_NULL },
          unit: UNIT,
          done: { description: "How many of the unit are done.", type: "integer" },
          total: TOTAL,
          waiting: { description: "Why nothing moves, where nothing does.", type: "string" },
        },
      ),
      event("plan", "What a merge will do.", {
        method: TEXT,
        models: listOf("As the recipe names them.", TEXT),
        seed: { type: "integer" },
        tensors: { type: "integer" },
        parameters: { type: "integer" },
        bytes_read: { type: "integer" },
        bytes_written: { type: "integer" },
        files: listOf("The weight files.", TEXT),
      }),
      event("warning", "Something to know, which stops nothing.", { problem: part("problem") }),
      event("output", "One of several outputs (multi) is there.", { summary: SUMMARY }),
      event(
        "done",
        "Last, where the command did what it was for.",
        { exit_code: { description: "Not 0 where a check found something wrong.", type: "integer" } },
        { summary: SUMMARY },
      ),
      event("error", "Last, where it did not.", {
        problems: listOf("Everything that stands against it.", part("problem")),
        exit_code: { type: "integer" },
      }),
    ],
    $defs: {
      problem: {
        description: "An error or a warning.",
        type: "object",
        properties: {
          code: { description: "Stays the same when words change: docs/error-codes.md.", type: "string" },
          message: TEXT,
          at: {
            description: "Where in a configuration; lines and columns from 1.",
            type: "object",
            properties: { file: TEXT, line: { type: "integer" }, column: { type: "integer" } },
            required: ["file", "line", "column"],
          },
          model: TEXT,
          tensor: TEXT,
          path: TEXT,
          hint: { description: "What to do.", type: "string" },
        },
        required: ["code", "message"],
      },
    },
  };
}

type Keys = Readonly<Record<string, Schema>>;

function event(name: string, description: string, required: Keys, optional: Keys = {}): Schema {
  const seconds: Schema = { description: "Since the command began.", type: "number" };
  return {
    description,
    type: "object",
    properties: { event: { const: name }, seconds, ...required, ...optional },
    required: ["event", "seconds", ...Object.keys(required)],
  };
}
