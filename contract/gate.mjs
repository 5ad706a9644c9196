// Holds a document against the last released one: what breaks a client fails unless the version was raised for it.
//   node gate.mjs [released/openapi.json [../openapi.json]]
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const read = (path) => JSON.parse(readFileSync(path, "utf8"));

/** Every breaking change, in words. */
function breaks(released, current) {
  // Elsewhere than beside redocly.yaml, whose lint rules would take the place of the rules of the comparison.
  const found = spawnSync(
    join(here, "node_modules/.bin/redocly"),
    ["diff", resolve(released), resolve(current), "--format=json", "--fail-on=none"],
    { cwd: tmpdir(), encoding: "utf8", maxBuffer: 2 ** 28 },
  );
  if (!found.stdout) throw new Error(found.stderr);
  const reasons = JSON.parse(found.stdout)
    .changes.filter((change) => change.impact === "major")
    .flatMap((change) => change.verdicts.map((verdict) => `${verdict.message} (${change.path})`));
  // A renamed schema is no change on the wire, but it is one in every SDK.
  const names = Object.keys(read(current).components.schemas);
  const gone = Object.keys(read(released).components.schemas).filter((name) => !names.includes(name));
  return [...reasons, ...gone.map((name) => `Schema \`${name}\` was removed or renamed.`)];
}

/** Whether the second version may break clients of the first; before 1.0.0 a minor release may (semver.org, 4). */
function mayBreak(released, current) {
  const [from, to] = [released, current].map((version) => version.split(".").map(Number));
  return to[0] > from[0] || (from[0] === 0 && to[0] === 0 && to[1] > from[1]);
}

/** The gate itself is tried first: a document with known breaks has to fail. */
function selfTest(released) {
  const folder = mkdtempSync(join(tmpdir(), "gate-"));
  const broken = read(released);
  const { schemas } = broken.components;
  broken.components.schemas = Object.fromEntries(
    Object.entries(schemas).map(([name, schema]) => [name === "Problem" ? "Fault" : name, schema]),
  );
  const text = JSON.stringify(broken).replaceAll("schemas/Problem\"", "schemas/Fault\"");
  const revised = JSON.parse(text);
  delete revised.paths["/api/search"];
  revised.components.schemas.DealCreate.required.push("description");
  const path = join(folder, "broken.json");
  writeFileSync(path, JSON.stringify(revised));
  const reasons = breaks(released, path).join("\n");
  rmSync(folder, { recursive: true });
  for (const expected of ["Schema `Problem`", "`/api/search`", "`description`"]) {
    if (!reasons.includes(expected)) throw new Error(`the gate is open: it does not see ${expected}`);
  }
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
