// A runner in JavaScript, for node and browsers, written from docs/model-file.md.

/** Return the card of a model file: onnxruntime-web does not show metadata, so it is read here. */
export function readCard(bytes) {
  for (const [field, value] of fields(bytes)) {
    if (field !== 14) continue; // ModelProto.metadata_props
    const entry = new Map(fields(value));
    const [key, text] = [1, 2].map((part) => new TextDecoder().decode(entry.get(part)));
    if (key === "seqvision.card") return JSON.parse(text);
  }
  throw new Error("no model card in it");
}

/** Yield [number, content] of each field of a protobuf message. */
function* fields(bytes) {
  let at = 0;
  const varint = () => {
    let value = 0, scale = 1, byte;
    do {
      byte = bytes[at++];
      value += (byte & 127) * scale;
      scale *= 128;
    } while (byte > 127);
    return value;
  };
  while (at < bytes.length) {
    const tag = varint();
    const [number, wire] = [Math.floor(tag / 8), tag % 8];
    if (wire === 0) yield [number, varint()];
    else if (wire === 2) {
      const size = varint();
      yield [number, bytes.subarray(at, at + size)];
      at += size;
    } else at += wire === 1 ? 8 : 4;
  }
}

/** One source's memory of the past. */
export class Stream {
  constructor(ort, session, card) {
    Object.assign(this, { ort, session, card });
    this.reset();
  }

  /** Forget the past: at the start, at a gap, after a value that is not finite. */
  reset(batch = 1) {
    this.state = {};
    for (const { name, axes } of this.card.state.tensors) {
      const sizes = axes.map((axis) => (axis === "batch" ? batch : axis === "kept" ? 0 : axis));
      const count = sizes.reduce((product, size) => product * size, 1);
      this.state[name] = new this.ort.Tensor("float32", new Float32Array(count), sizes);
    }
  }

  /** Answer for the newest of the frames, Uint8Array (batch, time, height, width, channels). */
  async push(frames, shape) {
    const feed = { frames: new this.ort.Tensor("uint8", frames, shape), ...this.state };
    const results = await this.session.run(feed);
    // The next states follow the probabilities, in the order of the card.
    const [answer, ...next] = this.session.outputNames.map((name) => results[name]);
    this.card.state.tensors.forEach(({ name }, place) => (this.state[name] = next[place]));
    return Array.from(answer.data);
  }
}

/** Answer a case as answers.py does: the clips in one call, and the first one frame by frame. */
export async function answerCase(ort, model, frames, shape) {
  const [batch, time, ...image] = shape;
  const card = readCard(model);
  const session = await ort.InferenceSession.create(model, { executionProviders: ["wasm"] });
  const stream = new Stream(ort, session, card);
  stream.reset(batch);
  const answers = await stream.push(frames, shape);
  const whole = split(answers, card.labels.length);
  stream.reset();
  const live = [];
  for (const frame of split(frames, frames.length / batch / time).slice(0, time))
    live.push(await stream.push(frame, [1, 1, ...image]));
  await session.release();
  return { whole, live };
}

/** Return an array's parts of one size. */
function split(array, size) {
  const parts = [];
  for (let at = 0; at < array.length; at += size) parts.push(array.slice(at, at + size));
  return parts;
}
