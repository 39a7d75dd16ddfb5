// The one word that is read at arm's length: the panel of the station's page.

import { VerdictPanel } from "../../../page/static/parts/verdict.js";
import type { Label } from "../core/calibration";
import type { Verdict } from "../engine/runner";
import { number } from "./format";

export interface Shown {
  look: string;
  word: string;
  under: string;
  decision: string | null;
}

export class Panel {
  private readonly panel = new VerdictPanel();

  show(shown: Shown): void {
    this.panel.show(shown);
  }

  /** local: the threshold was set on this device. */
  verdict(verdict: Verdict, decision: Label, local: boolean): void {
    const word = decision.toUpperCase();
    const threshold = `${local ? "own threshold" : "threshold"} ${number(verdict.threshold)}`;
    const under = `score ${number(verdict.score)}, ${threshold} · p ${number(verdict.pValue)}`;
    this.show({ look: decision, word, under, decision: word });
  }
}
