// Live input: a <video>'s frames → the server, or this browser's model → predictions.

import { EventDetector, isUnsure, windowLag } from "./event_detector.mjs";
import { eachFrame, jpeg, pixels } from "./frames.mjs";
import { Link } from "./link.mjs";
import { rgbOf, stepsOf } from "./prepare.mjs";
import { Sampler } from "./sampler.mjs";

const MOST_BEHIND = 40; // frames that the server may lag when predictions are compared
const MOST_KEPT = 64;
const STILL_FPS = 5; // for models of still images, which have no rate of their own

/**
 * Watch a video element until the returned function is called.
 *
 * With a `model` the frames run in this browser; the server gets the same steps, so that both
 * predictions can be compared, but is not required.
 *
 * @param {{video: HTMLVideoElement, card: object, model: import("./browser-model.mjs").BrowserModel | null,
 *          byMedia: boolean, handlers: object}} options `byMedia` takes the video's own times.
 *   `handlers` has onAnswer, onEvent, onRecord (of another kind), onLink, onPicture and onDifference.
 */
export function watchLive({ video, card, model, byMedia, handlers }) {
  const chooser = new Sampler(card.sequence.fps ?? STILL_FPS);
  const own = model && new OwnAnswers(card, model, handlers);
  const link = new Link(model ? "prepared" : "jpeg", {
    onRecord: (record) => (own ? own.compare(record) : dispatch(record, handlers)),
    onState: (state, words) => {
      if (state === "open") {
        chooser.restart();
        own?.together();
      }
      handlers.onLink(state, words);
    },
  });
  if (own) own.link = link;
  const began = performance.now() / 1000;
  let isBusy = false;
  let last = null; // the last picture taken from a file
  let counted = NaN;

  async function take(now, shown, count) {
    // The previous picture of a file was shown until this one, if none was missed between them.
    const follows = byMedia && count === counted + 1;
    const isFree = !isBusy && (own || link.isReady());
    counted = isFree ? count : NaN;
    if (!isFree) return;
    const time = Math.round(1000 * (byMedia ? shown : now - began)) / 1000;
    const stills = follows && own && last ? chooser.stills(time) : [];
    stills.forEach((still) => chooser.take(still, true));
    if (!stills.length && chooser.isGap(time)) chooser.restart();
    if (!chooser.take(time)) return;
    isBusy = true;
    try {
      if (own) {
        const picture = pixels(video);
        for (const still of stills) await own.push(still, last);
        last = byMedia ? picture : null;
        await own.push(time, picture);
      } else await send(time);
    } finally {
      isBusy = false;
    }
  }

  async function send(time) {
    const blob = await jpeg(video);
    const bytes = await blob?.arrayBuffer();
    if (!bytes || !link.isReady()) return; // stopped or disconnected meanwhile
    link.send(time, bytes);
    handlers.onPicture(time, blob);
  }

  const stop = eachFrame(video, take);
  return () => {
    stop();
    link.close();
    own?.leave();
  };
}

function dispatch(record, { onAnswer, onEvent, onRecord }) {
  if (record.type === "prediction") onAnswer(record);
  else if (record.type === "event") onEvent(record);
  else onRecord(record);
}

/** Runs this browser's model, and compares its predictions with the server's. */
class OwnAnswers {
  constructor(card, model, handlers) {
    Object.assign(this, { card, model, handlers });
    this.detector = new EventDetector(card.decision, card.labels, windowLag(card.sequence));
    this.isVideo = card.sequence.kind === "video";
    this.frame = 0;
    this.last = 0;
    model.reset();
    this.together();
  }

  /** Stop: the pending prediction is discarded. */
  leave() {
    this.hasLeft = true;
  }

  /** Reset as the server's stream does: an empty grid, and nothing to compare. */
  together() {
    this.sampler = this.isVideo ? new Sampler(this.card.sequence.fps) : null;
    this.waiting = new Map(); // by time: the prediction that came first
    this.row = []; // steps not yet sent to the server
    this.areTogether = true;
    // A carried state never resets: only two streams that start together are comparable.
    if (this.card.state.kind === "carry") this.forget();
  }

  async push(time, picture) {
    const began = performance.now();
    const { data, steps } = stepsOf(rgbOf(picture), this.card);
    this.send(time, data);
    if (!this.isVideo) this.model.reset();
    else if (this.sampler.isGap(time)) {
      this.sampler.restart();
      this.forget();
    }
    const ticks = this.isVideo ? this.sampler.take(time) : 1;
    this.last = time;
    if (!ticks) return;
    const times = this.isVideo ? Math.min(ticks, this.card.sequence.frames) : 1;
    const answer = await this.model.push(repeated(data, times), steps * times);
    if (this.hasLeft) return;
    if (answer) this.report(time, answer, performance.now() - began);
    else this.forget();
  }

  /** Send the same steps to the server: none may be skipped, so they are queued. */
  send(time, data) {
    if (!this.areTogether || !this.link.isOpen) return;
    this.row.push([time, data]);
    if (this.row.length > MOST_BEHIND) this.part();
    else this.flush();
  }

  flush() {
    while (this.row.length && this.link.isReady(1)) this.link.send(...this.row.shift());
  }

  /** A frame was skipped, so the two states differ: restart both. */
  part() {
    this.areTogether = false;
    this.link.again();
  }

  report(time, values, latency) {
    const { labels } = this.card;
    const best = values.indexOf(Math.max(...values));
    const warm = this.model.isWarm;
    if (!warm) {
      const window_fill = this.model.seen / this.card.sequence.frames;
      this.handlers.onRecord({ type: "waiting", time, window_fill });
      return;
    }
    const probabilities = Object.fromEntries(labels.map((label, index) => [label, values[index]]));
    this.handlers.onAnswer({
      type: "prediction",
      time,
      frame: this.frame++,
      label: labels[best],
      probability: values[best],
      probabilities,
      unsure: isUnsure(values, this.card.decision),
      window_full: true,
      latency_ms: latency,
    });
    this.meet(time, probabilities);
    if (this.isVideo) this.detector.update(time, values).forEach(this.handlers.onEvent);
  }

  forget() {
    this.model.reset();
    this.detector.close(this.last).forEach(this.handlers.onEvent);
  }

  /** Handle a record of the server. */
  compare(record) {
    if (record.type === "error" || record.dropped > 0) {
      if (this.areTogether) this.part();
      return;
    }
    this.flush();
    if (record.type === "prediction" && record.window_full) this.meet(record.time, record.probabilities);
  }

  /** Compare the two predictions for one frame, once both are there. */
  meet(time, probabilities) {
    const other = this.waiting.get(time);
    if (!other) {
      this.waiting.set(time, probabilities);
      if (this.waiting.size > MOST_KEPT) this.waiting.delete(this.waiting.keys().next().value);
      return;
    }
    this.waiting.delete(time);
    const differences = this.card.labels.map((label) => Math.abs(other[label] - probabilities[label]));
    this.handlers.onDifference(Math.max(...differences));
  }
}

function repeated(data, times) {
  if (times === 1) return data;
  const out = new Uint8Array(data.length * times);
  for (let index = 0; index < times; index++) out.set(data, index * data.length);
  return out;
}
