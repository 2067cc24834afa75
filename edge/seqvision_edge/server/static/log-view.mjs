// The list of events; each one links to its time.

import { setText } from "./label.mjs";
import { clock, percent } from "./words.mjs";

const MOST_ROWS = 200;
const byId = (id) => document.getElementById(id);

/** Shows the events of a history. */
export class LogView {
  constructor(hues, onChoose) {
    Object.assign(this, { hues, onChoose });
    this.clear();
  }

  clear() {
    byId("log").replaceChildren();
    this.count(0);
    byId("event").textContent = "";
  }

  /** Add an event: a live one on top, and announced by screen readers; those of a file in order. */
  add(event, history, live) {
    const log = byId("log");
    if (live) log.prepend(this.row(event, history));
    else log.append(this.row(event, history));
    while (live && log.children.length > MOST_ROWS) log.lastChild.remove();
    this.count(history.events.length);
    if (live) byId("event").textContent = `Event: ${event.view ? `${event.view}, ` : ""}${event.label}, ${percent(event.confidence)}`;
  }

  row(event, history) {
    const row = document.createElement("tr");
    const [at, what, lasted, sure] = Array.from({ length: 4 }, () => document.createElement("td"));
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = clock(event.start);
    button.title = history.clock(event);
    button.setAttribute("aria-label", `Show ${clock(event.start)}, ${event.label}`);
    button.addEventListener("click", () => this.onChoose(event.peak));
    at.append(button);
    const swatch = document.createElement("span");
    swatch.className = "swatch";
    swatch.style.setProperty("--hue", this.hues.get(event.label));
    const name = document.createElement("span");
    setText(name, event.view ? `${event.view} · ${event.label}` : event.label);
    const pair = document.createElement("span");
    pair.className = "what";
    pair.append(swatch, name);
    what.append(pair);
    lasted.textContent = `${(event.end - event.start).toFixed(1)} s`;
    sure.textContent = percent(event.confidence);
    lasted.className = sure.className = "right";
    row.append(at, what, lasted, sure);
    return row;
  }

  count(number) {
    byId("count").textContent = number ? String(number) : "";
    byId("no-events").hidden = number > 0;
    byId("csv").disabled = byId("json").disabled = number === 0;
  }
}
