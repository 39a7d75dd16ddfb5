// Asks the page's server again and again, one request at a time, and rests while nobody looks.

const PATIENCE = 4000; // milliseconds that an answer may take

/** A request that went wrong. status: of HTTP, 0 where no answer came. */
export class RequestError extends Error {
  constructor(message, status = 0) {
    super(message);
    this.status = status;
  }
}

/** The JSON of an answer. Raises RequestError with one line for a person. */
export async function ask(url, options = {}) {
  let response, content;
  try {
    response = await fetch(url, { ...options, signal: AbortSignal.timeout(PATIENCE) });
    content = await response.json();
  } catch (error) {
    if (response && !response.ok) throw new RequestError(response.statusText, response.status);
    throw new RequestError("the page's server does not answer");
  }
  if (!response.ok) throw new RequestError(content.error ?? response.statusText, response.status);
  return content;
}

/** This moment by two clocks: one of them stands still while a computer sleeps, one may be set. */
export const now = () => ({ steady: performance.now(), wall: Date.now() });

/** Seconds since a moment, by the clock that says more. */
export function since(moment) {
  const { steady, wall } = now();
  return Math.max(0, steady - moment.steady, wall - moment.wall) / 1000;
}

/**
 * url: gives the address. every: milliseconds from one answer to the next request.
 * answered: gets the JSON and when it was asked for, as by `now`; failed: the RequestError.
 * Returns a function that asks at once.
 */
export function poll(url, every, answered, failed) {
  let timer = 0;
  let asking = false;
  let again = false;

  async function once() {
    clearTimeout(timer);
    if (asking) {
      again = true;
      return;
    }
    if (document.hidden) return;
    asking = true;
    const asked = now();
    try {
      const answer = await ask(url());
      if (!document.hidden) answered(answer, asked);
    } catch (error) {
      if (!(error instanceof RequestError)) throw error;
      if (!document.hidden) failed(error);
    } finally {
      asking = false;
      timer = setTimeout(once, again ? 0 : every);
      again = false;
    }
  }

  document.addEventListener("visibilitychange", once);
  window.addEventListener("pageshow", once);
  once();
  return once;
}
