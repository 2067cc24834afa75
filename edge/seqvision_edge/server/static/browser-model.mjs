// The model run in this browser: onnxruntime-web, with the state carried as the card specifies.

import { readCard } from "./card.mjs";

/** A loaded model and the state of one stream. */
export class BrowserModel {
  /** Load the bytes of a model.onnx. */
  static async load(bytes) {
    const ort = await import("/page/vendor/ort.wasm.min.mjs");
    ort.env.wasm.numThreads = 1; // more need headers that this page does not set
    ort.env.wasm.wasmPaths = new URL("/page/vendor/", location.href).href;
    const session = await ort.InferenceSession.create(bytes, { executionProviders: ["wasm"] });
    return new BrowserModel(ort, session, readCard(bytes));
  }

  constructor(ort, session, card) {
    Object.assign(this, { ort, session, card });
    this.reset();
  }

  /** Reset the state. */
  reset() {
    this.seen = 0;
    this.state = {};
    for (const { name, axes } of this.card.state.tensors) {
      const sizes = axes.map((axis) => (axis === "batch" ? 1 : typeof axis === "number" ? axis : 0));
      const count = sizes.reduce((product, size) => product * size, 1);
      this.state[name] = new this.ort.Tensor("float32", new Float32Array(count), sizes);
    }
  }

  get isWarm() {
    const { sequence } = this.card;
    return sequence.kind !== "video" || this.seen >= sequence.frames;
  }

  /**
   * Return the prediction for the newest of some steps; null, after a reset, if it is not finite.
   * @returns {Promise<number[] | null>} probabilities in the order of the card's labels
   */
  async push(data, steps) {
    const { height, width, channels } = this.card.image;
    const frames = new this.ort.Tensor("uint8", data, [1, steps, height, width, channels]);
    const results = await this.session.run({ frames, ...this.state });
    // The next states follow the probabilities, in the order of the card.
    const [answer, ...next] = this.session.outputNames.map((name) => results[name]);
    if (![answer, ...next].every(({ data: values }) => values.every(Number.isFinite))) {
      this.reset();
      return null;
    }
    this.card.state.tensors.forEach(({ name }, index) => (this.state[name] = next[index]));
    this.seen += steps;
    return Array.from(answer.data);
  }

  async close() {
    await this.session.release();
  }
}
