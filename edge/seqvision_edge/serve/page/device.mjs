// THE WAY of what the device itself watches: its records as they come, its picture again and again.

import { eventsOf, picture } from "./server.mjs";

const PICTURE_MS = 150;
const PATIENCE_MS = 2000;

/** Follow one of the device's sources; returns how to leave it. */
export function watchDevice(name, screen, onPicture) {
  const leaving = new AbortController();
  screen.begin(name, { live: true });
  const stream = eventsOf(name);
  const hear = ({ data }) => take(JSON.parse(data), screen);
  stream.onmessage = hear;
  stream.onopen = () => screen.touch();
  // That the server lives makes no label fresh whose source has fallen silent.
  stream.addEventListener("alive", () => LABELLED.includes(screen.state) || screen.touch());
  stream.onerror = () => screen.set("gone");
  follow(name, leaving.signal, onPicture);
  return () => {
    leaving.abort();
    stream.close();
  };
}

const LABELLED = ["live", "warming"];
const BROKEN = ["connecting", "stalled", "disconnected", "failed", "ended"];

function take(record, screen) {
  if (record.type === "answer") screen.answer(record);
  else if (record.type === "event") screen.event(record);
  else if (record.type === "waiting") screen.wait(record);
  else if (record.type === "source" && BROKEN.includes(record.state)) {
    screen.touch();
    screen.set("waiting", record.message || `The source is ${record.state}.`);
  }
}

async function follow(name, leaving, onPicture) {
  while (!leaving.aborted) {
    try {
      const blob = await picture(name, AbortSignal.any([leaving, AbortSignal.timeout(PATIENCE_MS)]));
      if (blob && !leaving.aborted) onPicture(blob);
    } catch {
      // Without a picture the age of the records tells what is wrong.
    }
    await new Promise((resolve) => setTimeout(resolve, PICTURE_MS));
  }
}
