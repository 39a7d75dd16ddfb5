// The parts of the page, of which a phone shows one at a time.

/** Returns what goes to a part by its name. */
export function tabs(shown: (view: string) => void): (view: string) => void {
  const buttons = document.querySelectorAll<HTMLButtonElement>(".tabs button");
  const choose = (view: string) => {
    document.body.dataset.view = view;
    for (const button of buttons) {
      if (button.dataset.view === view) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
    }
    window.scrollTo(0, 0);
    shown(view);
  };
  for (const button of buttons) button.addEventListener("click", () => choose(button.dataset.view!));
  return choose;
}

/** Dialogs close by their button, and by a press beside them. */
export function dialogs(): void {
  for (const dialog of document.querySelectorAll("dialog")) {
    dialog.addEventListener("click", (event) => {
      const target = event.target as HTMLElement;
      if (target === dialog || target.hasAttribute("data-close")) dialog.close();
    });
  }
}

