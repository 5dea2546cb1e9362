import type { Amount, InspectedModule, Inspection, LayerRun, SharedWeight } from "../architecture/inspect.ts";
import { someOf } from "../plan/copies.ts";
import { isTokenizerFile } from "../plan/side-files.ts";
import { formatBytes } from "../run/units.ts";
import { columns } from "./columns.ts";
import type { TokenizerFacts } from "./inspection-facts.ts";

/** More names than these are counted, not listed. */
const LISTED = 12;
/** Files that are named of more than `LISTED`. */
const SHOWN = 3;
/** Names on one line of many. */
const NAMED = 4;

/** How a model is understood, and what is said of its tokenizer and of what is odd. */
export interface FullInspection extends Inspection {
  /** Sizes that config.json gives, by name. */
  shape: Readonly<Record<string, number>>;
  /** Null where it was not read. */
  tokenizer: TokenizerFacts | null;
  oddities: readonly string[];
}

/** How a model is understood, in a page of text. */
export function inspectionText(inspection: FullInspection): string {
  const { name, folder, total, files } = inspection;
  const rows: string[][] = [
    ["model", folder === name ? name : `${name} (${folder})`],
    ["family", familyLine(inspection)],
    ["weights", amountText(total)],
    ...Object.entries(inspection.dtypes).map(([dtype, amount], i) => [
      i === 0 ? "dtypes" : "",
      dtypeText(dtype, amount),
    ]),
    ...(inspection.layout === null ? [] : [["layout", LAYOUTS[inspection.layout] ?? inspection.layout]]),
    ...(Object.keys(inspection.shape).length === 0 ? [] : [["sizes", shapeText(inspection.shape)]]),
    ...(inspection.modules.length === 1
      ? inspection.modules.flatMap(layerRows)
      : inspection.modules.flatMap(moduleRows)),
    ...inspection.shared.map((one) => [one.role ?? "shared", sharedText(one) + paddingText(one, inspection.tokenizer)]),
    ["tied", inspection.tied ? "yes, says config.json or the class" : "no, says config.json or the class"],
    ...listRows("buffers", inspection.buffers),
    ["tokenizer", inspection.sideFiles.filter(isTokenizerFile).join(", ") || "none"],
    ...(inspection.tokenizer === null ? [] : [["", tokenizerText(inspection.tokenizer)]]),
    ...fileRows(files),
    ["missing", inspection.missing.length === 0 ? "nothing" : counted(inspection.missing.length, "weight")],
    ...namesBelow(inspection.missing),
    ["unknown", inspection.unknown.length === 0 ? "nothing" : counted(inspection.unknown.length, "tensor")],
    ...namesBelow(inspection.unknown),
    ["odd", inspection.oddities[0] ?? "nothing"],
    ...inspection.oddities.slice(1).map((oddity) => ["", oddity]),
  ];
  return `${columns(rows)}\n`;
}

const LAYOUTS: Readonly<Record<string, string>> = {
  packed: "packed: several weights in one tensor (can be taken apart to merge with models that store them so)",
  separate: "separate: each weight in a tensor of its own (models that pack them can be merged with this one)",
};

function familyLine({ family, familyClass, class: own, modelType }: Inspection): string {
  const said = own === null || own === familyClass ? "" : `, read as ${familyClass}`;
  return `${family} (${own ?? "no class"}${said}; model_type ${modelType ?? "not given"})`;
}

function amountText({ tensors, parameters, bytes }: Amount): string {
  return `${counted(tensors, "tensor")}, ${parameters.toLocaleString("en")} parameters${roughly(parameters)}, ${formatBytes(bytes)}`;
}

/** ` (7.62 billion)`; nothing where the number is read at a glance. */
function roughly(count: number): string {
  if (count < 1e6) return "";
  const [size, name] = count < 1e9 ? [1e6, "million"] : [1e9, "billion"];
  return ` (${Number((count / size).toPrecision(3))} ${name})`;
}

function dtypeText(dtype: string, { tensors, bytes }: Amount): string {
  return `${dtype}  ${counted(tensors, "tensor")}, ${formatBytes(bytes)}`;
}

function tokenizerText({ kind, tokens, added, roles, chatTemplate }: TokenizerFacts): string {
  const special = Object.entries(roles).map(([role, token]) => `${role.replace(/_token$/, "")} ${token}`);
  const parts = [`${kind}, ${counted(tokens, "token")} of which ${added.toLocaleString("en")} added`, ...special];
  return `${parts.join(", ")}${chatTemplate ? ", with a chat template" : ", no chat template"}`;
}

function shapeText(shape: FullInspection["shape"]): string {
  return Object.entries(shape)
    .map(([name, size]) => `${name} ${size.toLocaleString("en")}`)
    .join(", ");
}

/** Rows of an embedding or a head that no token has. */
function paddingText({ role, shape, tied }: SharedWeight, tokenizer: TokenizerFacts | null): string {
  if (role !== "embedding" || tied || tokenizer === null) return "";
  const beyond = (shape?.[0] ?? 0) - tokenizer.largestId - 1;
  return beyond > 0 ? `, ${counted(beyond, "row")} beyond the last token` : "";
}

function fileRows(files: Inspection["files"]): string[][] {
  const shown = files.slice(0, files.length > LISTED ? SHOWN : LISTED);
  const rest = files.length - shown.length;
  return [
    ...shown.map((file, i) => [
      i === 0 ? "files" : "",
      `${file.name}  ${formatBytes(file.bytes)}, ${counted(file.tensors, "tensor")}`,
    ]),
    ...(rest > 0 ? [["", `and ${rest} more: ${files.length} files in all`]] : []),
  ];
}

/** The layers of a model that is one module. */
function layerRows(module: InspectedModule): string[][] {
  const key = module.layerKey === undefined ? "" : ` (${module.layerKey})`;
  return [["layers", module.layerCount === 0 ? "none" : `${module.layerCount}${key}`], ...partRows(module)];
}

function moduleRows(module: InspectedModule): string[][] {
  const key = module.layerKey === undefined ? "" : ` (${module.layerKey})`;
  const layers = module.layerCount === 0 ? "no layers" : `${counted(module.layerCount, "layer")}${key}`;
  const head = `${module.name}: ${module.family}, ${layers}, ${module.parameters.toLocaleString("en")} parameters`;
  return [["module", head], ...partRows(module)];
}

function partRows(module: InspectedModule): string[][] {
  return [
    ...(module.before.length === 0 ? [] : [["", `before  ${someOf(module.before, NAMED)}`]]),
    ...module.layers.map((run) => ["", runText(run)]),
    ...(module.after.length === 0 ? [] : [["", `after   ${someOf(module.after, NAMED)}`]]),
  ];
}

function runText({ first, last, weights, parameters }: LayerRun): string {
  const each = first === last ? "" : " each";
  const which = first === last ? `layer ${first}` : `layers ${first} to ${last}`;
  return `${which}: ${counted(weights, "weight")}${each}, ${parameters.toLocaleString("en")} parameters${each}`;
}

function sharedText({ weight, tensor, shape, tied }: SharedWeight): string {
  if (tensor === null) return `${weight}: not there`;
  const size = `[${shape?.join(", ")}]`;
  if (tied) return `${weight} ${size}: follows ${tensor}, not stored`;
  return weight === tensor ? `${weight} ${size}` : `${weight} ${size}: stored as ${tensor}`;
}

function listRows(label: string, names: readonly string[]): string[][] {
  return names.length === 0 ? [] : [[label, `${names.length}: ${someOf(names, NAMED)}`]];
}

function namesBelow(names: readonly string[]): string[][] {
  const more = names.length > LISTED ? [["", `and ${names.length - LISTED} more`]] : [];
  return [...names.slice(0, LISTED).map((name) => ["", name]), ...more];
}

function counted(count: number, noun: string): string {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}
