// One loaded graph, called by tensor names.

import { type CompiledModel, loadAndCompile, Tensor, type TypedArray } from "@litertjs/core";
import { RuntimeError } from "../core/errors";

export class Graph {
  private constructor(private readonly model: CompiledModel) {}

  /** content: of a .tflite file, already verified. */
  static async load(content: Uint8Array): Promise<Graph> {
    try {
      return new Graph(await loadAndCompile(content, { accelerator: "wasm" }));
    } catch (error) {
      throw new RuntimeError(`The runtime refuses the graph: ${(error as Error).message ?? error}`);
    }
  }

  /** The shape of an input, (1, ...). */
  inputShape(name: string): number[] {
    const details = this.model.getInputDetails().find((d) => d.name === name);
    if (!details) throw new RuntimeError(`The graph has no input called ${name}.`);
    return Array.from(details.shape);
  }

  /** Runs the graph on its inputs by name. Returns: copies of its outputs by name. */
  async run(values: Record<string, Uint8Array | Int32Array | Float32Array>): Promise<Record<string, Float32Array>> {
    const inputs: Record<string, Tensor> = {};
    let outputs: Record<string, Tensor> = {};
    try {
      for (const [name, array] of Object.entries(values)) inputs[name] = new Tensor(array as TypedArray, this.inputShape(name));
      outputs = await this.model.run(inputs);
      return Object.fromEntries(
        Object.entries(outputs).map(([key, tensor]) => [key, tensor.toTypedArray() as Float32Array]),
      );
    } finally {
      // Tensors lie in the memory of the runtime, which no garbage collector sees.
      for (const tensor of [...Object.values(inputs), ...Object.values(outputs)]) tensor.delete();
    }
  }

  delete(): void {
    this.model.delete();
  }
}
