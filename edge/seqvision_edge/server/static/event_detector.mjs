// Probabilities over time → events, as `seqvision_edge.events` does: docs/model-file.md.

const HAIR = 1e-6; // a value this close to a threshold has reached it

/** Follow one source's predictions of a full window and return its events, each when it has ended. */
export class EventDetector {
  /** `lag`: seconds from the middle of the window to the prediction. */
  constructor(decision, labels, lag = 0) {
    Object.assign(this, { decision, labels, lag });
    this.running = null;
    this.forget();
  }

  forget() {
    this.answers = [];
    this.smoothed = null;
    this.blockedUntil = new Map();
    this.before = null; // for early firing: the previous prediction,
    this.low = new Set(); // and the labels that have been low and may rise
  }

  /** Process the prediction at `time` (seconds, rising) and return the events that ended. */
  update(time, probabilities) {
    const { decision } = this;
    const own = isUnsure(probabilities, decision) ? probabilities.map(() => 0) : probabilities;
    this.smooth(own);
    const rising = this.rising(own, time);
    const strength = this.strength(own, rising);
    const rival = this.rival(strength, time);
    let ended = [];
    if (this.running) {
      const { label } = this.running;
      const held = strength[label];
      this.running.end = time;
      if (held > this.running.confidence + HAIR)
        Object.assign(this.running, { peak: time, confidence: held });
      const isOvertaken = rival >= 0 && strength[rival] > held + HAIR;
      const hasFallen = held < decision.off_threshold - HAIR;
      if (rising >= 0 ? rising !== label : hasFallen || isOvertaken) ended = this.finish(time);
    }
    const begins = rising >= 0 ? rising : rival;
    if (!this.running && begins >= 0)
      this.running = { label: begins, start: time, end: time, peak: time, confidence: strength[begins] };
    if (rising >= 0 && this.running.fired === undefined) {
      this.running.fired = time;
      this.low.delete(rising);
    }
    return ended;
  }

  /** Reset, and return the running event: at a gap, and at the end. */
  close(time) {
    const ended = this.finish(time);
    this.forget();
    return ended;
  }

  smooth(own) {
    const { smoothing, smoothing_frames: frames } = this.decision;
    if (smoothing === "none" || (smoothing === "exponential" && !this.smoothed)) this.smoothed = own;
    else if (smoothing === "exponential")
      this.smoothed = this.smoothed.map((value, index) => value + (2 / (frames + 1)) * (own[index] - value));
    else {
      this.answers.push(own);
      if (this.answers.length > frames) this.answers.shift();
      const sum = (index) => this.answers.reduce((total, answer) => total + answer[index], 0);
      this.smoothed = own.map((_, index) => sum(index) / this.answers.length);
    }
  }

  /** Return the index of the label that clearly rises with this prediction, or -1. */
  rising(own, time) {
    const { early, on_threshold: on, off_threshold: off } = this.decision;
    if (early === null) return -1;
    const { before } = this;
    this.before = own;
    own.forEach((value, index) => value < on - HAIR && this.low.add(index));
    const best = own.indexOf(Math.max(...own));
    const isSure =
      own[best] >= early - HAIR &&
      before !== null &&
      before[best] >= off - HAIR &&
      this.low.has(best) &&
      this.mayBegin(best, time);
    return isSure ? best : -1;
  }

  /** The deciding probabilities: smoothed, or those of a fired label's own if higher. */
  strength(own, rising) {
    const fired = this.running?.fired === undefined ? -1 : this.running.label;
    return this.smoothed.map((value, index) =>
      index === rising || index === fired ? Math.max(value, own[index]) : value,
    );
  }

  /** Return the index of the strongest label that may begin an event now, or -1. */
  rival(strength, time) {
    let best = -1;
    strength.forEach((value, index) => {
      const isAble = value >= this.decision.on_threshold - HAIR && this.mayBegin(index, time);
      if (isAble && (best < 0 || value > strength[best])) best = index;
    });
    return best;
  }

  mayBegin(index, time) {
    const until = this.blockedUntil.get(index) ?? time;
    return this.labels[index] !== this.decision.background && time >= until - HAIR;
  }

  finish(time) {
    const event = this.running;
    this.running = null;
    if (!event) return [];
    const hasLasted = event.end - event.start >= this.decision.minimum_seconds - HAIR;
    if (event.fired === undefined && !hasLasted) return [];
    this.blockedUntil.set(event.label, event.end + this.decision.cooldown_seconds);
    const { label, start, end, peak, confidence, fired = time } = event;
    const { lag, labels } = this;
    return [
      { type: "event", label: labels[label], start: start - lag, end: end - lag, peak: peak - lag, confidence, reported_at: fired },
    ];
  }
}

/** Return whether a prediction is unsure: it counts for no label. */
export function isUnsure(probabilities, decision) {
  return Math.max(...probabilities) < decision.min_confidence - HAIR;
}

/** Return the lag of predictions in seconds: from the middle of the window to its end. */
export function windowLag({ kind, frames, fps }) {
  return kind === "video" ? (frames - 1) / fps / 2 : 0;
}
