// Renders formulas and compiles figures for crossent_book.py: each line of stdin is a request, each line of stdout its reply.
"use strict";

const katex = require("katex");
const vega = require("vega");
const vegaLite = require("vega-lite");

// Colours are signals, so that figures.js can give them the values of the page's theme. A specification may name them, too.
const THEME = { ink: "#1b2430", muted: "#55606e", rule: "#dde2e8", paper: "#ffffff" };
const ink = { expr: "ink" };
const muted = { expr: "muted" };
const rule = { expr: "rule" };
const CONFIG = {
  background: "transparent",
  font: "system-ui, sans-serif",
  axis: { labelColor: muted, titleColor: muted, gridColor: rule, domainColor: rule, tickColor: rule },
  legend: { labelColor: muted, titleColor: muted },
  header: { labelColor: muted, titleColor: muted },
  title: { color: ink, subtitleColor: muted },
  text: { color: ink },
  view: { stroke: "transparent" },
};

function compileFigure(spec) {
  const complaints = [];
  const complain = (...message) => complaints.push(message.join(" "));
  const logger = { level: () => logger, error: complain, warn: complain, info: () => logger, debug: () => logger };
  const own = new Set((spec.params ?? []).map((param) => param.name));
  const themed = {
    ...spec,
    config: vega.mergeConfig(spec.config ?? {}, CONFIG),
    params: [
      ...Object.entries(THEME).flatMap(([name, value]) => (own.has(name) ? [] : { name, value })),
      ...(spec.params ?? []),
    ],
  };
  const compiled = vegaLite.compile(themed, { logger }).spec;
  // Running it once finds what compiling does not: unknown functions and signals in expressions. Only its errors count:
  // it warns that there is no window here.
  new vega.View(vega.parse(compiled), { logger: { ...logger, warn: () => logger } }).run();
  if (compiled.data?.some((data) => "url" in data)) complain("data must be inline: a page asks no other address");
  if (complaints.length) throw new Error(complaints.join("; "));
  return compiled;
}

const answers = {
  math: ({ latex, display }) => katex.renderToString(latex, { displayMode: display, throwOnError: true, strict: "error" }),
  figure: ({ spec }) => compileFigure(spec),
};

require("readline")
  .createInterface({ input: process.stdin })
  .on("line", (line) => {
    const request = JSON.parse(line);
    let reply;
    try {
      reply = { result: answers[request.kind](request) };
    } catch (error) {
      reply = { error: error.rawMessage ?? error.message }; // KaTeX underlines the place in the other
    }
    process.stdout.write(`${JSON.stringify(reply)}\n`);
  });
