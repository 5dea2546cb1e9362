import { readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { ROOT } from "../paths.ts";

/** A document of the repository that is a page of the site. */
export interface SitePage {
  /** The path in the repository; undefined where the page is made of declarations. */
  source?: string;
  /** The file in the site. */
  file: string;
  /** What the navigation calls it. */
  label: string;
  /** One sentence, for search engines and readers of lists. */
  description: string;
}

export interface SiteSection {
  title: string;
  pages: readonly SitePage[];
}

/** All pages in reading order. Who comes from mergekit is served first. */
export const SECTIONS: readonly SiteSection[] = [
  {
    title: "Begin",
    pages: [
      page(
        "README.md",
        "Overview",
        "What Sinter is, how fast it is beside mergekit and the disk, and how to start.",
        "index.html",
      ),
      doc(
        "from-mergekit",
        "Coming from mergekit",
        "Ten minutes: what stays, what changes, and which messages mean what.",
      ),
      doc("install", "Install", "One executable, or npm packages; completions, manual pages, checksums."),
      made("examples.html", "Examples", "A configuration for each kind of merge, ready to run."),
      doc("troubleshooting", "Troubleshooting", "What to do about an error, by its code."),
    ],
  },
  {
    title: "Merge",
    pages: [
      doc("methods", "Methods", "All merge methods: formula, parameters, bounds, when to use each."),
      doc("configuration", "Configuration", "Every key of the YAML files, made from the schemas."),
      doc("models", "Models and formats", "What a model may be: folders, safetensors, PyTorch files, dtypes."),
      doc("hub", "The Hub", "Naming, downloading and caching models of the Hugging Face Hub."),
      doc(
        "tokenizers",
        "Tokenizers",
        "Merging models with different vocabularies, token by token, and chat templates.",
      ),
      doc("lora", "LoRA adapters", "Merging with adapters, extracting them, lowering their rank."),
      doc("moe", "Mixtures of experts", "Building Mixtral, DeepSeek and Qwen mixtures from dense models."),
      doc("transplant", "Other tokenizers", "Giving a model another model's tokenizer without training."),
      doc(
        "programs",
        "Other programs",
        "mergekit's other programs under their own names, and Sinter's words for them.",
      ),
    ],
  },
  {
    title: "See",
    pages: [
      doc("report", "Reports", "One page on what a merge did, by layer and module."),
      doc("diff", "Comparing models", "How the weights of two models differ, at the speed of the disk."),
      doc("bench", "Comparing methods", "How fast each method is on your machine, and what each does to the weights."),
      doc("forward", "Running a model", "Perplexity of a model, and whether a merge still speaks."),
    ],
  },
  {
    title: "Look up",
    pages: [
      made("commands.html", "Commands", "Every command with its arguments, options, defaults and examples."),
      doc("architectures", "Architectures", "Model families: how they are described, inferred and added."),
      doc("library", "Library", 'import { merge, plan } from "sinter" in Bun and Node.'),
      doc("events", "Events", "One JSON object a line, for programs that watch."),
      doc("exit-codes", "Exit codes", "What the number at the end of a command means."),
      doc("error-codes", "Error codes", "Every error and warning with its code, message and remedy."),
      doc("manifest", "The manifest", "What sinter_manifest.json holds, and how to check an output with it."),
      made("schemas.html", "JSON Schemas", "Schemas with which editors complete and check the files that you write."),
    ],
  },
  {
    title: "Trust",
    pages: [
      doc("performance", "Performance", "How speed is measured against the disk, and the figures of all methods."),
      doc("gpu", "GPUs", "The same merges on NVIDIA GPUs: what runs where, and what happens when something fails."),
      doc("durability", "Interruptions", "What is on the disk after a failure or a power cut, and how to go on."),
      doc("differences", "Differences", "Every place where Sinter's answer is not mergekit's, and why."),
      page("SECURITY.md", "Security", "What hostile model files can and cannot do."),
    ],
  },
  {
    title: "Inside",
    pages: [
      doc("architecture", "Architecture", "How Sinter is built, in half an hour."),
      page("CONTRIBUTING.md", "Contributing", "How to add a method, a family of models or a command."),
      page("CHANGELOG.md", "Changes", "What a user could not do before, version by version."),
      page("AGENTS.md", "For coding assistants", "How a coding assistant uses Sinter right."),
    ],
  },
];

export const SITE_PAGES: readonly SitePage[] = SECTIONS.flatMap(({ pages }) => pages);

/** Documents in docs/ that the navigation does not have: there must be none. */
export function unlisted(): string[] {
  const listed = new Set(SITE_PAGES.map(({ source }) => source));
  return readdirSync(join(ROOT, "docs"))
    .filter((name) => name.endsWith(".md"))
    .map((name) => `docs/${name}`)
    .filter((source) => !listed.has(source));
}

function doc(name: string, label: string, description: string): SitePage {
  return page(`docs/${name}.md`, label, description);
}

function page(source: string, label: string, description: string, file?: string): SitePage {
  return { source, file: file ?? `${basename(source, ".md").toLowerCase()}.html`, label, description };
}

function made(file: string, label: string, description: string): SitePage {
  return { file, label, description };
}
