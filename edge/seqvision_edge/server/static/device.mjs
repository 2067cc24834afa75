// A source of the device: its records as they arrive, its picture polled.

import { eventsOf, picture, sources } from "./server.mjs";

const PICTURE_MS = 150;
const PATIENCE_MS = 2000;
const RETRY_MS = 1000;
const LABELLED = ["live", "warming"];
const BROKEN = ["connecting", "stalled", "disconnected", "failed", "ended"];

/**
 * Follow one of the device's sources; returns the function that stops it.
 * @param {() => void} onMissing called when the device no longer has a source of this name
 */
export function watchDevice(name, screen, onPicture, onMissing) {
  const leaving = new AbortController();
  screen.begin(name, { live: true, views: [] });
  listen(name, screen, leaving.signal, onMissing);
  follow(name, leaving.signal, onPicture);
  return () => leaving.abort();
}

/** Return the regions of a source, [{name, outline}]; none until its first picture. */
async function regionsOf(name) {
  const found = await sources().catch(() => null);
  return found?.find((each) => each.name === name)?.views ?? [];
}

/** Receive a source's records, reconnecting if the server was away, until the signal. */
function listen(name, screen, leaving, onMissing) {
  if (leaving.aborted) return;
  const stream = eventsOf(name);
  leaving.addEventListener("abort", () => stream.close(), { once: true });
  stream.onmessage = ({ data }) => {
    const record = JSON.parse(data);
    // Its regions were not known before its first picture.
    if (record.view && !screen.histories.has(record.view)) return look(name, screen, leaving);
    take(record, screen, name);
  };
  stream.onopen = () => screen.touch();
  // An `alive` of the server does not make the label of a silent source fresh.
  stream.addEventListener("alive", () => LABELLED.includes(screen.state) || screen.touch());
  stream.onerror = async () => {
    if (leaving.aborted) return;
    // A run on a file ends with the file.
    if (screen.state !== "ended") screen.set("gone");
    if (stream.readyState !== EventSource.CLOSED) return; // the browser reconnects by itself
    stream.close();
    const found = await sources().catch((error) => error);
    if (leaving.aborted) return;
    if (found?.status === 401) screen.set("gone", "The server requires its token again: reload this page.");
    else if (Array.isArray(found) && !found.some((each) => each.name === name)) onMissing();
    else setTimeout(() => listen(name, screen, leaving, onMissing), RETRY_MS);
  };
}

let looked = 0;

/** Begin again, with the regions that the source has now; not more often than once a second. */
async function look(name, screen, leaving) {
  if (performance.now() - looked < RETRY_MS) return;
  looked = performance.now();
  const views = await regionsOf(name);
  if (views.length && !leaving.aborted) screen.begin(name, { live: true, views });
}

function take(record, screen, name) {
  if (record.type === "prediction") screen.answer(record);
  else if (record.type === "event") screen.event(record);
  else if (record.type === "waiting") screen.wait(record);
  else if (record.type === "source" && BROKEN.includes(record.state)) {
    screen.touch();
    screen.set(record.state, words(record, name));
  } else if (record.type === "source") screen.warn(record);
}

/** Return details of the state; the name of the source is shown elsewhere. */
export function words({ state, message, attempt }, name) {
  if (state === "stalled") return ""; // its message would only repeat the state
  const more = message.startsWith(`${name}: `) ? message.slice(name.length + 2) : message;
  return more || (attempt > 1 ? `connecting again, attempt ${attempt}` : "");
}

async function follow(name, leaving, onPicture) {
  while (!leaving.aborted) {
    try {
      const blob = await picture(name, AbortSignal.any([leaving, AbortSignal.timeout(PATIENCE_MS)]));
      if (blob && !leaving.aborted) onPicture(blob);
    } catch {
      // Without a picture the age of the records is shown.
    }
    await new Promise((resolve) => setTimeout(resolve, PICTURE_MS));
  }
}
