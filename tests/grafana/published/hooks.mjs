// annotations.mjs of @grafana/prometheus needs two small functions of @grafana/data and an editor that is never shown:
// they stand in here for packages that want a browser.
const DATA = `
const SECONDS = { ms: 0.001, s: 1, m: 60, h: 3600, d: 86400 };
export const rangeUtil = {
  intervalToSeconds: (text) => { const [, count, unit] = /^(\\d+)(ms|s|m|h|d)$/.exec(text); return count * SECONDS[unit]; },
};
export const renderLegendFormat = (pattern, labels) =>
  pattern.replace(/\\{\\{\\s*(.+?)\\s*\\}\\}/g, (_, name) => (labels[name] ? labels[name] : name));
`;
const MODULES = {
  "@grafana/data": DATA,
  "./components/AnnotationQueryEditor.mjs": "export const AnnotationQueryEditor = null;",
};

export async function resolve(specifier, context, next) {
  if (!(specifier in MODULES)) return next(specifier, context);
  return { url: `data:text/javascript,${encodeURIComponent(MODULES[specifier])}`, shortCircuit: true };
}
