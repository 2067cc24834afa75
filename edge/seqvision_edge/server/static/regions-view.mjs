// The regions of a source, drawn over its picture: a box with name and label each; a click follows
// one.  And a new one, drawn with the mouse: what to write for it is shown.

import { percent } from "./words.mjs";

const SVG = "http://www.w3.org/2000/svg";
const LEAST = 0.02; // of the picture; less is a click
const byId = (id) => document.getElementById(id);

/** Draws boxes over the picture of a device's source. */
export class RegionsView {
  /**
   * @param {Map<string, string>} hues CSS colours of the labels
   * @param {(name: string) => void} onChoose gets the region that is clicked
   */
  constructor(hues, onChoose) {
    Object.assign(this, { hues, onChoose, boxes: new Map(), size: [1, 1] });
    this.svg = byId("regions");
    byId("picture").addEventListener("load", () => this.resize());
    byId("draw-region").addEventListener("click", () => this.arm(!this.armed));
    this.svg.addEventListener("pointerdown", (event) => this.press(event));
    this.svg.addEventListener("pointermove", (event) => this.drag(event));
    this.svg.addEventListener("pointerup", (event) => this.release(event));
  }

  /** Show these views, [{name, outline}]; `isDevice` offers to draw another one. */
  begin(views, isDevice) {
    this.svg.replaceChildren();
    this.boxes = new Map(views.map((view) => [view.name, this.box(view)]));
    this.svg.classList.toggle("none", !isDevice);
    byId("draw-region").hidden = !isDevice;
    byId("region-text").textContent = "";
    byId("region-text").hidden = true;
    this.arm(false);
    this.resize();
  }

  /** Show which region is followed, and the label of each; `answers` maps names to predictions. */
  show(followed, answers) {
    for (const [name, { group, text, plate }] of this.boxes) {
      const answer = answers.get(name);
      const label = answer ? `${answer.unsure ? "unsure" : answer.label} ${percent(answer.probability)}` : "…";
      const words = `${name}: ${label}`;
      if (text.textContent !== words) {
        text.textContent = words;
        plate.setAttribute("width", this.unit * (0.62 * words.length + 1));
      }
      group.style.setProperty("--hue", this.hues.get(answer?.unsure ? null : answer?.label) ?? "#b0bac8");
      group.classList.toggle("followed", name === followed);
    }
  }

  get unit() {
    return Math.max(...this.size) / 42;
  }

  box({ name, outline }) {
    const group = document.createElementNS(SVG, "g");
    const [shape, plate, text] = ["polygon", "rect", "text"].map((kind) => document.createElementNS(SVG, kind));
    group.append(shape, plate, text);
    group.setAttribute("tabindex", "0");
    group.setAttribute("role", "button");
    group.addEventListener("click", () => this.armed || this.onChoose(name));
    group.addEventListener("keydown", ({ key }) => key === "Enter" && this.onChoose(name));
    this.svg.append(group);
    return { group, shape, plate, text, outline };
  }

  resize() {
    const { naturalWidth: width, naturalHeight: height } = byId("picture");
    if (!width || (this.size[0] === width && this.size[1] === height && this.placed === this.boxes)) return;
    this.size = [width, height];
    this.placed = this.boxes;
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const unit = this.unit;
    for (const { shape, plate, text, outline } of this.boxes.values()) {
      const points = outline.map(([x, y]) => [x * width, y * height]);
      shape.setAttribute("points", points.map((point) => point.join(",")).join(" "));
      const left = Math.min(...points.map(([x]) => x));
      const top = Math.min(...points.map(([, y]) => y));
      const above = top > 1.8 * unit ? top - 1.7 * unit : top;
      for (const [key, value] of Object.entries({ x: left, y: above, height: 1.7 * unit, rx: unit / 4 }))
        plate.setAttribute(key, value);
      plate.setAttribute("width", unit * (0.62 * text.textContent.length + 1));
      for (const [key, value] of Object.entries({ x: left + unit / 2, y: above + 1.2 * unit, "font-size": unit }))
        text.setAttribute(key, value);
    }
  }

  // Drawing a new one --------------------------------------------------------------------------

  arm(armed) {
    this.armed = armed;
    this.svg.classList.toggle("armed", armed);
    byId("draw-region").ariaPressed = String(armed);
    this.drawn?.remove();
    this.drawn = this.from = null;
  }

  /** Return where a pointer is, as fractions of the picture. */
  at({ clientX, clientY }) {
    const point = new DOMPoint(clientX, clientY).matrixTransform(this.svg.getScreenCTM().inverse());
    return [point.x / this.size[0], point.y / this.size[1]].map((share) => Math.min(1, Math.max(0, share)));
  }

  press(event) {
    if (!this.armed) return;
    this.svg.setPointerCapture(event.pointerId);
    this.from = this.at(event);
    this.drawn ??= this.svg.appendChild(document.createElementNS(SVG, "rect"));
    this.drawn.setAttribute("class", "new");
    this.drag(event);
  }

  drag(event) {
    if (!this.from) return;
    const [x1, y1, x2, y2] = this.corners(event);
    const [width, height] = this.size;
    const box = { x: x1 * width, y: y1 * height, width: (x2 - x1) * width, height: (y2 - y1) * height };
    for (const [key, value] of Object.entries(box)) this.drawn.setAttribute(key, value);
  }

  corners(event) {
    const [a, b] = [this.from, this.at(event)];
    return [Math.min(a[0], b[0]), Math.min(a[1], b[1]), Math.max(a[0], b[0]), Math.max(a[1], b[1])];
  }

  release(event) {
    if (!this.from) return;
    this.drag(event);
    const corners = this.corners(event);
    this.from = null;
    if (corners[2] - corners[0] < LEAST || corners[3] - corners[1] < LEAST) return this.arm(true);
    const numbers = corners.map((share) => share.toFixed(3)).join(",");
    const name = `region ${this.boxes.size + 1}`;
    byId("region-text").hidden = false;
    byId("region-text").textContent =
      `--region "${name}=${numbers}"   or in the YAML file:   regions: {"${name}": [${numbers}]}`;
    this.armed = false;
    this.svg.classList.remove("armed");
    byId("draw-region").ariaPressed = "false";
  }
}
