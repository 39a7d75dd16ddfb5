// Small helpers to make and change elements. Text is always text, never HTML.

export const byId = (id) => document.getElementById(id);

/** An element. props: attributes; those that are functions are listeners. */
export function make(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** Sets text only where it differs: a screen reader, a selection are left alone. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Makes the children of an element those given, and leaves alone what is in its place already. */
export function setChildren(element, children) {
  children.forEach((child, i) => {
    if (element.children[i] !== child) element.insertBefore(child, element.children[i] ?? null);
  });
  while (element.children.length > children.length) element.lastElementChild.remove();
}

/** Calls back with the value of a group of radio buttons whenever it changes. */
export function onChoice(fieldset, callback) {
  fieldset.addEventListener("change", (event) => callback(event.target.value));
}

/** Fills a <dl>. rows: [term, text] each. */
export function setTerms(list, rows) {
  if (list.children.length !== rows.length) {
    list.replaceChildren(...rows.map(() => make("div", {}, make("dt"), make("dd"))));
  }
  rows.forEach(([term, text], i) => {
    const [dt, dd] = list.children[i].children;
    setText(dt, term);
    setText(dd, text);
  });
}
