// Checking: the live camera, frame after frame, or picked pictures, one after the other.

import type { Label } from "../core/calibration";
import { Vote } from "../core/judgement";
import type { Picture } from "../core/preprocess";
import type { Verdict } from "../engine/runner";
import { alarm, prepareAlarm } from "./alarm";
import { Camera, CameraError } from "./camera";
import { byId, make, setText } from "./dom";
import { milliseconds } from "./format";
import { framed, type Rectangle } from "./framing";
import type { Model } from "./model";
import { pixels, readPicture } from "./picturefile";
import type { Entry } from "./records";
import { pngOf } from "./save";
import { settings } from "./settings";
import { Stage } from "./stage";
import { message, toast } from "./toast";
import type { Panel } from "./panel";

/** A judged picture on its way into the list. */
export interface Judged {
  entry: Omit<Entry, "id">;
  picture: () => Promise<Blob>;
}

export class Check {
  readonly camera = new Camera(byId<HTMLVideoElement>("video"));
  zoom = 1;
  private live: Verdict | null = null;
  /** Who takes the verdict when the big button is pressed, where not the list. */
  private taker: ((verdict: Verdict) => void) | null = null;
  private readonly stage: Stage;
  private vote = new Vote(1, 1);
  private loop: Promise<void> | null = null;
  private decision: Label | null = null;
  private last: Judged | null = null;
  private times: number[] = []; // of the last frames, for frames a second
  private frames = 0;

  constructor(
    private readonly model: Model,
    private readonly panel: Panel,
    private readonly keep: (judged: Judged) => Promise<void>,
  ) {
    this.stage = new Stage(model.manifest.input);
    byId("shutter").addEventListener("click", () => this.pressed());
    const pick = byId<HTMLInputElement>("pick");
    pick.addEventListener("change", async () => {
      const files = [...(pick.files ?? [])];
      pick.value = ""; // the same file may be picked again
      await this.files(files);
    });
    this.camera.addEventListener("lost", () => {
      void this.stop();
      this.explain(new CameraError("The camera is gone", ["Connect it again and press “Start camera”."]));
    });
    document.addEventListener("visibilitychange", () => {
      if (document.hidden && this.camera.running) void this.stop();
    });
    model.addEventListener("change", () => this.vote.clear());
    this.ready();
  }

  private ready(): void {
    for (const id of ["pick", "shutter"]) byId<HTMLButtonElement>(id).disabled = false;
    setText(byId("empty-text"), "Start the camera, or choose pictures that you have.");
    this.idle();
  }

  private idle(): void {
    this.panel.show({ look: "unknown", word: "NO VERDICT", under: "No part has been judged yet.", decision: null });
  }

  /** The big button: starts the camera, and keeps verdicts once it runs. */
  private async pressed(): Promise<void> {
    prepareAlarm();
    if (!this.camera.running) return this.start();
    const judged = this.last;
    if (!judged || !this.live) return toast("No frame has been judged yet.");
    if (this.taker) return this.taker(this.live);
    await this.keep(judged);
    toast(`Kept: ${judged.entry.decision.toUpperCase()}.`);
  }

  async start(which?: string): Promise<void> {
    await this.stop();
    const shutter = byId<HTMLButtonElement>("shutter");
    shutter.disabled = true;
    try {
      await this.camera.start(which);
    } catch (error) {
      return this.explain(error as CameraError);
    } finally {
      shutter.disabled = false;
    }
    shutter.classList.add("live");
    this.label();
    byId<HTMLButtonElement>("tools").disabled = false;
    setText(byId("state-text"), "camera on");
    this.vote = new Vote(settings.votes, settings.of);
    this.decision = null;
    this.loop = this.run();
  }

  async stop(): Promise<void> {
    const was = this.camera.running;
    this.camera.stop();
    await this.loop;
    this.loop = null;
    this.live = this.last = null;
    byId("shutter").classList.remove("live");
    this.label();
    byId<HTMLButtonElement>("tools").disabled = true;
    setText(byId("state-text"), "ready");
    if (!was) return;
    this.blank(make("p", {}, "The camera is stopped."));
    this.idle();
  }

  /** Gives the verdicts that the button takes to somebody else; null gives them to the list again. */
  async giveTo(taker: ((verdict: Verdict) => void) | null): Promise<void> {
    this.taker = taker;
    this.label();
    if (taker && !this.camera.running) await this.start();
  }

  private label(): void {
    const running = this.taker ? "Good part" : "Keep";
    setText(byId("shutter-text"), this.camera.running ? running : "Start camera");
  }

  /** The votes asked for may have changed. */
  votes(): void {
    this.vote = new Vote(settings.votes, settings.of);
    this.decision = null;
  }

  private async run(): Promise<void> {
    const { camera } = this;
    const awake = await stayAwake();
    this.times = [];
    while (camera.running) {
      await camera.frame();
      if (!camera.running) break;
      try {
        await this.frame();
      } catch (error) {
        toast(message(error), true);
        camera.stop();
      }
    }
    void awake?.release();
  }

  private async frame(): Promise<void> {
    const { videoWidth: width, videoHeight: height } = this.camera.video;
    if (!width) return;
    const { input } = this.model.manifest;
    const part = framed(width, height, input.width / input.height, this.zoom);
    this.stage.live(width, height, part);
    const picture = pixels(this.camera.video, part);
    const copy = picture.data.slice();
    const verdict = await this.model.check(picture);
    if (!this.camera.running) return;
    this.live = verdict;
    byId("screen").dataset.frames = String(++this.frames);
    const decision = this.vote.decide(verdict.label);
    const entry = this.entry("camera", decision, verdict);
    this.last = { entry, picture: () => pngFrom({ ...picture, data: copy }) };
    this.present(verdict, decision);
    setText(byId("frame-text"), this.pace(verdict, part));
    if (this.decision !== decision && this.vote.frames >= Math.min(this.vote.of, this.vote.votes)) this.changed(decision);
  }

  private changed(decision: Label): void {
    const first = this.decision === null;
    this.decision = decision;
    if (decision === "fail") alarm();
    if (settings.auto && this.last && !(first && decision === "pass")) void this.keep(this.last);
  }

  /** Judges pictures from files. Each is kept in the list. */
  async files(files: File[]): Promise<void> {
    if (!files.length) return;
    prepareAlarm();
    await this.stop();
    let unread = 0;
    for (const [i, file] of files.entries()) {
      try {
        await this.file(file, files.length > 1 ? `${i + 1} of ${files.length} · ` : "");
      } catch (error) {
        unread++;
        toast(`${file.name}: ${message(error)}`, true);
        this.panel.show({ look: "error", word: "ERROR", under: `${file.name}: ${message(error)}`, decision: "ERROR" });
      }
    }
    if (files.length > 1) toast(`${files.length - unread} judged${unread ? `, ${unread} could not be read` : ""}.`, unread > 0);
  }

  private async file(file: File, which: string): Promise<void> {
    const picture = await readPicture(file);
    this.stage.show(null);
    this.stage.picture(picture);
    const { width, height } = picture;
    const verdict = await this.model.check(pixels(picture, [0, 0, width, height]));
    picture.close();
    this.present(verdict, verdict.label);
    setText(byId("frame-text"), `${which}${file.name} · ${width} × ${height}${this.stretched(width, height)} · ${milliseconds(verdict.ms)}`);
    if (verdict.label === "fail") alarm();
    await this.keep({ entry: this.entry(file.name, verdict.label, verdict), picture: async () => file });
  }

  private present(verdict: Verdict, decision: Label): void {
    this.stage.show(verdict);
    this.panel.verdict(verdict, decision, this.model.local);
  }

  private entry(source: string, decision: Label, verdict: Verdict): Omit<Entry, "id"> {
    const { model } = this;
    return {
      taken: Date.now() / 1000,
      source,
      decision,
      verdict: verdict.label,
      score: verdict.score,
      p_value: verdict.pValue,
      threshold: verdict.threshold,
      calibration: model.calibration.method + (model.local ? ", set here" : ""),
      precision: model.precision,
      bundle: model.manifest.digest.slice(0, 12),
      ms: verdict.ms,
    };
  }

  private pace(verdict: Verdict, [, , width, height]: Rectangle): string {
    const now = performance.now();
    this.times = [...this.times.filter((t) => now - t < 1000), now];
    return `${this.times.length} frames/s · ${milliseconds(verdict.ms)} each · ${width} × ${height} pixels`;
  }

  /** What a person should know of a picture of other proportions. */
  private stretched(width: number, height: number): string {
    const { input } = this.model.manifest;
    const ratio = width / height / (input.width / input.height);
    return Math.max(ratio, 1 / ratio) > 1.02 ? ", stretched" : "";
  }

  private explain(error: CameraError): void {
    const steps = (error.steps ?? []).map((step) => make("li", {}, step));
    this.blank(make("p", { class: "strong" }, error.message), make("ol", {}, ...steps));
    this.panel.show({ look: "unknown", word: "NO CAMERA", under: error.message, decision: null });
  }

  /** Says something in place of a picture. */
  private blank(...said: HTMLElement[]): void {
    byId("stage").hidden = true;
    byId("empty").hidden = false;
    byId("empty").replaceChildren(...said);
    setText(byId("frame-text"), "\u00a0");
  }
}

function pngFrom({ width, height, data }: Picture): Promise<Blob> {
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  canvas.getContext("2d")!.putImageData(new ImageData(data as Uint8ClampedArray<ArrayBuffer>, width, height), 0, 0);
  return pngOf(canvas);
}

/** Keeps the screen on while the camera runs, where the browser can. */
async function stayAwake(): Promise<WakeLockSentinel | null> {
  try {
    return await navigator.wakeLock.request("screen");
  } catch {
    return null; // not on this browser, or the battery is low
  }
}
