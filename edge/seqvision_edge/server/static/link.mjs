// The live WebSocket: frames are sent, records received, and it reconnects by itself.

const MOST_IN_FLIGHT = 2;
const LOST_MS = 1000;
const [FIRST_PAUSE_MS, LONGEST_PAUSE_MS] = [500, 10_000];
const TIMES = ["time", "start", "end", "peak", "reported_at"];
const [TRY_AGAIN_LATER, NOT_ALLOWED] = [1013, 1008];

/** A WebSocket that reconnects until it is closed. */
export class Link {
  /**
   * @param {"jpeg" | "prepared"} frames the format of the frames
   * @param {{onRecord: (record: object) => void, onState: (state: string, words: string) => void}} handlers
   *   states: `connecting`, `open`, `closed` (will retry), `refused` (will not).
   */
  constructor(frames, { onRecord, onState }) {
    Object.assign(this, { frames, onRecord, onState });
    this.pauseMs = FIRST_PAUSE_MS;
    this.connect();
  }

  connect() {
    this.inFlight = new Map(); // by the frame's time
    this.first = null; // the server's clock begins at the first frame
    this.onState("connecting", "");
    const socket = new WebSocket(`${location.origin.replace(/^http/, "ws")}/v1/live`);
    this.socket = socket;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      if (socket !== this.socket) return;
      socket.send(JSON.stringify({ frames: this.frames }));
      this.onState("open", "");
    };
    socket.onmessage = ({ data }) => socket === this.socket && this.handle(JSON.parse(data));
    socket.onclose = (event) => socket === this.socket && this.closed(event);
  }

  handle(record) {
    this.pauseMs = FIRST_PAUSE_MS;
    for (const key of TIMES)
      if (typeof record[key] === "number") record[key] = rounded(record[key] + (this.first ?? 0));
    for (const [time, sent] of this.inFlight) {
      if (!(time <= record.time)) break;
      if (time === record.time) record.roundTripMs = performance.now() - sent;
      this.inFlight.delete(time);
    }
    this.onRecord(record);
  }

  closed({ code, reason }) {
    this.socket = null;
    if (code === NOT_ALLOWED) {
      this.onState("refused", reason || "the server does not allow this page to send frames");
      return;
    }
    this.onState("closed", code === TRY_AGAIN_LATER ? "The server has no room for one more." : "");
    // Jitter: pages that lost one server must not all reconnect at the same moment.
    this.timer = setTimeout(() => this.connect(), this.pauseMs * (0.75 + Math.random() / 2));
    this.pauseMs = Math.min(2 * this.pauseMs, LONGEST_PAUSE_MS);
  }

  /** Whether a frame would be sent at once. */
  isReady(most = MOST_IN_FLIGHT) {
    const now = performance.now();
    for (const [time, sent] of this.inFlight) if (now - sent > LOST_MS) this.inFlight.delete(time);
    return (
      this.isOpen &&
      this.socket.bufferedAmount === 0 &&
      this.inFlight.size < most
    );
  }

  get isOpen() {
    return this.socket?.readyState === WebSocket.OPEN;
  }

  /** Start a new stream soon: the server resets its state. */
  again() {
    this.close();
    this.timer = setTimeout(() => this.connect(), FIRST_PAUSE_MS);
  }

  /** Send one frame of `time` seconds. */
  send(time, bytes) {
    this.first ??= time;
    const message = new Uint8Array(8 + bytes.byteLength);
    new DataView(message.buffer).setFloat64(0, time, true);
    message.set(new Uint8Array(bytes), 8);
    this.inFlight.set(time, performance.now());
    this.socket.send(message);
  }

  close() {
    clearTimeout(this.timer);
    const { socket } = this;
    this.socket = null;
    socket?.close();
  }
}

/** Return a time rounded to the millisecond, without accumulated rounding errors. */
function rounded(time) {
  return Math.round(1000 * time) / 1000;
}
