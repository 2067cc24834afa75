// Which frames the model sees: selected by time, as in `seqvision_edge.sampling`.

const EARLY = 0.381966;
const GAP_PERIODS = 2.5;
const INTERVALS = 30;

/** Place frames that arrive one by one on the model's grid of ticks. */
export class Sampler {
  constructor(fps, claimedFps = 0) {
    this.fps = fps;
    this.claimed = claimedFps ? 1 / claimedFps : 0;
    this.reset();
  }

  /** Reset the state; the next frame begins a new grid. */
  reset() {
    this.last = null;
    this.intervals = [];
    this.restart();
  }

  /** Begin a new grid at the next frame, but keep the usual period: after a gap. */
  restart() {
    this.start = null;
    this.due = 0;
  }

  /** Return how many ticks the frame at `time` (seconds, rising) answers; see `stills`. */
  take(time, still = false) {
    if (this.last !== null && time < this.last) this.reset();
    if (!still) {
      if (this.last !== null && time > this.last) {
        this.intervals.push(time - this.last);
        if (this.intervals.length > INTERVALS) this.intervals.shift();
      }
      this.last = time;
    }
    this.start ??= time;
    const due = Math.floor((time - this.start) * this.fps + EARLY) + 1;
    const ticks = due - this.due;
    this.due = due;
    return ticks;
  }

  /** Of a recording, before the frame at `time`: when the last one still answers ticks. */
  stills(time) {
    if (this.last === null || this.start === null) return [];
    if (time - this.last <= GAP_PERIODS * Math.max(this.claimed, 1 / this.fps)) return [];
    const newest = Math.floor((time - this.start) * this.fps + EARLY);
    const count = Math.max(0, newest - this.due);
    return Array.from({ length: count }, (_, index) => this.start + (this.due + index) / this.fps);
  }

  /** Whether so much time passed before `time` that a window must not span it. */
  isGap(time) {
    if (this.last === null) return false;
    if (time < this.last) return true;
    const usual = this.intervals.length ? median(this.intervals) : this.claimed;
    return time - this.last > GAP_PERIODS * Math.max(usual, 1 / this.fps);
  }
}

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
