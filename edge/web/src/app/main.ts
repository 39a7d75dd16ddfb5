// The page: a bundle, a camera, verdicts. Everything is computed here, and nothing is sent anywhere.

import { judges } from "../core/manifest";
import { Check } from "./check";
import { cameraTools } from "./cameratools";
import { byId, setText } from "./dom";
import { Explore } from "./explore";
import { List } from "./list";
import { Model } from "./model";
import { keepOffline } from "./offline";
import { Panel } from "./panel";
import { Records } from "./records";
import { setUp } from "./setup";
import { dialogs, tabs } from "./tabs";
import { Threshold } from "./threshold";
import { trouble } from "./trouble";

async function main(): Promise<void> {
  dialogs();
  const panel = new Panel();
  const model = await Model.open();
  const { name } = model.manifest;
  document.title = name;
  setText(byId("name"), name);
  byId("state").dataset.state = "running";
  setText(byId("state-text"), "ready");

  const explore = new Explore(model);
  if (!judges(model.manifest)) {
    document.body.classList.add("draws-only");
    document.body.dataset.view = "explore";
    await explore.open();
    return keepOffline();
  }
  const list = new List(await Records.open(), name);
  const check = new Check(model, panel, (judged) => list.add(judged));
  const go = tabs((view) => {
    if (view === "explore") void explore.open();
  });
  new Threshold(model, check, go);
  setUp(model, check);
  cameraTools(check);
  await keepOffline();
}

main().catch(trouble);
