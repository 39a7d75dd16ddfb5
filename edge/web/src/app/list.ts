// The verdicts that were kept: counts, list, chart, one in full, and out of the device as CSV.

import { ScoreChart } from "../../../page/static/parts/chart.js";
import type { Judged } from "./check";
import { csv } from "./csv";
import { byId, make, onChoice, setChildren, setText, setTerms } from "./dom";
import { count, milliseconds, number, share as shareOf, time } from "./format";
import type { Entry, Records } from "./records";
import { canShare, fileName, save, shareFile, stamp } from "./save";
import { message, toast } from "./toast";

const SHOWN = 200; // rows; the file holds all
const CHARTED = 200;
const LOOKS = ["pass", "warn", "fail"] as const;

export class List {
  private filter = "all";
  private readonly rows = new Map<number, HTMLElement>();
  private readonly chart = new ScoreChart(byId("chart"), (id: number) => this.open(id));
  private opened: Entry | null = null;
  private waiting = 0;

  constructor(
    private readonly records: Records,
    private readonly bundle: string,
  ) {
    onChoice(byId("filter"), (filter) => {
      this.filter = filter;
      this.show();
    });
    const file = () => new File([csv(records.all)], fileName(bundle, "verdicts", `${stamp()}.csv`), { type: "text/csv" });
    byId("csv").addEventListener("click", () => save(file(), file().name));
    byId("share").hidden = !canShare(file());
    byId("share").addEventListener("click", () => shareFile(file()).catch((error) => toast(message(error), true)));
    byId("clear").addEventListener("click", () => byId<HTMLDialogElement>("sure").showModal());
    byId("sure-yes").addEventListener("click", async () => {
      byId<HTMLDialogElement>("sure").close();
      await records.clear();
      this.show();
    });
    byId("save-picture").addEventListener("click", () => this.savePicture());
    byId("delete").addEventListener("click", () => this.deleteOpened());
    byId("details").addEventListener("close", () => {
      const image = byId<HTMLImageElement>("kept-picture");
      URL.revokeObjectURL(image.src);
      image.removeAttribute("src");
      this.opened = null;
    });
    this.show();
  }

  async add({ entry, picture }: Judged): Promise<void> {
    try {
      await this.records.add(entry, await picture());
    } catch (error) {
      toast(`The verdict could not be kept: ${message(error)}. Save the list and clear it.`, true);
    }
    // Of many at once, the list is drawn once.
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.show(), 50);
  }

  private show(): void {
    const { all } = this.records;
    setTerms(byId("counts"), LOOKS.map((look) => [look.toUpperCase(), this.counted(look)]));
    LOOKS.forEach((look, i) => (byId("counts").children[i] as HTMLElement).setAttribute("data-look", look));
    const chosen = this.filter === "all" ? all : all.filter((entry) => entry.decision !== "pass");
    const newest = chosen.slice(-SHOWN).reverse();
    const rows = newest.map((entry) => this.rows.get(entry.id) ?? this.row(entry));
    this.rows.clear();
    newest.forEach((entry, i) => this.rows.set(entry.id, rows[i]));
    const none = this.filter === "all" ? "None yet. “Keep” and picked pictures put them here." : "All of them passed.";
    setChildren(byId("list"), rows.length ? rows : [make("li", { class: "empty" }, none)]);
    byId("chart").hidden = all.length < 2;
    this.chart.update(all.slice(-CHARTED));
    for (const id of ["csv", "share", "clear"]) byId<HTMLButtonElement>(id).disabled = !all.length;
  }

  private counted(look: string): string {
    const { all } = this.records;
    const n = all.filter((entry) => entry.decision === look).length;
    return n ? `${count(n)} · ${shareOf(n, all.length)}` : "0";
  }

  private row(entry: Entry): HTMLElement {
    const word = entry.decision.toUpperCase();
    return make(
      "li",
      {},
      make(
        "button",
        { type: "button", class: "open", click: () => this.open(entry.id) },
        make("span", { class: "badge", "data-look": entry.decision }, word),
        make("span", { class: "when" }, `${time(entry.taken)} · ${entry.source}`),
        make("span", { class: "what" }, `score ${number(entry.score)}, p ${number(entry.p_value)}`),
      ),
    );
  }

  private async open(id: number): Promise<void> {
    const entry = this.records.all.find((e) => e.id === id);
    if (!entry) return;
    this.opened = entry;
    setText(byId("details-title"), `Verdict ${entry.id}: ${entry.decision.toUpperCase()}`);
    setTerms(byId("details-facts"), facts(entry));
    const picture = await this.records.picture(id).catch(() => undefined);
    const image = byId<HTMLImageElement>("kept-picture");
    if (picture) image.src = URL.createObjectURL(picture);
    image.alt = `The picture of verdict ${id}, from ${entry.source}`;
    image.hidden = !picture;
    byId("no-kept").hidden = Boolean(picture);
    byId<HTMLButtonElement>("save-picture").disabled = !picture;
    byId<HTMLDialogElement>("details").showModal();
  }

  private async savePicture(): Promise<void> {
    const picture = this.opened && (await this.records.picture(this.opened.id));
    if (!picture || !this.opened) return;
    const { id, source, decision } = this.opened;
    const named = source === "camera" ? fileName(this.bundle, decision, `${id}.png`) : fileName(source);
    save(picture, named);
  }

  private async deleteOpened(): Promise<void> {
    if (this.opened) await this.records.delete(this.opened.id);
    byId<HTMLDialogElement>("details").close();
    this.show();
  }
}

function facts(entry: Entry): [string, string][] {
  return [
    ["Taken", time(entry.taken)],
    ["Source", entry.source],
    ["Frame", entry.verdict],
    ["Score", number(entry.score)],
    ["Threshold", number(entry.threshold)],
    ["Set by", entry.calibration],
    ["p-value", number(entry.p_value)],
    ["Judged in", milliseconds(entry.ms)],
    ["Model", `${entry.bundle}, ${entry.precision}`],
  ];
}
