// The predictions and events of a source: in order of time, searched by time, saved as CSV, JSON.

const MOST_SECONDS = 600;
const PICTURE_SECONDS = 60;
const MOST_EVENTS = 10_000;
const HAIR = 1e-3; // times have milliseconds

/** The predictions and events of one source. */
export class History {
  /**
   * @param {string} source the source's name
   * @param {number} lag seconds from the middle of the window to the prediction
   */
  constructor(source, lag = 0) {
    Object.assign(this, { source, lag });
    this.answers = [];
    this.events = [];
    this.pictures = []; // [time, Blob], of the last minute
    this.began = null; // the wall clock at time 0, if known
  }

  /** The time of the first prediction's window centre. */
  get first() {
    return this.answers.length ? this.about(this.answers[0]) : 0;
  }

  /** Return the time of a prediction's window centre. */
  about = (answer) => Math.max(0, answer.time - this.lag);

  get newest() {
    return this.answers.at(-1) ?? null;
  }

  /** Add a prediction of rising time; `whole` keeps it however old it becomes. */
  add(answer, whole = false) {
    // After seeking back, the predictions from there on are replaced.
    if (this.newest && answer.time <= this.newest.time)
      this.answers.splice(lowerBound(this.answers, answer.time - HAIR, (each) => each.time));
    this.answers.push(answer);
    if (whole) return;
    if (answer.time - this.first > 1.1 * MOST_SECONDS)
      this.answers.splice(0, lowerBound(this.answers, answer.time - MOST_SECONDS, this.about));
  }

  addEvent(event) {
    this.events.push(event);
    if (this.events.length > MOST_EVENTS) this.events.shift();
  }

  addPicture(time, blob) {
    this.pictures.push([time, blob]);
    while (time - this.pictures[0][0] > PICTURE_SECONDS) this.pictures.shift();
  }

  /** Return the prediction for a time, null before the first. */
  at(time) {
    return this.answers[lowerBound(this.answers, time + HAIR, this.about) - 1] ?? null;
  }

  /** Return the picture shown at a time; null if it is no longer kept. */
  pictureAt(time) {
    const found = this.pictures[lowerBound(this.pictures, time, ([when]) => when) - 1];
    return found && time - found[0] < 1 ? found[1] : null;
  }

  /** Return the predictions between two times, and the one before them. */
  between(from, to) {
    const first = Math.max(0, lowerBound(this.answers, from, this.about) - 1);
    return this.answers.slice(first, lowerBound(this.answers, to, this.about));
  }

  /** Return when an event began by the wall clock, as ISO text; "" if unknown. */
  clock(event) {
    return this.began === null ? "" : new Date(this.began + 1000 * event.start).toISOString();
  }

  toCsv() {
    const columns = ["label", "start", "end", "peak", "confidence"];
    if (this.events.some(({ view }) => view)) columns.unshift("view");
    const lines = this.events.map((event) =>
      [this.clock(event), ...columns.map((column) => event[column])].map(cell).join(","),
    );
    return `${["clock", ...columns].join(",")}\r\n${lines.map((line) => `${line}\r\n`).join("")}`;
  }

  toJson() {
    const events = this.events.map((event) => ({ ...event, clock: this.clock(event) || null }));
    return `${JSON.stringify({ source: this.source, events }, null, 2)}\n`;
  }
}

/** Return how many of the sorted items are at most `time`. */
function lowerBound(items, time, timeOf) {
  let [low, high] = [0, items.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (timeOf(items[middle]) <= time) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Return a value as one CSV cell; a formula is escaped. */
function cell(value) {
  if (typeof value === "number") return String(value);
  const text = /^'*[=+\-@\t\r\n＝＋－＠]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Make the browser save a text as a file. */
export function save(name, type, text) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  const link = Object.assign(document.createElement("a"), { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
