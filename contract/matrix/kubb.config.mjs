import { defineConfig } from "@kubb/core";
import { pluginClient } from "@kubb/plugin-client";
import { pluginOas } from "@kubb/plugin-oas";
import { pluginTs } from "@kubb/plugin-ts";

export default defineConfig({
  input: { path: process.env.OPENAPI },
  // Imports with a `.ts` ending, the default, need a compiler option that TypeScript does not set in strict mode.
  output: { path: "kubb", format: false, lint: false, extension: { ".ts": "" } },
  plugins: [pluginOas({ generators: [] }), pluginTs(), pluginClient({ client: "fetch", bundle: true })],
});
