// The resizing of OpenCV on 8-bit pixels, with the same integer arithmetic and rounding.

/**
 * An image: `data` holds height × width × channels values of 0 to 255, row by row.
 * @typedef {{data: Uint8Array | Uint8ClampedArray, height: number, width: number, channels: number}} Image
 */

const WEIGHT = 2048; // 11 bits
const LEAST_SHARE = 1e-3;

/** Round to the nearest integer, halves to even. */
export function roundEven(value) {
  const below = Math.floor(value);
  const rest = value - below;
  if (rest !== 0.5) return Math.round(value);
  return below % 2 ? below + 1 : below;
}

/** Return the image at a size, as `seqvision_edge.preprocess._resize` does. */
export function resize(image, width, height) {
  if (image.width === width && image.height === height) return image;
  if (image.width >= 2 * width && image.height >= 2 * height)
    return halved(linear(image, 2 * width, 2 * height));
  if (image.width >= width && image.height >= height) return shrunk(image, width, height);
  return linear(image, width, height);
}

/** INTER_LINEAR: four neighbours, weights of 11 bits. */
export function linear(image, width, height) {
  if (image.width === width && image.height === height) return image;
  // At exactly half the size OpenCV itself averages.
  if (image.width === 2 * width && image.height === 2 * height) return halved(image);
  const { data, channels } = image;
  const across = weights(image.width, width, true);
  const down = weights(image.height, height, false);
  const stride = image.width * channels;
  const line = (row) => {
    const out = new Int32Array(width * channels);
    for (let x = 0; x < width; x++) {
      const left = row * stride + across.at[x] * channels;
      const right = across.second[x] ? left + channels : left;
      for (let c = 0; c < channels; c++)
        out[x * channels + c] =
          data[left + c] * across.first[x] + (across.second[x] ? data[right + c] * across.second[x] : 0);
    }
    return out;
  };
  const lines = new Map(); // of the two source rows in use
  const out = new Uint8Array(height * width * channels);
  for (let y = 0; y < height; y++) {
    const rows = [down.at[y], down.at[y] + 1].map((row) => Math.min(Math.max(row, 0), image.height - 1));
    for (const row of lines.keys()) if (!rows.includes(row)) lines.delete(row);
    for (const row of rows) if (!lines.has(row)) lines.set(row, line(row));
    const [above, below] = rows.map((row) => lines.get(row));
    const [first, second] = [down.first[y], down.second[y]];
    const start = y * width * channels;
    for (let x = 0; x < above.length; x++)
      out[start + x] =
        (((first * (above[x] >> 4)) >> 16) + ((second * (below[x] >> 4)) >> 16) + 2) >> 2;
  }
  return { data: out, height, width, channels };
}

/** The source index of each target pixel, and the weights of that pixel and of the next one. */
function weights(source, target, keepInside) {
  const scale = 1 / (target / source);
  const [at, first, second] = [0, 0, 0].map(() => new Int32Array(target));
  for (let index = 0; index < target; index++) {
    let share = Math.fround((index + 0.5) * scale - 0.5);
    let from = Math.floor(share);
    share = Math.fround(share - from);
    if (keepInside && from < 0) [from, share] = [0, 0];
    if (keepInside && from >= source - 1) [from, share] = [source - 1, 0];
    at[index] = from;
    first[index] = roundEven(Math.fround(Math.fround(1 - share) * WEIGHT));
    second[index] = roundEven(Math.fround(share * WEIGHT));
  }
  return { at, first, second };
}

/** The mean of each 2 × 2 pixels. */
function halved({ data, height, width, channels }) {
  const stride = width * channels;
  const out = new Uint8Array((height / 2) * (width / 2) * channels);
  let index = 0;
  for (let y = 0; y < height; y += 2)
    for (let x = 0; x < width; x += 2)
      for (let c = 0; c < channels; c++) {
        const at = y * stride + x * channels + c;
        out[index++] =
          (data[at] + data[at + channels] + data[at + stride] + data[at + stride + channels] + 2) >> 2;
      }
  return { data: out, height: height / 2, width: width / 2, channels };
}

/** INTER_AREA: the mean over the area of a target pixel, in float32. */
export function shrunk(image, width, height) {
  const [sx, sy] = [1 / (width / image.width), 1 / (height / image.height)];
  if (isWhole(sx) && isWhole(sy)) return boxes(image, width, height, Math.round(sx), Math.round(sy));
  const { data, channels } = image;
  const across = shares(image.width, width, sx);
  const down = shares(image.height, height, sy);
  const size = width * channels;
  const out = new Uint8Array(height * size);
  const fround = Math.fround;
  for (let y = 0; y < height; y++) {
    let sum = null;
    for (const [row, beta] of down[y]) {
      const line = new Float32Array(size);
      for (let x = 0; x < width; x++)
        for (const [column, alpha] of across[x]) {
          const at = (row * image.width + column) * channels;
          for (let c = 0; c < channels; c++)
            line[x * channels + c] = fround(line[x * channels + c] + fround(data[at + c] * alpha));
        }
      if (sum === null) sum = line.map((value) => fround(value * beta));
      else for (let x = 0; x < size; x++) sum[x] = fround(sum[x] + fround(line[x] * beta));
    }
    for (let x = 0; x < size; x++) out[y * size + x] = Math.min(255, roundEven(sum[x]));
  }
  return { data: out, height, width, channels };
}

/** The mean over boxes of whole pixels. */
function boxes({ data, width: stride, channels }, width, height, wide, high) {
  const scale = Math.fround(1 / (wide * high));
  const out = new Uint8Array(height * width * channels);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      for (let c = 0; c < channels; c++) {
        let sum = 0;
        for (let row = y * high; row < (y + 1) * high; row++)
          for (let column = x * wide; column < (x + 1) * wide; column++)
            sum += data[(row * stride + column) * channels + c];
        out[(y * width + x) * channels + c] = roundEven(Math.fround(sum * scale));
      }
  return { data: out, height, width, channels };
}

/** For each target pixel the source pixels that it covers, [index, fraction]. */
function shares(source, target, scale) {
  return Array.from({ length: target }, (_, index) => {
    const from = index * scale;
    const to = from + scale;
    const cell = Math.min(scale, source - from);
    const last = Math.min(Math.floor(to), source - 1);
    const first = Math.min(Math.ceil(from), last);
    const found = [];
    if (first - from > LEAST_SHARE) found.push([first - 1, Math.fround((first - from) / cell)]);
    for (let at = first; at < last; at++) found.push([at, Math.fround(1 / cell)]);
    if (to - last > LEAST_SHARE)
      found.push([last, Math.fround(Math.min(Math.min(to - last, 1), cell) / cell)]);
    return found;
  });
}

function isWhole(value) {
  return Math.abs(value - Math.round(value)) < Number.EPSILON;
}
