// Probabilities over time as lines, events as bars above them, and a movable cursor.

import { setText } from "./label.mjs";
import { clock } from "./words.mjs";

const LIVE_SECONDS = 30;
const LANE = 30; // pixels for the events
const FOOT = 20;
const EDGE = 8; // half of the slider's thumb
const byId = (id) => document.getElementById(id);

/** Draws a history, and reports when the user chooses a time. */
export class TimelineView {
  /**
   * @param {object} card the model's
   * @param {Map<string, string>} hues CSS colours of the labels
   * @param {(time: number | null) => void} onChoose null is the end of live input
   */
  constructor(card, hues, onChoose) {
    Object.assign(this, { card, hues, onChoose });
    this.longest = Math.max(1, 2.5 / (card.sequence.fps ?? 1)); // seconds between two predictions
    this.canvas = byId("chart");
    this.scrub = byId("scrub");
    this.scrub.addEventListener("input", () => this.choose(this.scrub.valueAsNumber));
    byId("legend").replaceChildren(...card.labels.map((label) => named(label, hues)));
  }

  choose(time) {
    this.onChoose(this.live && time >= this.end - 0.05 ? null : time);
  }

  /** Draw; `cursor` null is now, and `end` the current time, or the length of a file. */
  show(history, { live, end, cursor, rows = new Map() }) {
    Object.assign(this, { live, end, rows });
    this.range = live ? this.halfMinute(history, end, cursor) : [0, Math.max(end, 0.1)];
    const at = cursor ?? end;
    const { scrub } = this;
    scrub.disabled = !history?.newest;
    [scrub.min, scrub.max] = this.range.map((value) => value.toFixed(3));
    scrub.value = at.toFixed(3);
    scrub.setAttribute("aria-valuetext", ariaText(history, at, live && cursor === null));
    this.draw(history);
  }

  /** Return the half minute of live input that is drawn: the newest, or the cursor's. */
  halfMinute(history, end, cursor) {
    const first = history?.first ?? 0;
    const from = Math.max(first, end - LIVE_SECONDS);
    const begin = cursor !== null && cursor < from ? Math.max(first, cursor - LIVE_SECONDS / 4) : from;
    return [begin, begin + LIVE_SECONDS];
  }

  draw(history) {
    const { canvas } = this;
    const ratio = window.devicePixelRatio || 1;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (!width) return;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    const [from, to] = this.range;
    const plot = {
      context, from, to,
      x: (time) => EDGE + ((time - from) / (to - from)) * (width - 2 * EDGE),
      y: (share) => LANE + 6 + (1 - share) * (height - LANE - 6 - FOOT),
      width, height,
      colour: this.colour,
    };
    this.grid(plot);
    if (!history) return;
    if (this.rows.size) return this.lanes(plot);
    const answers = history.between(from, to);
    for (const label of this.card.labels) this.line(plot, answers, label, history.about);
    const events = history.events.filter(({ start, end }) => end >= from && start <= to);
    events.forEach((event, number) => this.event(plot, event, events[number + 1]));
  }

  grid({ context, from, to, x, y, width, colour }) {
    context.lineWidth = 1;
    context.strokeStyle = colour("--line");
    for (const share of this.rows.size ? [0] : [0, 0.5, 1]) {
      context.beginPath();
      context.moveTo(EDGE, y(share));
      context.lineTo(width - EDGE, y(share));
      context.stroke();
    }
    context.setLineDash([3, 5]);
    context.strokeStyle = colour("--quiet");
    context.beginPath();
    context.moveTo(EDGE, y(this.card.decision.on_threshold));
    context.lineTo(width - EDGE, y(this.card.decision.on_threshold));
    if (this.card.sequence.kind === "video" && !this.rows.size) context.stroke();
    context.setLineDash([]);
    context.fillStyle = colour("--quiet");
    context.font = `12px ${getComputedStyle(document.documentElement).fontFamily}`;
    context.textAlign = "center";
    const step = niceStep((to - from) / Math.max(2, width / 95));
    for (let time = Math.ceil(Math.max(0, from) / step) * step; time <= to; time += step) {
      const text = clock(time).replace(/\.0$/, "");
      const half = context.measureText(text).width / 2;
      if (x(time) - half > 0 && x(time) + half < width) context.fillText(text, x(time), y(0) + 15);
    }
  }

  /** Draw a row of events for each region, as many as there is room for. */
  lanes(plot) {
    const { context, from, to, x, width, height, colour } = plot;
    const tall = Math.max(16, Math.min(34, (height - FOOT - 4) / this.rows.size));
    const family = getComputedStyle(document.documentElement).fontFamily;
    let top = 2;
    for (const [name, history] of this.rows) {
      if (top + tall > height - FOOT + 1) return;
      context.fillStyle = colour("--line");
      context.globalAlpha = 0.5;
      context.fillRect(EDGE, top, width - 2 * EDGE, tall - 4);
      context.globalAlpha = 1;
      for (const { label, start, end } of history.events) {
        if (end < from || start > to) continue;
        const [left, right] = [x(Math.max(start, from)), x(Math.min(end, to))];
        const wide = Math.max(4, right - left);
        context.fillStyle = colour(this.hues.get(label));
        context.beginPath();
        context.roundRect(left, top, wide, tall - 4, Math.min(5, wide / 2));
        context.fill();
        context.font = `600 11px ${family}`;
        context.textAlign = "left";
        const isInside = context.measureText(label).width + 10 <= wide;
        if (isInside) context.fillStyle = colour("--on-event");
        context.fillText(label, isInside ? left + 5 : right + 4, top + tall / 2 + 2);
      }
      context.font = `12px ${family}`;
      context.textAlign = "right";
      context.fillStyle = colour("--quiet");
      context.fillText(name, width - EDGE - 6, top + tall / 2 + 2);
      top += tall;
    }
  }

  line({ context, from, to, x, y, colour }, answers, label, about) {
    const isBackground = label === this.card.decision.background;
    context.beginPath();
    let before = null;
    for (const answer of answers) {
      const [time, share] = [about(answer), answer.probabilities?.[label]];
      if (share === undefined) continue;
      // A line over a gap would show data that does not exist.
      if (before === null || time - before > this.longest) context.moveTo(x(time), y(share));
      else context.lineTo(x(time), y(share));
      before = time;
    }
    context.strokeStyle = colour(this.hues.get(label));
    context.globalAlpha = isBackground ? 0.55 : 1;
    context.lineWidth = (isBackground ? 1.25 : 2.25) * (to - from > 60 ? 0.7 : 1);
    context.lineJoin = "round";
    context.stroke();
    context.globalAlpha = 1;
  }

  /** Draw an event, and its name inside, or next to it up to the next one. */
  event({ context, from, to, x, y, width, colour }, { label, start, end }, next) {
    const [left, right] = [x(Math.max(start, from)), x(Math.min(end, to))];
    const wide = Math.max(4, right - left);
    context.fillStyle = colour(this.hues.get(label));
    context.globalAlpha = 0.1;
    context.fillRect(left, y(1), wide, y(0) - y(1));
    context.globalAlpha = 1;
    context.beginPath();
    context.roundRect(left, 3, wide, LANE - 8, Math.min(6, wide / 2));
    context.fill();
    context.font = `600 12px ${getComputedStyle(document.documentElement).fontFamily}`;
    context.textAlign = "left";
    const length = context.measureText(label).width;
    const isInside = length + 12 <= wide;
    const space = (next ? x(next.start) : width) - right - 10;
    if (isInside) context.fillStyle = colour("--on-event");
    if (isInside || length <= space) context.fillText(label, isInside ? left + 6 : right + 5, 18);
  }

  /** Return the value of a CSS colour or variable in this theme. */
  colour = (value) => {
    const probe = (this.probe ??= byId("chart"));
    probe.style.color = value.startsWith("--") ? `var(${value})` : value;
    return getComputedStyle(probe).color;
  };
}

function named(label, hues) {
  const item = document.createElement("li");
  const swatch = document.createElement("span");
  swatch.className = "swatch";
  swatch.style.setProperty("--hue", hues.get(label));
  const text = document.createElement("span");
  setText(text, label);
  item.append(swatch, text);
  return item;
}

function ariaText(history, time, isNow) {
  const answer = history?.at(time);
  const unsure = answer?.unsure ? "unsure, " : "";
  const what = answer ? `, ${unsure}${answer.label}, ${Math.round(100 * answer.probability)} percent` : "";
  return isNow ? "now" : `${clock(time)}${what}`;
}

function niceStep(least) {
  for (const step of [0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600]) if (step >= least) return step;
  return 1800;
}
