// Builds the portal and serves it: node serve.mjs [PORT [API]]; the service must allow the origin (CORS_ORIGINS).
import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const folder = dirname(fileURLToPath(import.meta.url));
const esbuild = createRequire(join(folder, "../../contract/package.json"))("esbuild");
const port = Number(process.argv[2] ?? 4013);
const api = process.argv[3] ?? "http://localhost:4012";

const built = await esbuild.build({
  entryPoints: [join(folder, "portal.ts")],
  bundle: true,
  format: "esm",
  target: "es2022",
  write: false,
});
const files = {
  "/": ["text/html; charset=utf-8", (await readFile(join(folder, "index.html"), "utf8")).replace("{{API}}", api)],
  "/portal.css": ["text/css; charset=utf-8", await readFile(join(folder, "portal.css"))],
  "/portal.js": ["text/javascript; charset=utf-8", built.outputFiles[0].contents],
};
const policy = `default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src ${api}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`;

createServer((request, response) => {
  const [type, body] = files[new URL(request.url, "http://localhost").pathname] ?? ["text/plain", null];
  response.writeHead(body === null ? 404 : 200, { "Content-Type": type, "Content-Security-Policy": policy });
  response.end(body ?? "Not found");
}).listen(port, "127.0.0.1", () => console.log(`portal on http://localhost:${port}, for ${api}`));
