// Two builds: the site, and (`--mode core`) what has no page, as a module that the tests call.

import { resolve } from "node:path";
import { defineConfig } from "vite";
import { runtime } from "./build/runtime";

export default defineConfig(({ mode }) =>
  mode === "core"
    ? {
        publicDir: false,
        build: {
          outDir: "dist-core",
          lib: { entry: resolve(__dirname, "src/core/index.ts"), formats: ["es"], fileName: "core" },
        },
      }
    : {
        base: "./", // a site may be served from any folder of a host
        build: { target: "es2022", assetsInlineLimit: 0, modulePreload: { polyfill: false } },
        plugins: [runtime()],
      },
);
