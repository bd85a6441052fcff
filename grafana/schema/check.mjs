// Holds dashboards against the types that Grafana publishes for them: `node check.mjs DASHBOARD.json…`. The types become a
// JSON Schema that knows no other properties than theirs, so a slip of the pen is found too. What Grafana's types leave open
// (a dashboard's own says nothing of a panel's options) is held against the types of that panel.

import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import Ajv from "ajv";
import { createGenerator } from "ts-json-schema-generator";

const here = dirname(fileURLToPath(import.meta.url));
const generator = createGenerator({
  path: join(here, "types.ts"),
  tsconfig: join(here, "tsconfig.json"),
  type: "*",
  additionalProperties: false,
  skipTypeCheck: true,
});

function validator(type) {
  const ajv = new Ajv({ strict: false, allErrors: true, verbose: true });
  const check = ajv.compile(generator.createSchema(type));
  return (value, where) =>
    check(value) ? [] : check.errors.map((error) => `${where}${error.instancePath}: ${error.message} ${JSON.stringify(error.params)}`);
}

const dashboard = validator("DashboardFile");
const query = validator("Query");
// By the type of panel: its options, and what it makes of a field.
const panels = {
  timeseries: [validator("TimeSeriesOptions"), validator("TimeSeriesField")],
  stat: [validator("StatOptions"), undefined],
};

function faults(model, where) {
  const found = dashboard(model, where);
  for (const panel of model.panels.filter((panel) => panel.type !== "row")) {
    const at = `${where} ${JSON.stringify(panel.title)}`;
    if (!(panel.type in panels)) {
      found.push(`${at}: no types are known here for a panel of the type ${panel.type}`);
      continue;
    }
    const [options, field] = panels[panel.type];
    found.push(...options(panel.options, `${at} options`));
    if (field) {
      found.push(...field(panel.fieldConfig.defaults.custom, `${at} custom`));
    }
    panel.targets.forEach((target) => found.push(...query(target, `${at} ${target.refId}`)));
  }
  return found;
}

const files = process.argv.slice(2);
const models = files.map((file) => JSON.parse(readFileSync(file, "utf8")));
const found = models.flatMap((model, number) => faults(model, files[number]));

// A schema that lets everything pass would look the same as dashboards without a fault.
const slips = {
  "a property that Grafana does not know": (model) => { model.panels[1].fieldConfig.defaults.noValeu = "none"; },
  "a kind of stacking that there is not": (model) => {
    model.panels.find((panel) => panel.type === "timeseries").fieldConfig.defaults.custom.stacking.mode = "sideways";
  },
  "a query without an expression": (model) => { delete model.panels[1].targets[0].expr; },
  "options that are missing": (model) => { delete model.panels.find((panel) => panel.type === "stat").options.reduceOptions; },
};
for (const [slip, make] of Object.entries(slips)) {
  const model = structuredClone(models.find((model) => model.panels.some((panel) => panel.type === "stat")));
  make(model);
  if (faults(model, "").length === 0) {
    found.push(`the schema does not notice ${slip}`);
  }
}

if (found.length > 0) {
  console.error(found.join("\n"));
  process.exit(1);
}
