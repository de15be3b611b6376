// Draws figures for drawing.py: each line of stdin is a figure and where its controls stand, each line of stdout its drawings.
"use strict";

const vega = require("vega");
const vegaLite = require("vega-lite");

const complain = (...message) => {
  throw new Error(message.join(" "));
};
const logger = { level: () => logger, error: complain, warn: complain, info: () => logger, debug: () => logger };

async function draw({ spec, positions }) {
  const compiled = spec.$schema?.includes("/vega/") ? spec : vegaLite.compile(spec, { logger }).spec;
  const view = new vega.View(vega.parse(compiled), { logger });
  const drawings = [];
  // One view for all positions: a reader, too, moves on from where the controls stand.
  for (const position of positions) {
    for (const [name, value] of Object.entries(position)) view.signal(name, value);
    drawings.push(await view.toSVG());
  }
  return drawings;
}

(async () => {
  for await (const line of require("readline").createInterface({ input: process.stdin })) {
    const reply = await draw(JSON.parse(line)).then(
      (result) => ({ result }),
      (error) => ({ error: error.message }),
    );
    process.stdout.write(`${JSON.stringify(reply)}\n`);
  }
})();
