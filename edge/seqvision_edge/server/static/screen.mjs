// The display: one history, the selected time, and how current it is.

import { AnswerView } from "./answer-view.mjs";
import { windowLag } from "./event_detector.mjs";
import { History, save } from "./history.mjs";
import { LogView } from "./log-view.mjs";
import { colours } from "./palette.mjs";
import { RegionsView } from "./regions-view.mjs";
import { TimelineView } from "./timeline-view.mjs";
import { ago, clock, milliseconds, silence } from "./words.mjs";

// Two seconds after the last message the picture must not look live.
const STALE_SECONDS = 1.25;
const TICK_MS = 100;
const NOTE_MS = 5000; // how long the recovery of a source is shown
const byId = (id) => document.getElementById(id);

/** The texts of each state: on the pill, its colour, and instead of the label. */
const STATES = {
  idle: ["Ready", "idle", "Ready"],
  starting: ["Starting", "waiting", "Starting"],
  reading: ["Reading", "waiting", "Reading"],
  warming: ["Warming up", "waiting", "Warming up"],
  live: ["Live", "live", "Warming up"],
  file: ["Read", "live", "No answer yet"],
  quiet: ["Quiet", "idle", "Nothing moves"],
  connecting: ["Connecting", "waiting", "Connecting"],
  stalled: ["No data", "bad", "No answer"],
  disconnected: ["Source lost", "bad", "No answer"],
  failed: ["Source lost", "bad", "No answer"],
  ended: ["Ended", "idle", "Ended"],
  gone: ["No connection", "bad", "No answer"],
  stale: ["No data", "bad", "No answer"],
  problem: ["Not running", "bad", "No answer"],
};

// Of a device's source: nothing shown is current.
const LOST = ["connecting", "stalled", "disconnected", "failed", "ended"];

/** The page's views, combined. */
export class Screen {
  constructor(card) {
    this.card = card;
    const hues = colours(card.labels, card.decision.background);
    this.answers = new AnswerView(card, hues);
    this.regions = new RegionsView(hues, (name) => this.follow(name));
    this.timeline = new TimelineView(card, hues, (time) => this.choose(time));
    this.log = new LogView(hues, (time) => this.choose(time));
    this.staleSeconds = Math.max(STALE_SECONDS, 2.5 / (card.sequence.fps ?? 5));
    byId("back").addEventListener("click", () => this.choose(null));
    byId("csv").addEventListener("click", () => save("events.csv", "text/csv", this.all.toCsv()));
    byId("json").addEventListener("click", () =>
      save("events.json", "application/json", this.all.toJson()),
    );
    this.end();
    setInterval(() => this.tick(), TICK_MS);
  }

  /**
   * Start to show a source.
   * @param {string} name its name
   * @param {{live: boolean, views?: object[], seek?: (time: number) => void, now?: () => number,
   *          length?: () => number}} how
   *   `views` are the regions of a device's source, [{name, outline}]; of a file: how to seek, the
   *   current position, and its length.
   */
  begin(name, how) {
    const lag = windowLag(this.card.sequence);
    const views = how.views ?? [];
    // One of all events; with regions, each has its own of answers and events.
    this.history = this.all = new History(name, lag);
    this.histories = new Map(views.map((view) => [view.name, new History(name, lag)]));
    this.view = views[0]?.name;
    if (this.view !== undefined) this.history = this.histories.get(this.view);
    this.how = how;
    this.regions.begin(views, how.views !== undefined);
    this.cursor = null;
    this.rates = [];
    this.trips = [];
    this.log.clear();
    this.windowFill = 0;
    this.framed = null;
    this.warning = null;
    this.latest = null;
    this.lostSince = null;
    this.note("");
    this.touch();
    this.set("starting");
    byId("start").hidden = true;
    byId("trip-name").textContent = how.tripName ?? "Round trip";
  }

  /** Show nothing. */
  end() {
    this.history = this.all = null;
    this.histories = new Map();
    this.regions.begin([], false);
    this.how = { live: false };
    this.cursor = this.framed = this.lostSince = this.warning = null;
    this.note("");
    [this.rates, this.trips] = [[], []];
    this.words = "";
    this.log.clear();
    this.set("idle");
    byId("start").hidden = false;
  }

  /** Show the state of the source; `words` go to the banner if something is wrong. */
  set(state, words = "") {
    if (this.how.live && (LOST.includes(state) || state === "gone")) {
      if (this.framed !== null) this.lostSince ??= this.framed;
    } else if (state === "live" && this.lostSince !== null) {
      const seconds = Math.round((performance.now() - this.lostSince) / 1000);
      if (seconds >= 2) this.note(`It is back, after ${seconds} s.`);
      this.lostSince = null;
    }
    this.state = state;
    this.words = words;
    this.tick();
  }

  /** Show that a live source's picture is frozen, or that the device is too slow for it. */
  warn({ state, reason, message }) {
    if (reason === "quiet") return this.set("quiet");
    if (this.state === "quiet") this.set("warming");
    if (state === "frozen") this.warning = ["The picture stands still.", message];
    else this.warning = message ? ["Too slow.", `The device ${message}.`] : null;
    this.tick();
  }

  /** Show a good message for some seconds. */
  note(words) {
    clearTimeout(this.noteTimer);
    text("note", words);
    byId("note").hidden = !words;
    if (words) this.noteTimer = setTimeout(() => this.note(""), NOTE_MS);
  }

  /** Handle any message: what is shown is current. */
  touch() {
    this.lastMessage = performance.now();
  }

  /** Follow a region: its label, probabilities and age are shown. */
  follow(name) {
    if (!this.histories.has(name)) return;
    this.view = name;
    this.history = this.histories.get(name);
    const { newest } = this.history;
    this.latest = newest && { record: newest, at: performance.now() };
    this.tick();
  }

  /** Return the history of a region; one that is new is followed if it is the first. */
  historyOf(view) {
    if (view === undefined) return this.history;
    if (!this.histories.has(view)) {
      this.histories.set(view, new History(this.all.source, windowLag(this.card.sequence)));
      if (this.histories.size === 1) [this.view, this.history] = [view, this.histories.get(view)];
    }
    return this.histories.get(view);
  }

  answer(record) {
    this.touch();
    this.framed = this.lastMessage;
    const history = this.historyOf(record.view);
    history.began ??= this.all.began ??= Date.now() - 1000 * record.time;
    const isWarm = record.window_full !== false;
    if (isWarm) history.add(record);
    if (history !== this.history) return;
    this.latest = { record, at: performance.now() };
    this.rates.push(this.lastMessage);
    if (record.roundTripMs !== undefined) this.trips.push(record.roundTripMs);
    if (this.trips.length > 20) this.trips.shift();
    if (this.state !== "file") this.set(isWarm ? "live" : "warming");
  }

  /** Handle a frame without a prediction: the window is not full, or no tick was due. */
  wait({ window_fill }) {
    this.touch();
    this.framed = this.lastMessage;
    this.windowFill = window_fill;
    if (window_fill < 1 && this.state !== "file") this.set("warming");
  }

  /** Handle an event; a gap ends one too, so it does not count as current. */
  event(record) {
    this.histories.get(record.view)?.addEvent(record);
    this.all.addEvent(record);
    this.log.add(record, this.all, this.how.live);
  }

  /** Show a time; null is now. */
  choose(time) {
    if (!this.history) return;
    if (this.how.seek) this.how.seek(time ?? 0);
    else this.cursor = time;
    this.tick();
  }

  get isStale() {
    const isExpected = ["live", "warming", "starting", "frozen"].includes(this.state);
    return this.how.live && isExpected && performance.now() - this.lastMessage > 1000 * this.staleSeconds;
  }

  /** The current time on the history's clock. */
  get now() {
    if (this.how.now) return this.how.now();
    const newest = this.history?.newest;
    if (!newest) return 0;
    const isRunning = this.state === "live" && !this.isStale;
    return newest.time + (isRunning ? Math.min(1, (performance.now() - this.latest.at) / 1000) : 0);
  }

  tick() {
    const state = this.isStale ? "stale" : this.state;
    if (state === "stale") this.lostSince ??= this.framed;
    const [pill, colour, word] = STATES[state];
    const old = ["stale", "gone", "problem", ...LOST].includes(state) && this.how.live;
    text("pill-text", this.cursor === null || state !== "live" ? pill : "Live, looking back");
    byId("pill").dataset.state = colour;
    byId("answer").dataset.state = state;
    this.banner(state);
    this.moment(state, word, old);
    this.facts(old);
    const end = this.how.length?.() ?? this.now;
    const cursor = this.how.now ? this.how.now() : this.cursor;
    this.timeline.show(this.history, { live: this.how.live, end, cursor, rows: this.histories });
    const newest = [...this.histories].map(([name, own]) => [name, cursor === null ? own.newest : own.at(cursor)]);
    const hidden = (old || state === "quiet") && cursor === null;
    if (newest.length) this.regions.show(this.view, new Map(hidden ? [] : newest));
    text("cursor", this.history?.newest && cursor !== null ? clock(cursor) : "");
    byId("facts").hidden = this.history !== null && !this.how.live;
    byId("back").hidden = !this.how.live || this.cursor === null;
  }

  /** Show the label and the picture of the selected time; nothing old looks current. */
  moment(state, word, old) {
    const { history, cursor } = this;
    const looksBack = cursor !== null;
    const shown = !history ? null
      : looksBack ? history.at(cursor)
      : this.how.now ? history.at(this.how.now())
      : old || state === "warming" || state === "quiet" ? null : history.newest;
    const age = looksBack ? `at ${clock(cursor)}` : this.how.now ? "" : this.ageText();
    this.answers.show(shown, word, age, state === "warming" ? this.windowFill : 0);
    byId("cover").hidden = !old || looksBack || state === "problem";
    const picture = looksBack ? history?.pictureAt(cursor) : null;
    if (picture !== this.looked) {
      this.looked = picture;
      if (looksBack || byId("picture").dataset.from === "past") showPicture(picture, "past");
    }
  }

  ageText() {
    return this.latest ? ago((performance.now() - this.latest.at) / 1000) : "";
  }

  banner(state) {
    const seconds = Math.round((performance.now() - this.lastMessage) / 1000);
    const isNew = this.framed === null;
    const silent = isNew ? "" : silence((performance.now() - this.framed) / 1000);
    const hidden = isNew ? "" : "The last label is hidden.";
    const [title, more] = {
      stale: ["No data.", `Nothing has come for ${seconds} s. The last label is hidden.`],
      gone: ["The server is gone.", this.words || "The last label is hidden. Trying again."],
      connecting: [isNew ? "Connecting …" : `Connecting again: ${silent}.`, this.words || hidden],
      stalled: ["No picture.", isNew ? "No data yet." : `${silent.replace("no", "No")}. ${hidden}`],
      disconnected: [isNew ? "The source is lost." : `The source is lost: ${silent}.`, this.words || hidden],
      failed: ["The source is given up.", this.words || hidden],
      ended: ["The source has ended.", this.words],
      live: this.warning ?? undefined,
      file: this.words ? ["A short clip.", this.words] : undefined,
    }[state] ?? ["", ""];
    byId("banner").hidden = !title;
    text("banner-title", title);
    text("banner-text", more);
  }

  facts(old) {
    const since = performance.now() - 2000;
    while (this.rates.length && this.rates[0] < since) this.rates.shift();
    const isQuiet = old || !this.how.live || this.rates.length < 2;
    const span = isQuiet ? 0 : (this.rates.at(-1) - this.rates[0]) / 1000;
    text("fps", span ? ((this.rates.length - 1) / span).toFixed(1) : "–");
    text("trip", isQuiet ? "–" : milliseconds(median(this.trips)));
    text("model-ms", isQuiet ? "–" : milliseconds(this.latest?.record.latency_ms));
  }
}

/** Show a picture instead of the video; null removes it. */
export function showPicture(blob, from) {
  const image = byId("picture");
  const before = image.src;
  image.hidden = !blob;
  image.dataset.from = blob ? from : "";
  if (blob) image.src = URL.createObjectURL(blob);
  else image.removeAttribute("src");
  if (before.startsWith("blob:")) URL.revokeObjectURL(before);
}

function text(id, value) {
  const element = byId(id);
  if (element.textContent !== value) element.textContent = value;
}

function median(values) {
  return values.length ? [...values].sort((a, b) => a - b)[values.length >> 1] : undefined;
}
