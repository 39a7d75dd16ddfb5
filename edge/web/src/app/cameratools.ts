// Zoom, light, and which camera.

import type { Check } from "./check";
import { byId, make, setText } from "./dom";
import { message, toast } from "./toast";

export function cameraTools(check: Check): void {
  const dialog = byId<HTMLDialogElement>("camera-tools");
  const zoom = byId<HTMLInputElement>("zoom");
  const which = byId<HTMLSelectElement>("which");
  const torch = byId<HTMLButtonElement>("torch");

  byId("tools").addEventListener("click", async () => {
    const { all, now } = await check.camera.cameras();
    which.replaceChildren(...all.map(([id, name]) => make("option", { value: id, selected: id === now }, name)));
    torch.hidden = !check.camera.hasTorch;
    torch.setAttribute("aria-pressed", "false");
    dialog.showModal();
  });
  zoom.addEventListener("input", () => {
    check.zoom = Number(zoom.value);
    setText(byId("zoom-value"), `${check.zoom} ×`);
  });
  which.addEventListener("change", () => check.start(which.value));
  torch.addEventListener("click", async () => {
    const on = torch.getAttribute("aria-pressed") !== "true";
    await check.camera.torch(on).catch((error) => toast(message(error), true));
    torch.setAttribute("aria-pressed", String(on));
  });
  byId("stop").addEventListener("click", async () => {
    dialog.close();
    await check.stop();
  });
}
