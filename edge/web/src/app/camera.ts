// The camera: started by a press, stopped when the page is put away.

export class CameraError extends Error {
  override name = "CameraError";
  constructor(
    message: string,
    readonly steps: string[],
  ) {
    super(message);
  }
}

const IDEAL = { width: { ideal: 1280 }, height: { ideal: 960 } };

export class Camera extends EventTarget {
  private stream: MediaStream | null = null;

  constructor(readonly video: HTMLVideoElement) {
    super();
  }

  get running(): boolean {
    return this.stream !== null;
  }

  /** which: a device's id; by default the camera at the back. Raises: CameraError. */
  async start(which?: string): Promise<void> {
    this.stop();
    if (!navigator.mediaDevices?.getUserMedia) throw insecure();
    let stream: MediaStream;
    try {
      const facing = which ? { deviceId: { exact: which } } : { facingMode: { ideal: "environment" } };
      stream = await navigator.mediaDevices.getUserMedia({ video: { ...IDEAL, ...facing }, audio: false });
    } catch (error) {
      throw explained(error as DOMException);
    }
    this.stream = stream;
    const [track] = stream.getVideoTracks();
    track.addEventListener("ended", () => {
      if (this.stream !== stream) return;
      this.stop();
      this.dispatchEvent(new Event("lost"));
    });
    this.video.srcObject = stream;
    await this.video.play();
    if (!this.video.videoWidth) {
      await new Promise((ready) => this.video.addEventListener("loadeddata", ready, { once: true }));
    }
  }

  stop(): void {
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.stream = null;
    this.video.srcObject = null;
  }

  /** The next frame is there. */
  async frame(): Promise<void> {
    const { video } = this;
    // Not every browser has the first; and a page put away gets neither.
    await new Promise<void>((ready) => {
      if ("requestVideoFrameCallback" in video) video.requestVideoFrameCallback(() => ready());
      else requestAnimationFrame(() => ready());
      setTimeout(ready, 500);
    });
  }

  /** [id, name] of each camera; and which is in use. */
  async cameras(): Promise<{ all: [string, string][]; now: string }> {
    const devices = await navigator.mediaDevices.enumerateDevices();
    const all = devices.filter((d) => d.kind === "videoinput").map((d, i): [string, string] => [d.deviceId, d.label || `Camera ${i + 1}`]);
    return { all, now: this.track?.getSettings().deviceId ?? "" };
  }

  get hasTorch(): boolean {
    // Not in TypeScript's list of capabilities.
    const capabilities = this.track?.getCapabilities?.() as { torch?: boolean } | undefined;
    return Boolean(capabilities?.torch);
  }

  async torch(on: boolean): Promise<void> {
    await this.track?.applyConstraints({ advanced: [{ torch: on } as MediaTrackConstraintSet] });
  }

  private get track(): MediaStreamTrack | undefined {
    return this.stream?.getVideoTracks()[0];
  }
}

const INSTEAD = "Or press “Pictures”: there the phone's own camera can take one.";

function insecure(): CameraError {
  return new CameraError("No camera on this address", [
    "Browsers give the camera to pages on HTTPS or on this very device only.",
    "Open the site by its https:// address.",
    INSTEAD,
  ]);
}

function explained(error: DOMException): CameraError {
  if (error.name === "NotAllowedError" || error.name === "SecurityError") {
    return new CameraError("The camera was refused", [
      "Press the sign before the address at the top, and allow the camera for this site.",
      "On an iPhone: Settings, Apps, Safari, Camera. On Android: Settings, Apps, the browser, Permissions.",
      "Then press “Start camera” again.",
      INSTEAD,
    ]);
  }
  if (error.name === "NotFoundError" || error.name === "OverconstrainedError") {
    return new CameraError("No camera was found", ["Connect one and press “Start camera” again.", INSTEAD]);
  }
  if (error.name === "NotReadableError" || error.name === "AbortError") {
    return new CameraError("The camera is in use", [
      "Close other apps and pages that use it, and press “Start camera” again.",
      INSTEAD,
    ]);
  }
  return new CameraError(`The camera failed: ${error.message}`, ["Press “Start camera” again.", INSTEAD]);
}
