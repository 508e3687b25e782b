// Holds the dashboards of a folder against the types of Grafana's foundation SDK: each becomes a constant of the type Dashboard.
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const here = (path) => new URL(path, import.meta.url).pathname;
const PLAIN = `
import type { Dataquery } from "@grafana/grafana-foundation-sdk/prometheus";
type Query = Omit<Dataquery, "_implementsDataqueryVariant">;
/** A query of Infinity, of which the SDK has no type, as its documentation has it. */
interface Infinity {
  readonly refId: string;
  readonly type: "json";
  readonly source: "url";
  readonly format: "table" | "timeseries" | "dataframe" | "as-is";
  readonly parser: "simple" | "backend" | "jq-backend";
  readonly root_selector: string;
  readonly url: string;
  readonly url_options: { readonly method: "GET"; readonly params: readonly { readonly key: string; readonly value: string }[] };
  readonly columns: readonly { readonly selector: string; readonly text: string; readonly type: "string" | "number" | "timestamp" | "timestamp_epoch" | "timestamp_epoch_s" }[];
}
/** A type of the SDK as JSON has it: enums are their values, queries are those of Prometheus or of Infinity. */
export type Plain<T> = T extends string ? \`\${T}\`
  : T extends number | boolean | null | undefined ? T
  : T extends (infer U)[] ? readonly Plain<U>[]
  : T extends { _implementsDataqueryVariant(): void } ? { [K in keyof Query]: Plain<Query[K]> } | Infinity
  : T extends object ? { [K in keyof T]: Plain<T[K]> }
  : T;
`;

rmSync(here("checked"), { recursive: true, force: true });
mkdirSync(here("checked"));
writeFileSync(here("checked/plain.ts"), PLAIN);
const files = readdirSync(process.argv[2]).map((name) => {
  const json = readFileSync(join(process.argv[2], name), "utf8").trim();
  const path = here(`checked/${name}.ts`);
  writeFileSync(path, `import type { Dashboard } from "@grafana/grafana-foundation-sdk/dashboard";
import type { Plain } from "./plain";
const dashboard = ${json} as const;
export const checked: Plain<Dashboard> = dashboard;
`);
  return path;
});
const options = ["--noEmit", "--strict", "--skipLibCheck", "--module", "esnext", "--moduleResolution", "bundler", "--target", "es2022"];
const { status } = spawnSync(process.execPath, [here("node_modules/typescript/bin/tsc"), ...options, ...files], { stdio: "inherit" });
process.exit(status ?? 1);
