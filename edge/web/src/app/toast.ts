import { toast as shared } from "../../../page/static/parts/toast.js";

/** One line over the page. bad: red, and longer. */
export const toast = shared as (text: string, bad?: boolean) => void;

export const message = (error: unknown): string => (error instanceof Error ? error.message : String(error));
