// Compares a document with the last released one: a breaking change fails unless the version was raised.
//   node gate.mjs [released/openapi.json [../openapi.json]]
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const read = (path) => JSON.parse(readFileSync(path, "utf8"));

/** Describes every breaking change. */
function breaks(released, current) {
  // redocly.yaml in this folder would replace the rules of the comparison, so redocly runs in another folder.
  const found = spawnSync(
    join(here, "node_modules/.bin/redocly"),
    ["diff", resolve(released), resolve(current), "--format=json", "--fail-on=none"],
    { cwd: tmpdir(), encoding: "utf8", maxBuffer: 2 ** 28 },
  );
  if (!found.stdout) throw new Error(found.stderr);
  const reasons = JSON.parse(found.stdout)
    .changes.filter((change) => change.impact === "major")
    .flatMap((change) =>
      change.verdicts
        .filter((verdict) => !addsErrorCode(verdict))
        .map((verdict) => `${verdict.message} (${change.path})`),
    );
  return [...reasons, ...renames(read(released), read(current))];
}

/** Returns true for a new error code: the document says that clients must accept unknown codes. */
function addsErrorCode({ ruleId, location }) {
  return ruleId === "enum-values-added" && location.pointer === "#/components/schemas/Problem/properties/code/enum";
}

/** Describes renames that change SDKs only: schemas are their types, tags are the modules of their operations. */
function renames(released, current) {
  const schemas = Object.keys(released.components.schemas).filter((name) => !(name in current.components.schemas));
  const [before, after] = [tagsOf(released), tagsOf(current)];
  const moved = Object.keys(before).filter((name) => after[name] && after[name] !== before[name]);
  return [
    ...schemas.map((name) => `Schema \`${name}\` was removed or renamed.`),
    ...moved.map((name) => `Operation \`${name}\` moved from tag \`${before[name]}\` to \`${after[name]}\`.`),
  ];
}

function tagsOf(document) {
  const operations = Object.values(document.paths).flatMap((item) => Object.values(item));
  return Object.fromEntries(operations.map(({ operationId, tags }) => [operationId, tags.join()]));
}

/** Returns true if the second version may break clients of the first; before 1.0.0 a minor release may (semver.org, 4). */
function mayBreak(released, current) {
  const [from, to] = [released, current].map((version) => version.split(".").map(Number));
  return to[0] > from[0] || (from[0] === 0 && to[0] === 0 && to[1] > from[1]);
}

// Breaking changes with the text that the gate must report for them.
const BREAKS = {
  "Schema `Problem`": ({ components: { schemas } }) => {
    schemas.Fault = schemas.Problem;
    delete schemas.Problem;
  },
  "`/api/search`": ({ paths }) => delete paths["/api/search"],
  "became required: `amount`": ({ components }) => components.schemas.DealCreate.required.push("amount"),
  "Property `closedate` of `Deal` was removed": ({ components: { schemas } }) => delete schemas.Deal.properties.closedate,
  "`maxLength` of `subject`": ({ components: { schemas } }) => (schemas.TicketCreate.properties.subject.maxLength = 99),
  "'listDeals' to 'findDeals'": ({ paths }) => (paths["/api/deals"].get.operationId = "findDeals"),
  "`createDeal` moved from tag": ({ paths }) => (paths["/api/deals"].post.tags = ["Overview"]),
};

/** Checks the gate first: known breaking changes must fail, except with a raised version; a new error code must pass. */
function selfTest(released) {
  const folder = mkdtempSync(join(tmpdir(), "gate-"));
  const broken = read(released);
  for (const change of Object.values(BREAKS)) change(broken);
  const path = join(folder, "broken.json");
  writeFileSync(path, JSON.stringify(broken).replaceAll('schemas/Problem"', 'schemas/Fault"'));
  const reasons = breaks(released, path).join("\n");
  const extended = read(released);
  extended.components.schemas.Problem.properties.code.enum.push("new_code");
  writeFileSync(path, JSON.stringify(extended));
  const extensions = breaks(released, path);
  if (extensions.length > 0) throw new Error(`the gate refuses a new error code: ${extensions}`);
  rmSync(folder, { recursive: true });
  for (const expected of Object.keys(BREAKS)) {
    if (!reasons.includes(expected)) throw new Error(`the gate is open: it does not see ${expected}\n${reasons}`);
  }
  const allowed = ["0.2.0", "1.0.0"].every((version) => mayBreak("0.1.0", version)) && mayBreak("1.9.0", "2.0.0");
  const refused = ["0.1.0", "0.1.1", "0.0.9"].some((version) => mayBreak("0.1.0", version)) || mayBreak("1.0.0", "1.1.0");
  if (!allowed || refused) throw new Error("the gate is open: it takes one version for another");
}

const [released = join(here, "released/openapi.json"), current = join(here, "../openapi.json")] = process.argv.slice(2);
selfTest(released);
const versions = [released, current].map((path) => read(path).info.version);
const reasons = breaks(released, current);
if (reasons.length === 0) {
  console.log(`gate: nothing breaks clients of ${versions[0]}`);
} else if (mayBreak(...versions)) {
  console.log(`gate: ${reasons.length} breaking changes, and the version went from ${versions.join(" to ")}`);
} else {
  console.error(`gate: these changes break clients of ${versions[0]}; undo them or raise the version:`);
  for (const reason of reasons) console.error(`  - ${reason}`);
  process.exit(1);
}
