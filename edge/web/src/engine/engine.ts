// The page's side of the worker.

import type { Answer, Failure, Name, Questions } from "./messages";

/** An error from the worker; `name` and `kind` are those it had there. */
export class EngineError extends Error {
  readonly kind?: string;
  constructor(failure: Failure) {
    super(failure.message);
    this.name = failure.name;
    this.kind = failure.kind;
  }
}

export class Engine {
  private readonly worker = new Worker(new URL("./worker.ts", import.meta.url));
  private readonly waiting = new Map<number, { resolve: (answer: never) => void; reject: (error: Error) => void }>();
  private count = 0;

  constructor() {
    this.worker.addEventListener("message", ({ data }: MessageEvent<Answer>) => {
      const asked = this.waiting.get(data.id);
      this.waiting.delete(data.id);
      if ("failure" in data) asked?.reject(new EngineError(data.failure));
      else asked?.resolve(data.answer as never);
    });
    // The script itself could not be loaded, or threw outside of a question: nothing comes any more.
    this.worker.addEventListener("error", (event) => {
      const failure = { name: "RuntimeError", message: event.message || "The engine could not be loaded." };
      for (const { reject } of this.waiting.values()) reject(new EngineError(failure));
      this.waiting.clear();
    });
  }

  ask<N extends Name>(name: N, ask: Questions[N]["ask"], transfer: Transferable[] = []): Promise<Questions[N]["answer"]> {
    const id = ++this.count;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.worker.postMessage({ id, name, ask }, transfer);
    });
  }
}
