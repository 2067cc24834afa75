// Probabilities over time → events, as `seqvision_edge.decision` does.

/** Follow one source's warm answers and tell its events, each once it has ended. */
export class Decider {
  constructor(decision, labels) {
    this.decision = decision;
    this.labels = labels;
    this.forget();
  }

  forget() {
    this.answers = [];
    this.running = null;
    this.blockedUntil = new Map();
  }

  /** The event that goes on, once it has lasted long enough; null without one. */
  get active() {
    return this.running && this.counts(this.running) ? this.running : null;
  }

  /** Take the answer at `time` (seconds, rising) and return the events that ended. */
  update(time, probabilities) {
    this.answers.push(probabilities);
    if (this.answers.length > this.decision.smoothing_frames) this.answers.shift();
    const smoothed = this.labels.map(
      (_, place) => this.answers.reduce((sum, each) => sum + each[place], 0) / this.answers.length,
    );
    const rival = this.strongest(smoothed, time);
    let ended = [];
    if (this.running) {
      const held = smoothed[this.labels.indexOf(this.running.label)];
      this.running.end = time;
      if (held > this.running.confidence) Object.assign(this.running, { peak: time, confidence: held });
      if (held < this.decision.leave || (rival >= 0 && smoothed[rival] > held))
        ended = this.finish(time);
    }
    if (!this.running && rival >= 0) {
      const label = this.labels[rival];
      this.running = { label, start: time, end: time, peak: time, confidence: smoothed[rival] };
    }
    return ended;
  }

  /** Forget the past and return the event that it cuts off: at a gap, and at the end. */
  close(time) {
    const ended = this.finish(time);
    this.forget();
    return ended;
  }

  /** Return the number of the most probable label that may begin an event now, or -1. */
  strongest(smoothed, time) {
    let best = -1;
    smoothed.forEach((probability, place) => {
      const label = this.labels[place];
      const able =
        probability >= this.decision.enter &&
        label !== this.decision.background &&
        time >= (this.blockedUntil.get(label) ?? time);
      if (able && (best < 0 || probability > smoothed[best])) best = place;
    });
    return best;
  }

  finish(time) {
    const event = this.running;
    this.running = null;
    if (!event || !this.counts(event)) return [];
    this.blockedUntil.set(event.label, event.end + this.decision.cooldown_seconds);
    return [{ type: "event", ...event, told: time }];
  }

  counts(event) {
    // Times are sums of periods: 0.7 - 0.4 is a hair below 0.3.
    return event.end - event.start >= this.decision.minimum_seconds - 1e-9;
  }
}
