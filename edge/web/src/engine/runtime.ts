// Loads LiteRT into this worker: WASM with XNNPACK, as the Pi's interpreter has it.

import { Environment, getGlobalLiteRt, loadLiteRt, supportsFeature } from "@litertjs/core";
import { RuntimeError } from "../core/errors";

// What LiteRT's loader takes from the worker's global scope.
declare const self: DedicatedWorkerGlobalScope & { Module?: object };

/** folder: the address of `runtime/`, ending in "/". */
export async function loadRuntime(folder: string): Promise<void> {
  if (typeof WebAssembly !== "object") throw new RuntimeError("This browser has no WebAssembly.");
  const simd = await supportsFeature("relaxedSimd");
  const variant = simd ? "litert_wasm_internal" : "litert_wasm_compat_internal";
  self.Module = {
    // The runtime tells its whole story on standard error.
    printErr: (line: string) => (/^(ERROR|FATAL)|abort/i.test(line) ? console.error(line) : console.debug(line)),
    instantiateWasm(imports: WebAssembly.Imports, done: (i: WebAssembly.Instance, m: WebAssembly.Module) => void) {
      const failed = (error: unknown) => rejected(new RuntimeError(`The runtime could not be loaded: ${error}`));
      instantiate(`${folder}${variant}.wasm.bin`, imports).then(({ instance, module }) => done(instance, module), failed);
    },
  };
  let rejected: (error: Error) => void = () => {};
  // The loader waits for ever where instantiating fails.
  const failure = new Promise<never>((_, reject) => (rejected = reject));
  withoutGpu();
  await Promise.race([loadLiteRt(`${folder}${variant}.js`), failure]);
  getGlobalLiteRt().setDefaultEnvironment(new Environment({ webGpuDevice: null }));
}

/** Bytes of memory that the graphs and the runtime take. */
export const runtimeMemory = (): number =>
  (getGlobalLiteRt().liteRtWasm as unknown as { HEAPU8: Uint8Array }).HEAPU8.byteLength;

async function instantiate(address: string, imports: WebAssembly.Imports) {
  const response = await fetch(address);
  if (!response.ok || !response.body) throw new Error(`${response.status} ${response.statusText}`);
  const body = response.body.pipeThrough(new DecompressionStream("gzip"));
  const headers = { "Content-Type": "application/wasm" };
  return WebAssembly.instantiateStreaming(new Response(body, { headers }), imports);
}

/**
 * LiteRT asks for a GPU as it loads, which takes time and power, and complains where there is none.
 * The graphs run on the CPU: a GPU rounds otherwise, and thresholds were set on scores of CPUs.
 */
function withoutGpu(): void {
  const adapter = { limits: {}, features: new Set(), requestDevice: async () => null };
  Object.defineProperty(navigator, "gpu", { value: { requestAdapter: async () => adapter }, configurable: true });
}
