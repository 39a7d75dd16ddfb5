// A page of its own for what stops everything: what happened, and what to do.

import { byId, make, setText } from "./dom";
import { forget } from "./offline";
import { FRESH, write } from "./settings";

interface Advice {
  title: string;
  steps: string[];
}

const ADVICE: Record<string, Advice> = {
  damaged: {
    title: "The model is damaged",
    steps: [
      "Press “Load again”: a file may have been cut short on its way.",
      "If that does not help, the copy on the server is damaged. Whoever runs this site copies it again, or makes it anew with “python -m export web”.",
      "Nothing was judged with the damaged model.",
    ],
  },
  missing: {
    title: "The model could not be loaded",
    steps: [
      "Check the connection of this device, and press “Load again”.",
      "If that does not help, the site was not copied in full: “bundle” and all that is in it belongs beside this page.",
    ],
  },
  schema: {
    title: "The model is of another version",
    steps: [
      "Press “Load again”: the page may be older than the model.",
      "If that does not help, whoever runs this site makes it anew, with the version of the program that made the model: “python -m export web”.",
    ],
  },
  runtime: {
    title: "This browser cannot run the model",
    steps: [
      "Update the browser: Chrome, Edge or Firefox of 2023 or later, Safari 16.4 or later.",
      "On an iPhone in Lockdown Mode, or where WebAssembly is switched off, allow this site to use it.",
      "Press “Load again”.",
    ],
  },
};

/** Shows the page for an error in place of everything else. */
export function trouble(error: Error & { kind?: string }): void {
  const advice = ADVICE[error.kind ?? "runtime"] ?? ADVICE.runtime;
  setText(byId("trouble-title"), advice.title);
  setText(byId("trouble-what"), error.message);
  byId("trouble-steps").replaceChildren(...advice.steps.map((step) => make("li", {}, step)));
  document.body.classList.add("in-trouble");
  byId("trouble").hidden = false;
  byId("trouble-again").addEventListener("click", async () => {
    await forget();
    write(FRESH, true);
    location.reload();
  });
}
