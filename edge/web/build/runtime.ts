// Puts LiteRT's WASM files into the site, compressed: many hosts do not compress what they send, and
// 9 MB is too much for a first visit by phone.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import type { Plugin } from "vite";

// With relaxed SIMD, and for browsers that lack it.
const VARIANTS = ["litert_wasm_internal", "litert_wasm_compat_internal"];

export function runtime(): Plugin {
  return {
    name: "litert-runtime",
    apply: "build",
    generateBundle() {
      const main = createRequire(import.meta.url).resolve("@litertjs/core");
      const folder = join(dirname(dirname(main)), "wasm");
      for (const variant of VARIANTS) {
        this.emitFile({
          type: "asset",
          fileName: `runtime/${variant}.js`,
          source: readFileSync(join(folder, `${variant}.js`)),
        });
        // Not ".gz": some hosts would send that with a header that makes the browser unpack it.
        this.emitFile({
          type: "asset",
          fileName: `runtime/${variant}.wasm.bin`,
          source: gzipSync(readFileSync(join(folder, `${variant}.wasm`)), { level: 9 }),
        });
      }
    },
  };
}
