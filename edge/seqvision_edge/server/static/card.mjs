// The card of a model file: onnxruntime-web does not expose metadata, so the protobuf is parsed here.

const METADATA = 14; // ModelProto.metadata_props
const KEY = "seqvision.card";

/** Return the card in the bytes of a model.onnx. */
export function readCard(bytes) {
  for (const [field, value] of fields(bytes)) {
    if (field !== METADATA) continue;
    const entry = new Map(fields(value));
    const [key, text] = [1, 2].map((part) => new TextDecoder().decode(entry.get(part)));
    if (key === KEY) return JSON.parse(text);
  }
  throw new Error("no model card in it");
}

/** Yield [number, content] of each field of a protobuf message. */
function* fields(bytes) {
  let at = 0;
  const varint = () => {
    let [value, scale, byte] = [0, 1, 0];
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
