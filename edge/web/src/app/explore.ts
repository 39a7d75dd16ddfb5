// Sliders over the latents, decoded as they move; two kept designs, and the way between them.

import { classesOf, judges, type Precision } from "../core/manifest";
import { byId, context, make, setText } from "./dom";
import { between, difference, draw, spreads } from "./latents";
import type { Model } from "./model";
import { pixels, readPicture } from "./picturefile";
import { fileName, pngOf, save, stamp } from "./save";
import { read, write } from "./settings";
import { rgbaOf } from "./stage";
import { message, toast } from "./toast";

const FIRST = 8; // sliders that are shown at once
const REACH = 3; // of a slider, in standard deviations of its latent
const DESIGNS = 24;

interface Design {
  id: number;
  z: number[];
  label: number | null; // its class, where the model knows of any
}

export class Explore {
  private readonly canvas = byId<HTMLCanvasElement>("design");
  private readonly latents: number;
  private readonly precision: Precision;
  private readonly key: string;
  private z: Float32Array;
  private spread: Float32Array;
  private codes: Float32Array[] = [];
  private order: number[] = [];
  private all = false;
  private sliders = new Map<number, HTMLInputElement>();
  private designs: Design[];
  private chosen: number[] = []; // ids of the two that are morphed between
  private wanted = false;
  private busy = false;
  private opened = false;
  private readonly classes: string[];
  private readonly label = byId<HTMLSelectElement>("class");

  constructor(private readonly model: Model) {
    const { decoder } = model.manifest.graphs;
    // Drawing is no measuring: float32 is the finer picture, where the bundle has it.
    this.precision = decoder?.float32 ? "float32" : "int8";
    this.latents = decoder?.[this.precision]?.inputs.z?.shape[1] ?? 0;
    this.key = `designs ${model.manifest.digest}`;
    this.designs = read<Design[]>(this.key) ?? [];
    this.z = new Float32Array(this.latents);
    this.spread = spreads([], this.latents);
    this.classes = classesOf(model.manifest);
    byId("class-row").hidden = !this.classes.length;
    this.label.replaceChildren(...this.classes.map((text, i) => make("option", { value: i }, text)));
    this.label.addEventListener("change", () => void this.draw());
    byId("random").addEventListener("click", () => this.set(draw(this.spread, this.codes)));
    byId("mean").addEventListener("click", () => this.set(new Float32Array(this.latents)));
    byId("keep").addEventListener("click", () => this.keep());
    byId("save-design").addEventListener("click", () => this.save());
    byId("more").addEventListener("click", () => {
      this.all = true;
      this.layOut();
    });
    const picture = byId<HTMLInputElement>("from-picture");
    picture.addEventListener("change", async () => {
      const [file] = picture.files ?? [];
      picture.value = "";
      if (file) await this.from(file).catch((error) => toast(message(error), true));
    });
    byId<HTMLInputElement>("morph").addEventListener("input", () => this.morph());
  }

  /** Called when the part of the page is looked at: graphs are loaded only then. */
  async open(): Promise<void> {
    if (this.opened) return;
    this.opened = true;
    try {
      const codes = await this.model.engine.ask("codes", {});
      if (codes.length) this.z = codes[0].slice();
      // Where it was trained to generate, codes follow the prior.
      if (judges(this.model.manifest)) this.codes = codes;
      this.spread = spreads(this.codes, this.latents);
      await this.draw();
      this.order = await this.byEffect();
      this.layOut();
      await this.showDesigns();
    } catch (error) {
      this.opened = false;
      toast(message(error), true);
    }
  }

  private decode(z: Float32Array, label = this.told) {
    return this.model.engine.ask("decode", { z, precision: this.precision, label });
  }

  /** The class that is drawn; null where the model knows of none. */
  private get told(): number | null {
    return this.classes.length ? Number(this.label.value) : null;
  }

  /** The latents, the one first that changes the picture most when it moves. */
  private async byEffect(): Promise<number[]> {
    const effects: [number, number][] = [];
    for (let i = 0; i < this.latents; i++) {
      const [low, high] = await Promise.all([-2, 2].map((v) => this.decode(this.z.slice().fill(v * this.spread[i], i, i + 1))));
      effects.push([i, difference(low.image, high.image)]);
      setText(byId("explore-text"), `Trying latent ${i + 1} of ${this.latents}`);
    }
    const used = effects.filter(([, effect]) => effect > 0.01).length;
    setText(byId("explore-text"), `${used} of ${this.latents} latents change the picture`);
    return effects.sort((a, b) => b[1] - a[1]).map(([i]) => i);
  }

  private layOut(): void {
    const shown = this.all ? this.order : this.order.slice(0, FIRST);
    byId("latents").replaceChildren(...shown.map((i) => this.slider(i)));
    const more = byId("more");
    more.hidden = shown.length === this.order.length;
    setText(more, `Show all ${this.latents}`);
  }

  private slider(i: number): HTMLElement {
    const value = make("output", {}, this.z[i].toFixed(1));
    // A code of a picture may lie far out; the slider reaches there as well.
    const reach = Math.ceil(Math.max(REACH * this.spread[i], Math.abs(this.z[i])));
    const input = make("input", { type: "range", min: -reach, max: reach, step: reach / 60, value: this.z[i] }) as HTMLInputElement;
    input.addEventListener("input", () => {
      this.z[i] = Number(input.value);
      setText(value, this.z[i].toFixed(1));
      void this.draw();
    });
    this.sliders.set(i, input);
    return make("label", { class: "slider" }, make("span", {}, `Latent ${i + 1}`), input, value);
  }

  private set(z: Float32Array): void {
    this.z = z.slice();
    for (const [i, input] of this.sliders) {
      input.value = String(z[i]);
      setText(input.nextElementSibling as HTMLElement, z[i].toFixed(1));
    }
    void this.draw();
  }

  /** Decodes the present code; of many that come meanwhile, the last. */
  private async draw(): Promise<void> {
    this.wanted = true;
    if (this.busy) return;
    this.busy = true;
    try {
      while (this.wanted) {
        this.wanted = false;
        await this.paint(this.canvas, this.z);
      }
    } catch (error) {
      toast(message(error), true);
    } finally {
      this.busy = false;
    }
  }

  private async paint(canvas: HTMLCanvasElement, z: Float32Array, label = this.told): Promise<void> {
    const { image, shape } = await this.decode(z.slice(), label);
    const [height, width] = shape;
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    context(canvas).putImageData(new ImageData(rgbaOf(image, width * height), width, height), 0, 0);
  }

  private async from(file: File): Promise<void> {
    const bitmap = await readPicture(file);
    const picture = pixels(bitmap, [0, 0, bitmap.width, bitmap.height]);
    bitmap.close();
    this.set(await this.model.engine.ask("encode", { picture, precision: this.precision, label: this.told }));
  }

  private async keep(): Promise<void> {
    const id = 1 + Math.max(0, ...this.designs.map((d) => d.id));
    this.designs = [...this.designs, { id, z: Array.from(this.z), label: this.told }].slice(-DESIGNS);
    write(this.key, this.designs);
    // The newest two are the ones to morph between.
    this.chosen = this.designs.slice(-2).map((d) => d.id);
    await this.showDesigns();
  }

  private async showDesigns(): Promise<void> {
    this.chosen = this.chosen.filter((id) => this.designs.some((d) => d.id === id));
    const items = await Promise.all(this.designs.map((design) => this.item(design)));
    byId("designs").replaceChildren(...items);
    const two = this.chosen.length === 2;
    byId("morph-row").hidden = !two;
    const text = two
      ? `The slider goes from design ${this.chosen[0]} to design ${this.chosen[1]}. Press another to go there.`
      : "Keep two designs to morph between them.";
    setText(byId("designs-text"), text);
  }

  private async item(design: Design): Promise<HTMLElement> {
    const canvas = make("canvas", { "aria-hidden": "true" }) as HTMLCanvasElement;
    await this.paint(canvas, Float32Array.from(design.z), design.label);
    const pressed = String(this.chosen.includes(design.id));
    const name = `Design ${design.id}`;
    return make(
      "li",
      {},
      make("button", { type: "button", class: "design", "aria-pressed": pressed, "aria-label": name, click: () => this.choose(design) }, canvas),
      make("button", { type: "button", class: "remove", "aria-label": `Remove ${name}`, click: () => this.remove(design) }, "✕"),
    );
  }

  private choose(design: Design): void {
    this.chosen = [...this.chosen.filter((id) => id !== design.id), design.id].slice(-2);
    byId<HTMLInputElement>("morph").value = "1";
    setText(byId("morph-value"), "100 %");
    if (design.label !== null) this.label.value = String(design.label);
    this.set(Float32Array.from(design.z));
    void this.showDesigns();
  }

  private remove(design: Design): void {
    this.designs = this.designs.filter((d) => d !== design);
    write(this.key, this.designs);
    void this.showDesigns();
  }

  private morph(): void {
    const [a, b] = this.chosen.map((id) => this.designs.find((d) => d.id === id)!);
    const part = Number(byId<HTMLInputElement>("morph").value);
    setText(byId("morph-value"), `${Math.round(100 * part)} %`);
    this.set(between(Float32Array.from(a.z), Float32Array.from(b.z), part));
  }

  private async save(): Promise<void> {
    save(await pngOf(this.canvas), fileName(this.model.manifest.name, "design", `${stamp()}.png`));
  }
}
