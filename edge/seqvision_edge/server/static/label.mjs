// A label as large as its space allows: it shrinks, then takes more lines, and is never broken
// inside a word.

const MOST_LINES = 4;
const SPACING = 1.06; // the height of a line
const SMALLEST = 20; // pixels; a longer label ends in an ellipsis
const KEEP = 0.62; // one line less is preferred if the text is at most this much smaller

// After such a character a label may be wrapped, as in `seqvision_edge.drawing`.
const BORDERS =
  /(?<=[\s_\-/.,:;|)\]])(?=\S)|(?<=[a-z0-9])(?=[A-Z])|(?=[\u3041-\u30ff\u3400-\u9fff])|(?<=[\u3041-\u30ff\u3400-\u9fff])/u;

const pieces = (text) => text.split(BORDERS).filter(Boolean);

/** Put a text into an element, which may break only between words, after `_` and at `camelCase`. */
export function setText(element, text) {
  const parts = pieces(text).flatMap((piece) => [document.createElement("wbr"), piece]);
  element.replaceChildren(...parts.slice(1));
}

/** Keeps one element's text as large as its space allows, when that changes. */
export class FittedLabel {
  /** `room` returns the available pixels: {width, height, largest}. */
  constructor(element, room) {
    Object.assign(this, { element, room, text: "" });
    this.measure = document.createElement("canvas").getContext("2d");
    new ResizeObserver(() => this.fit()).observe(element.parentElement);
  }

  set(text) {
    if (text === this.text) return;
    this.text = text;
    setText(this.element, text);
    this.element.title = text;
    this.fit();
  }

  fit() {
    const { width, height, largest } = this.room();
    if (!width || !this.text) return;
    const { fontWeight, fontFamily } = getComputedStyle(this.element);
    this.measure.font = `${fontWeight} 100px ${fontFamily}`;
    const parts = pieces(this.text);
    const sizes = [];
    for (let lines = 1; lines <= MOST_LINES; lines++)
      sizes.push(Math.min(this.sizeOf(parts, lines, width), height / lines / SPACING, largest));
    const best = Math.max(...sizes);
    const size = Math.max(SMALLEST, sizes.find((each) => each >= KEEP * best));
    this.element.style.fontSize = `${Math.floor(size)}px`;
    this.element.classList.toggle("cut", best < SMALLEST);
  }

  /** Return the font size in pixels at which the parts fill at most so many lines. */
  sizeOf(parts, most, width) {
    let [low, high] = [0, 400];
    while (high - low > 0.5) {
      const size = (low + high) / 2;
      if (this.linesOf(parts, (100 * width) / size) <= most) low = size;
      else high = size;
    }
    return low;
  }

  linesOf(parts, width) {
    let [lines, line] = [1, ""];
    for (const part of parts) {
      if (this.widthOf(part) > width) return Infinity;
      if (line && this.widthOf(line + part) > width) {
        lines += 1;
        line = "";
      }
      line += part;
    }
    return lines;
  }

  widthOf(text) {
    return this.measure.measureText(text.trimEnd()).width;
  }
}
