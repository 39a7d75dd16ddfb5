// Choices, facts of the model, and the self-test.

import { precisions, type Precision } from "../core/manifest";
import { prepareAlarm } from "./alarm";
import type { Check } from "./check";
import { byId, make, onChoice, setTerms } from "./dom";
import { number } from "./format";
import type { Model } from "./model";
import { saveSettings, type Settings, settings } from "./settings";
import { message, toast } from "./toast";

export function setUp(model: Model, check: Check): void {
  votes(check);
  choices(model);
  facts(model);
  byId<HTMLButtonElement>("selftest").disabled = false;
  byId("selftest").addEventListener("click", () => selftest(model));
}

function votes(check: Check): void {
  const inputs = { votes: byId<HTMLInputElement>("votes"), of: byId<HTMLInputElement>("of") };
  const show = () => {
    inputs.votes.value = String(settings.votes);
    inputs.of.value = String(settings.of);
  };
  for (const name of ["votes", "of"] as const) {
    inputs[name].addEventListener("change", () => {
      settings[name] = Math.min(30, Math.max(1, Math.round(Number(inputs[name].value)) || 1));
      if (name === "votes") settings.of = Math.max(settings.of, settings.votes);
      else settings.votes = Math.min(settings.of, settings.votes);
      saveSettings();
      check.votes();
      show();
    });
  }
  show();
}

function choices(model: Model): void {
  const auto = byId<HTMLInputElement>("auto");
  auto.checked = settings.auto;
  auto.addEventListener("change", () => {
    settings.auto = auto.checked;
    saveSettings();
  });
  if (!("vibrate" in navigator)) radio("alarm", "vibration").disabled = true;
  radio("alarm", settings.alarm).checked = true;
  onChoice(byId("alarm"), (value) => {
    settings.alarm = value as Settings["alarm"];
    saveSettings();
    prepareAlarm();
  });
  for (const precision of ["int8", "float32"] as const) {
    radio("precision", precision).disabled = !precisions(model.manifest).includes(precision);
  }
  radio("precision", model.precision).checked = true;
  onChoice(byId("precision"), async (value) => {
    try {
      await model.use(value as Precision);
    } catch (error) {
      toast(message(error), true);
      radio("precision", model.precision).checked = true;
    }
  });
}

function facts(model: Model): void {
  const { manifest } = model;
  const show = () => {
    const quality = manifest.quality[model.precision] ?? {};
    const auroc = quality.image_auroc;
    const rows: [string, string][] = [
      ["Name", manifest.name],
      ["Made", manifest.created.replace("T", " ").replace("Z", " UTC")],
      ["Takes", `${manifest.input.width} × ${manifest.input.height}, ${manifest.input.channels === 1 ? "grey" : "colour"}`],
      ["Bundle", manifest.digest.slice(0, 12)],
    ];
    if (typeof auroc === "number") rows.splice(3, 0, ["Image AUROC", number(auroc)]);
    setTerms(byId("facts"), rows);
  };
  show();
  model.addEventListener("change", show);
}

async function selftest(model: Model): Promise<void> {
  const button = byId<HTMLButtonElement>("selftest");
  button.disabled = true;
  try {
    const lines = await model.engine.ask("selftest", {});
    byId("selftest-lines").replaceChildren(...lines.map(({ ok, text }) => make("li", { class: ok ? "ok" : "not-ok" }, `${ok ? "✓" : "✕"} ${text}`)));
  } catch (error) {
    toast(message(error), true);
  } finally {
    button.disabled = false;
  }
}

const radio = (name: string, value: string) => document.querySelector<HTMLInputElement>(`input[name=${name}][value=${value}]`)!;
