// Turns an answer of Prometheus into annotations by the code that Grafana's data source runs.
// In: {annotation, step, series: [{labels, samples: [[milliseconds, value]]}]}. Out: [{time, timeEnd, title, text, tags}].
import { readFileSync } from "node:fs";
import { register } from "node:module";

register("./hooks.mjs", import.meta.url);
const published = new URL("node_modules/@grafana/prometheus/dist/esm/annotations.mjs", import.meta.url);
const { PrometheusAnnotationSupport } = await import(published);

const { annotation, step, series } = JSON.parse(readFileSync(0, "utf8"));
const support = PrometheusAnnotationSupport({});
const frames = series.map(({ labels, samples }) => ({
  meta: { executedQueryString: `Expr: \nStep: ${step}s` },
  fields: [{ values: samples.map(([time]) => time) }, { values: samples.map(([, value]) => value), labels }],
}));
support.processEvents(support.prepareAnnotation(annotation), frames).subscribe((events) => {
  console.log(JSON.stringify(events.map(({ time, timeEnd, title, text, tags }) => ({ time, timeEnd, title, text, tags }))));
});
