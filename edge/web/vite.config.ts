// Two builds: the site, and (`--mode core`) what has no page, as a module that the tests call.

import { resolve } from "node:path";
import { defineConfig } from "vite";
import { runtime } from "./build/runtime";

const here = (path: string) => resolve(__dirname, path);

const core = {
  publicDir: false as const,
  build: { outDir: "dist-core", lib: { entry: here("src/core/index.ts"), formats: ["es" as const], fileName: "core" } },
};

const site = {
  base: "./", // a site may be served from any folder of a host
  build: {
    target: "es2022",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rollupOptions: {
      input: { index: here("index.html"), sw: here("src/sw.ts") },
      // A service worker has the folder that it lies in, and one name for ever.
      output: { entryFileNames: ({ name }: { name: string }) => (name === "sw" ? "sw.js" : "assets/[name]-[hash].js") },
    },
  },
  plugins: [runtime()],
};

export default defineConfig(({ mode }) => (mode === "core" ? core : site));
