// All sources of a device side by side: picture, label and state of each; a click opens one.

import { words } from "./device.mjs";
import { setText } from "./label.mjs";
import { picture, sources } from "./server.mjs";
import { percent, silence } from "./words.mjs";

const POLL_MS = 500;
const PATIENCE_MS = 2000;
const OLD_MS = 2000; // an older prediction is not current
const SHOWN = ["live", "warming_up", "frozen"];
const byId = (id) => document.getElementById(id);

/** Shows tiles while it is open; `onChoose` gets the name of a source. */
export class Overview {
  constructor(hues, onChoose) {
    Object.assign(this, { hues, onChoose, tiles: new Map() });
    this.leaving = null;
  }

  get isOpen() {
    return this.leaving !== null;
  }

  open() {
    if (this.isOpen) return;
    this.leaving = new AbortController();
    byId("overview").hidden = false;
    document.body.classList.add("overviewing");
    this.poll(this.leaving.signal);
  }

  close() {
    this.leaving?.abort();
    this.leaving = null;
    byId("overview").hidden = true;
    document.body.classList.remove("overviewing");
    for (const tile of this.tiles.values()) tile.forget();
    this.tiles.clear();
    byId("tiles").replaceChildren();
  }

  async poll(leaving) {
    while (!leaving.aborted) {
      try {
        this.show(await sources());
        byId("overview-lost").hidden = true;
      } catch (error) {
        if (error.status === 401) location.reload(); // to the page that requires the token
        byId("overview-lost").hidden = false;
        for (const tile of this.tiles.values()) tile.lose();
      }
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  show(found) {
    if (!this.isOpen) return;
    for (const source of found) {
      if (!this.tiles.has(source.name)) {
        const tile = new Tile(source.name, this.hues, this.onChoose);
        this.tiles.set(source.name, tile);
        byId("tiles").append(tile.item);
        tile.follow(this.leaving.signal);
      }
      this.tiles.get(source.name).show(source);
    }
  }
}

class Tile {
  constructor(name, hues, onChoose) {
    Object.assign(this, { name, hues });
    const make = (kind, className) => Object.assign(document.createElement(kind), { className });
    this.item = document.createElement("li");
    this.button = Object.assign(make("button", "tile"), { type: "button" });
    this.button.addEventListener("click", () => onChoose(name));
    this.image = Object.assign(make("img", ""), { alt: "" });
    this.title = make("span", "tile-name");
    this.label = make("span", "tile-label");
    this.state = make("span", "tile-state quiet");
    const frame = make("span", "tile-picture");
    frame.append(this.image);
    this.title.textContent = this.title.title = name;
    this.button.append(frame, this.title, this.label, this.state);
    this.item.append(this.button);
    this.isShown = false;
    this.image.hidden = true;
  }

  show({ state, prediction, views, frame_age_ms: silent }) {
    // Of a source with regions: the surest label of theirs.
    const own = (views ?? []).map((view) => view.prediction).filter(Boolean);
    const answer = prediction ?? own.sort((a, b) => b.probability - a.probability)[0];
    const isLive = SHOWN.includes(state.state) && !(silent > OLD_MS);
    this.isShown = isLive;
    this.image.hidden = !isLive || !this.image.src;
    this.button.dataset.state = isLive ? "live" : state.state === "ended" ? "idle" : "bad";
    const label = !isLive || !answer ? "" : answer.unsure ? "unsure" : answer.label;
    const shown = label && answer.view ? `${answer.view}: ${label}` : label;
    if (this.label.textContent !== shown) setText(this.label, shown);
    this.label.style.setProperty("--hue", this.hues.get(answer?.unsure ? null : label) ?? "var(--quiet)");
    this.state.textContent = isLive ? liveWords(state, answer) : brokenWords(state, silent, this.name);
  }

  /** The server does not respond: nothing shown here is current. */
  lose() {
    this.isShown = false;
    this.image.hidden = true;
    this.button.dataset.state = "bad";
    this.label.textContent = "";
    this.state.textContent = "no connection";
  }

  async follow(leaving) {
    while (!leaving.aborted) {
      try {
        const blob = this.isShown && (await picture(this.name, AbortSignal.any([leaving, AbortSignal.timeout(PATIENCE_MS)])));
        if (blob && !leaving.aborted) this.draw(blob);
      } catch {
        // Its state has the reason.
      }
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  draw(blob) {
    this.forget();
    this.image.src = URL.createObjectURL(blob);
    this.image.hidden = !this.isShown;
  }

  forget() {
    if (this.image.src) URL.revokeObjectURL(this.image.src);
  }
}

function liveWords(state, answer) {
  if (!answer && state.reason === "quiet") return state.message;
  if (!answer) return state.state === "warming_up" ? "warming up" : "no answer yet";
  const still = state.state === "frozen" ? " · the picture stands still" : "";
  const share = percent(answer.probability);
  return `${answer.unsure ? `${answer.label} ${share}` : share}${still}`;
}

function brokenWords(state, silent, name) {
  const more = words(state, name);
  if (state.state === "ended") return "ended";
  if (state.state === "failed") return `given up: ${more}`;
  if (silent === null) return state.state === "connecting" ? "connecting …" : more || "no data yet";
  return [silence(silent / 1000), more].filter(Boolean).join(" · ");
}
