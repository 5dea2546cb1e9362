import { gatherCounts } from "../plan/gather.ts";
import type { MergePlan } from "../plan/types.ts";
import { barChart } from "./bar-chart.ts";
import { shortNames } from "./names.ts";
import type { Section } from "./page.ts";

/** Where the rows of embeddings and heads come from. */
export function vocabularySection({ vocabulary: built, ops, tied, models }: MergePlan): Section {
  const short = shortNames(models);
  const called = (model: string) => short[models.indexOf(model)] ?? model;
  const gathered = ops.flatMap((op) =>
    op.inputs.flatMap(({ model, gather }) =>
      gather === undefined ? [] : [{ tensor: op.tensor, model: called(model), ...gatherCounts(gather) }],
    ),
  );
  const items = [
    ...(built === undefined
      ? gathered.length > 0
        ? []
        : ["The tokenizer is that of the base, else of the first model; rows of embeddings keep their order."]
      : [
          `${built.tokens} tokens and ${built.padding} rows of padding.`,
          ...built.own.map(({ model, tokens }) => `${model} has ${tokens} of the tokens itself.`),
        ]),
    ...tied.map(({ tensor, follows }) => `${tensor} is tied to ${follows}, and not stored.`),
  ];
  const title = "Vocabulary";
  if (gathered.length === 0) return { title, items };
  const kinds = ["own", "others", "means", "zeros"] as const;
  const names = { own: "its own", others: "of other models", means: "means of rows", zeros: "zeros" };
  return {
    title,
    text: "Rows of the output's embedding (and head), by where each input of the merge takes them from.",
    charts: [...Map.groupBy(gathered, ({ tensor }) => tensor)].map(([tensor, rows]) => ({
      caption: tensor,
      drawing: barChart({
        title: `Rows of ${tensor}`,
        series: kinds.map((kind) => names[kind]),
        groups: rows.map((row) => ({
          label: row.model,
          bars: kinds.map((kind) => ({ value: row[kind], text: row[kind].toLocaleString("en") })),
        })),
      }),
      table: {
        head: ["Model", ...kinds.map((kind) => names[kind])],
        rows: rows.map((row) => [row.model, ...kinds.map((kind) => String(row[kind]))]),
      },
    })),
    items,
  };
}
