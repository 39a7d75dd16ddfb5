// Where the graphs run, so that the page never stalls. One question after another: a graph belongs
// to one caller at a time.

import { Bundle } from "../core/bundle";
import { GOLDEN, readGolden } from "../core/golden";
import { graphOf, judges, type Precision, type Role } from "../core/manifest";
import { readParts, rows } from "../core/parts";
import { preprocess } from "../core/preprocess";
import { Tiling } from "../core/tiles";
import { Graph } from "./graph";
import type { Failure, Name, Question, Questions } from "./messages";
import { loadRuntime, runtimeMemory } from "./runtime";
import { Runner } from "./runner";
import { type Line, selftest } from "./selftest";

type Answers = { [N in Name]: (ask: Questions[N]["ask"]) => Promise<Questions[N]["answer"]> };

let bundle: Bundle;
let runner: Runner | undefined;
const graphs = new Map<string, Graph>();

const answers: Answers = {
  async open(ask) {
    bundle = await Bundle.open(ask.bundle, ask.fresh);
    await loadRuntime(ask.runtime);
    return bundle.manifest;
  },
  async load({ precision }) {
    const loaded = await Runner.load(bundle, precision);
    runner?.delete();
    runner = loaded;
    return null;
  },
  check: ({ picture, calibration }) => runner!.check(picture, calibration),
  async decode({ z, precision, label }) {
    const decoder = await graph("decoder", precision);
    const { image } = await decoder.run({ z, ...told(label) });
    return { image, shape: graphOf(bundle.manifest, "decoder", precision).outputs.image.shape.slice(1) };
  },
  async encode({ picture, precision, label }) {
    const encoder = await graph("encoder", precision);
    const { input } = bundle.manifest;
    const [, height, width] = encoder.inputShape("image");
    const [first] = new Tiling(input.height, input.width, height, width).cut(preprocess(picture, input), input.channels);
    return (await encoder.run({ image: first, ...told(label) })).z_mean;
  },
  async codes() {
    const entry = bundle.manifest.files[GOLDEN];
    if (!entry) return [];
    const content = await bundle.read(entry);
    return judges(bundle.manifest) ? (await readGolden(content)).z : rows((await readParts(content)).inputs.decoder!.z) as Float32Array[];
  },
  async selftest() {
    const lines: Line[] = [];
    await selftest(bundle, (line) => lines.push(line));
    return lines;
  },
  memory: async () => runtimeMemory(),
};

const told = (label: number | null): Record<string, Int32Array> => (label === null ? {} : { label: Int32Array.of(label) });

async function graph(role: Role, precision: Precision): Promise<Graph> {
  const entry = graphOf(bundle.manifest, role, precision);
  const loaded = graphs.get(entry.file) ?? (await Graph.load(await bundle.read(entry)));
  graphs.set(entry.file, loaded);
  return loaded;
}

let last: Promise<unknown> = Promise.resolve();

self.addEventListener("message", ({ data }: MessageEvent<Question>) => {
  last = last.then(() => reply(data));
});

async function reply({ id, name, ask }: Question): Promise<void> {
  try {
    const answer = await (answers[name] as (ask: unknown) => Promise<unknown>)(ask);
    self.postMessage({ id, answer }, { transfer: buffers(answer) });
  } catch (error) {
    const { name: kind, message } = error as Error;
    const failure: Failure = { name: kind, message: message ?? String(error), kind: (error as Failure).kind };
    self.postMessage({ id, failure });
  }
}

/** Arrays move to the page instead of being copied. */
function buffers(answer: unknown): Transferable[] {
  const values = answer && typeof answer === "object" ? Object.values(answer) : [];
  return [answer, ...values].flatMap((v) => (ArrayBuffer.isView(v) ? [v.buffer as ArrayBuffer] : []));
}
