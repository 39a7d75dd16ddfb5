// One line that says what came of a press, over the page and not in it: nothing jumps.

import { byId, setText } from "./dom.js";

let timer = 0;

export function toast(text, bad = false) {
  const line = byId("toast");
  // An open dialog lies above everything that is not in it.
  const above = document.querySelector("dialog[open]") ?? document.body;
  if (line.parentElement !== above) above.append(line);
  setText(line, text);
  line.classList.toggle("bad", bad);
  line.classList.add("shown");
  clearTimeout(timer);
  timer = setTimeout(() => line.classList.remove("shown"), bad ? 8000 : 4000);
}
