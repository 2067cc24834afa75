// THE WAY of a file: shown here, answered by the server, its events on a timeline that seeks it.

import { showPicture } from "./screen.mjs";
import { predict } from "./server.mjs";

const byId = (id) => document.getElementById(id);

/**
 * Show a file; with `live` the caller runs it in this browser while it plays.
 * @returns {Promise<() => void>} how to leave it
 */
export async function watchFile({ file, card, video, screen, live }) {
  const leaving = new AbortController();
  const url = URL.createObjectURL(file);
  const leave = () => {
    leaving.abort();
    URL.revokeObjectURL(url);
  };
  const isVideo = card.sequence.kind === "video";
  let length = 0;
  let fill = 1;
  screen.begin(file.name, {
    live: false,
    seek: (time) => (video.currentTime = time),
    now: () => (isVideo && !video.hidden ? video.currentTime : length),
    length: () => Math.max(length, video.duration || 0),
  });
  screen.set("reading");
  try {
    if (isVideo) await show(video, url);
    else showPicture(file, "file");
    if (live && !video.hidden) {
      byId("play").hidden = false;
      await video.play();
      return leave;
    }
    const said = await ask(file, leaving.signal);
    length = take(said, screen, isVideo);
    fill = said.window_fill ?? 1;
  } catch (error) {
    leave();
    throw error;
  }
  const share = Math.round(100 * fill);
  screen.set("file", fill < 1 ? `It fills ${share} % of the model's window: one answer, from what there is.` : "");
  if (!video.hidden) {
    byId("play").hidden = false;
    video.play().catch(() => {}); // a browser may want a click first
  }
  return leave;
}

/** Show the video where this browser knows its format; it is answered all the same. */
async function show(video, url) {
  video.src = url;
  await new Promise((resolve) => {
    video.onloadeddata = () => resolve((video.hidden = false));
    video.onerror = () => resolve((video.hidden = true));
  });
}

async function ask(file, signal) {
  const progress = byId("progress");
  progress.hidden = false;
  try {
    return await predict(file, signal, (share) => {
      if (share < 1) progress.value = share;
      else progress.removeAttribute("value"); // the server reads it now
    });
  } finally {
    progress.hidden = true;
  }
}

/** Put the server's answers on the screen and return the time of the last one. */
function take(said, screen, isVideo) {
  const answers = said.windows;
  for (const answer of answers) screen.history.add(answer, true);
  for (const event of said.events) screen.event(event);
  return answers.at(-1)?.time ?? 0;
}
