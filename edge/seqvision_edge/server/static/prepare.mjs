// One picture → one step, or one sequence of steps, as the model's input: the browser's
// `seqvision_edge.preprocess` and `seqvision_edge.still_images`, pixel for pixel.

import { resize, roundEven } from "./resize.mjs";

/** Return the pixels of a canvas, RGBA, as an image of three channels. */
export function rgbOf({ data, width, height }) {
  const out = new Uint8Array(width * height * 3);
  for (let from = 0, to = 0; from < data.length; from += 4) {
    out[to++] = data[from];
    out[to++] = data[from + 1];
    out[to++] = data[from + 2];
  }
  return { data: out, height, width, channels: 3 };
}

/** Return the model's input for a picture: `{data, steps}`, steps × h × w × c values. */
export function stepsOf(rgb, card) {
  if (card.sequence.kind === "video") return { data: prepare(rgb, card.image).data, steps: 1 };
  return cut(sized(rgb, card.image, card.sequence), card.image, card.sequence);
}

/** Return an RGB image as one step of the size, the fit and the colours of `spec`. */
export function prepare(rgb, spec) {
  const whole = spec.fit === "crop" ? centre(rgb, spec.width / spec.height) : rgb;
  const sized = spec.fit === "pad" ? padded(whole, spec) : resize(whole, spec.width, spec.height);
  return spec.channels === 1 ? grey(sized) : sized;
}

/** Return the largest centred part whose width / height is `aspect`. */
function centre(image, aspect) {
  const width = Math.min(image.width, Math.max(1, roundEven(image.height * aspect)));
  const height = Math.min(image.height, Math.max(1, roundEven(image.width / aspect)));
  const left = Math.floor((image.width - width) / 2);
  const top = Math.floor((image.height - height) / 2);
  return part(image, left, top, width, height);
}

/** Return the whole image, its aspect ratio kept, centred between black bars. */
function padded(image, spec) {
  const scale = Math.min(spec.width / image.width, spec.height / image.height);
  const width = Math.min(spec.width, Math.max(1, roundEven(image.width * scale)));
  const height = Math.min(spec.height, Math.max(1, roundEven(image.height * scale)));
  const left = Math.floor((spec.width - width) / 2);
  const top = Math.floor((spec.height - height) / 2);
  // A part outside the image is black.
  return part(resize(image, width, height), -left, -top, spec.width, spec.height);
}

function grey({ data, height, width }) {
  const out = new Uint8Array(height * width);
  for (let at = 0; at < out.length; at++)
    out[at] = (9798 * data[3 * at] + 19235 * data[3 * at + 1] + 3735 * data[3 * at + 2] + 16384) >> 15;
  return { data: out, height, width, channels: 1 };
}

/** Return a rectangle of an image; outside of the image it is black. */
function part(image, left, top, width, height) {
  const { channels } = image;
  const out = new Uint8Array(height * width * channels);
  const [from, to] = [Math.max(0, left), Math.min(image.width, left + width)];
  for (let y = Math.max(0, -top); y < Math.min(height, image.height - top); y++) {
    const row = (y + top) * image.width;
    const line = image.data.subarray((row + from) * channels, (row + to) * channels);
    out.set(line, (y * width + from - left) * channels);
  }
  return { data: out, height, width, channels };
}

/** Return a still image at the size at which it is cut. */
function sized(rgb, spec, sequence) {
  const { kind } = sequence;
  if (kind === "patches")
    return prepare(rgb, {
      ...spec,
      height: sequence.rows * spec.height,
      width: sequence.columns * spec.width,
    });
  if (kind === "channels") return prepare(rgb, { ...spec, channels: 3 });
  const size = isAlongHeight(sequence)
    ? { width: spec.width, height: Math.max(1, roundEven((rgb.height * spec.width) / rgb.width)) }
    : { height: spec.height, width: Math.max(1, roundEven((rgb.width * spec.height) / rgb.height)) };
  return prepare(rgb, { ...spec, ...size, fit: "stretch" });
}

/** Return the steps of a sized image, `{data, steps}`. */
export function cut(image, spec, sequence) {
  const parts = sequence.kind === "channels" ? channelsOf(image) : cells(image, spec, sequence)
    .map(([left, top]) => part(image, left, top, spec.width, spec.height).data);
  const data = new Uint8Array(parts.length * spec.height * spec.width * spec.channels);
  parts.forEach((each, number) => data.set(each, number * each.length));
  return { data, steps: parts.length };
}

/** Return the left top corners of the steps, [left, top]. */
function cells(image, spec, sequence) {
  if (sequence.kind === "patches") {
    const corners = [];
    for (let row = 0; row < sequence.rows; row++)
      for (let index = 0; index < sequence.columns; index++) {
        const back = sequence.order === "snake" && row % 2;
        const column = back ? sequence.columns - 1 - index : index;
        corners.push([column * spec.width, row * spec.height]);
      }
    return corners;
  }
  const down = isAlongHeight(sequence);
  const [length, size] = down ? [image.height, spec.height] : [image.width, spec.width];
  const stride = sequence.kind === "windows" ? sequence.stride : size;
  const count = 1 + Math.max(0, Math.ceil((length - size) / stride));
  return chosen(count, sequence).map((number) =>
    down ? [0, number * stride] : [number * stride, 0],
  );
}

function chosen(count, { steps, longer }) {
  const all = Array.from({ length: Math.min(count, steps) }, (_, number) => number);
  if (count <= steps) return all;
  // A single step at equal distances is the first one.
  if (longer === "subsample")
    return all.map((number) => (steps > 1 ? roundEven((number * (count - 1)) / (steps - 1)) : 0));
  const first = roundEven((count - steps) / 2);
  return all.map((number) => first + number);
}

function channelsOf({ data, height, width }) {
  return [0, 1, 2].map((channel) =>
    Uint8Array.from({ length: height * width }, (_, at) => data[3 * at + channel]),
  );
}

function isAlongHeight(sequence) {
  return sequence.kind === "windows" ? sequence.along === "height" : sequence.kind === "rows";
}
