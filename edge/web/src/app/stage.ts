// The screen: the live or picked picture, what lies over it, and the guide.

import { coloured } from "../core/heatmap";
import type { InputSpec } from "../core/preprocess";
import type { Verdict } from "../engine/runner";
import { byId, context, onChoice } from "./dom";
import { place, type Rectangle, scaleFor } from "./framing";
import { saveSettings, type Settings, settings } from "./settings";

const NAMES = { picture: "Picture", map: "Heat map", reconstruction: "What the model takes the part to look like when good" };

export class Stage {
  private readonly box = byId("screen");
  private readonly stage = byId("stage");
  private readonly video = byId<HTMLVideoElement>("video");
  private readonly still = byId<HTMLCanvasElement>("still");
  private readonly over = byId<HTMLCanvasElement>("over");
  private readonly guide = byId("guide");
  private size: [number, number] = [1, 1];
  private part: Rectangle = [0, 0, 1, 1];
  private verdict: Verdict | null = null;

  constructor(private readonly spec: InputSpec) {
    const chosen = document.querySelector<HTMLInputElement>(`input[name=layer][value=${settings.layer}]`);
    if (chosen) chosen.checked = true;
    onChoice(byId("layers"), (layer) => {
      settings.layer = layer as Settings["layer"];
      saveSettings();
      this.draw();
    });
    new ResizeObserver(() => this.arrange()).observe(this.box);
  }

  /** Shows the camera, of which `part` is judged. */
  live(width: number, height: number, part: Rectangle): void {
    this.present(this.video, width, height, part);
  }

  /** Shows a picture, all of which is judged. */
  picture(picture: ImageBitmap): void {
    const { width, height } = picture;
    Object.assign(this.still, { width, height });
    context(this.still).drawImage(picture, 0, 0);
    this.present(this.still, width, height, [0, 0, width, height]);
  }

  /** Lays a verdict over the picture; null where there is none yet. */
  show(verdict: Verdict | null): void {
    this.verdict = verdict;
    this.draw();
  }

  private present(element: HTMLElement, width: number, height: number, part: Rectangle): void {
    this.stage.hidden = false;
    byId("empty").hidden = true;
    this.video.hidden = element !== this.video;
    this.still.hidden = element !== this.still;
    this.guide.hidden = element !== this.video;
    this.size = [width, height];
    this.part = part;
    this.arrange();
  }

  private arrange(): void {
    if (this.stage.hidden) return;
    const live = this.still.hidden;
    // Around what is judged some of the rest is seen, so that the phone can be moved to it.
    const scale = scaleFor(this.part, this.box.clientWidth, this.box.clientHeight, live ? 0.88 : 1);
    place(live ? this.video : this.still, [0, 0, ...this.size], this.part, scale, this.box);
    place(this.over, this.part, this.part, scale, this.box);
    place(this.guide, this.part, this.part, scale, this.box);
  }

  private draw(): void {
    const { verdict, over, spec } = this;
    const { layer } = settings;
    over.hidden = layer === "picture" || !verdict;
    over.setAttribute("aria-label", verdict ? `${NAMES[layer]}: ${verdict.label}` : NAMES[layer]);
    if (!verdict || layer === "picture") return;
    const { width, height } = spec;
    if (over.width !== width || over.height !== height) Object.assign(over, { width, height });
    const colours =
      layer === "map" ? coloured(verdict.heatmap, verdict.limit) : rgbaOf(verdict.reconstruction, width * height);
    context(over).putImageData(new ImageData(colours, width, height), 0, 0);
  }
}

/** A picture of the model, (height, width, channels) in [0, 1], as RGBA. */
export function rgbaOf(picture: Float32Array, count: number): Uint8ClampedArray<ArrayBuffer> {
  const channels = picture.length / count;
  const pixels = new Uint8ClampedArray(count * 4).fill(255);
  for (let i = 0; i < count; i++) {
    for (let c = 0; c < 3; c++) pixels[4 * i + c] = 255 * picture[i * channels + (c % channels)];
  }
  return pixels;
}
