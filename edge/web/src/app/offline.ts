// Works without a network after the first visit, and can be installed as an app.

import { byId, setText } from "./dom";
import { toast } from "./toast";

interface InstallPrompt extends Event {
  prompt(): Promise<unknown>;
}

/** Once the model is loaded: what was loaded then is not loaded twice. */
export async function keepOffline(): Promise<void> {
  offerInstall();
  if (!("serviceWorker" in navigator)) {
    return say("Offline use needs HTTPS, or a browser that is not in private mode.");
  }
  const before = navigator.serviceWorker.controller;
  navigator.serviceWorker.addEventListener("controllerchange", () => {
    if (before) location.reload();
  });
  try {
    const registration = await navigator.serviceWorker.register("./sw.js");
    registration.addEventListener("updatefound", () => watch(registration));
    watch(registration);
    await navigator.serviceWorker.ready;
    say("Ready for use without a network.");
    void navigator.storage?.persist?.();
  } catch (error) {
    say(`Not kept for use without a network: ${(error as Error).message}`);
  }
}

/** Drops what is kept of the site, not what is kept of verdicts. */
export async function forget(): Promise<void> {
  try {
    await (await navigator.serviceWorker?.getRegistration())?.unregister();
    const scope = new URL("./", location.href).href;
    const ours = ((await globalThis.caches?.keys()) ?? []).filter((n) => n.startsWith(scope) && !n.slice(scope.length).includes("/"));
    await Promise.all(ours.map((name) => caches.delete(name)));
  } catch {
    // Reloading is all that is left.
  }
}

function watch(registration: ServiceWorkerRegistration): void {
  const offer = () => {
    if (!registration.waiting || !navigator.serviceWorker.controller) return;
    const button = byId<HTMLButtonElement>("reload");
    button.hidden = false;
    button.onclick = () => registration.waiting?.postMessage("take over");
    toast("A new version is there: see Set up.");
  };
  offer();
  registration.installing?.addEventListener("statechange", offer);
}

function offerInstall(): void {
  addEventListener("beforeinstallprompt", (event) => {
    event.preventDefault();
    const button = byId<HTMLButtonElement>("install");
    button.hidden = false;
    button.onclick = () => (event as InstallPrompt).prompt();
  });
  addEventListener("appinstalled", () => (byId("install").hidden = true));
}

function say(text: string): void {
  setText(byId("offline-text"), `${text} Pictures stay on this device: nothing is sent anywhere.`);
}
