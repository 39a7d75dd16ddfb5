// The helpers of the station's page, with types.

import * as shared from "../../../page/static/parts/dom.js";

export const byId = <T extends HTMLElement = HTMLElement>(id: string): T => {
  const element = shared.byId(id);
  if (!element) throw new Error(`no element #${id}`);
  return element as T;
};

type Prop = string | number | boolean | null | undefined | ((event: Event) => void);

export const make = shared.make as (
  tag: string,
  props?: Record<string, Prop>,
  ...children: (Node | string)[]
) => HTMLElement;
export const setText = shared.setText as (element: HTMLElement, text: string) => void;
export const setChildren = shared.setChildren as (element: HTMLElement, children: Element[]) => void;
export const setTerms = shared.setTerms as (list: HTMLElement, rows: [string, string][]) => void;
export const onChoice = shared.onChoice as (fieldset: HTMLElement, callback: (value: string) => void) => void;

export const context = (canvas: HTMLCanvasElement): CanvasRenderingContext2D => {
  const drawn = canvas.getContext("2d");
  if (!drawn) throw new Error("this browser has no 2-D canvas");
  return drawn;
};
