// Where the graphs run, so that the page never stalls. One question after another: a graph belongs
// to one caller at a time.

import { Bundle } from "../core/bundle";
import { GOLDEN, readGolden } from "../core/golden";
import { graphOf, type Precision, type Role } from "../core/manifest";
import { preprocess } from "../core/preprocess";
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
  async decode({ z, precision }) {
    const decoder = await graph("decoder", precision);
    const { image } = await decoder.run("z", z);
    return { image, shape: graphOf(bundle.manifest, "decoder", precision).outputs.image.shape.slice(1) };
  },
  async encode({ picture, precision }) {
    const encoder = await graph("encoder", precision);
    const [first] = runner!.cut(preprocess(picture, bundle.manifest.input));
    return (await encoder.run("image", first)).z_mean;
  },
  async codes() {
    const entry = bundle.manifest.files[GOLDEN];
    return entry ? (await readGolden(await bundle.read(entry))).z : [];
  },
  async selftest() {
    const lines: Line[] = [];
    await selftest(bundle, (line) => lines.push(line));
    return lines;
  },
  memory: async () => runtimeMemory(),
};

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
