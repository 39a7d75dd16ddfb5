// Sound or vibration when a part fails.

import { settings } from "./settings";

let audio: AudioContext | null = null;

/** Browsers let a page sound only after a press: call this in one. */
export function prepareAlarm(): void {
  if (settings.alarm === "sound" && typeof AudioContext !== "undefined") {
    audio ??= new AudioContext();
    void audio.resume();
  }
}

export function alarm(): void {
  if (settings.alarm === "vibration") navigator.vibrate?.([200, 80, 200]);
  if (settings.alarm === "sound" && audio) beep(audio);
}

function beep(context: AudioContext): void {
  for (const [at, hertz] of [[0, 880], [0.18, 587]]) {
    const tone = context.createOscillator();
    const volume = context.createGain();
    const start = context.currentTime + at;
    tone.frequency.value = hertz;
    volume.gain.setValueAtTime(0.4, start);
    volume.gain.exponentialRampToValueAtTime(0.001, start + 0.16);
    tone.connect(volume).connect(context.destination);
    tone.start(start);
    tone.stop(start + 0.17);
  }
}
