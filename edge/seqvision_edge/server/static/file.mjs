// A file: played here, classified by the server, with its events on a timeline that seeks it.

import { inWords, kindOf } from "./media-kind.mjs";
import { showPicture } from "./screen.mjs";
import { predict } from "./server.mjs";

const LONGEST_MS = 8000; // until the first frame of a playable file
const ANSWERED = "The server answered instead: the timeline leads through its answers.";
const SEE = "To see it here, convert it to H.264 in MP4.";
const byId = (id) => document.getElementById(id);

/**
 * Show a file; with `live` the caller runs it in this browser while it plays.
 * @returns {Promise<() => void>} the function that stops it
 */
export async function watchFile({ file, card, video, screen, live }) {
  const leaving = new AbortController();
  const url = URL.createObjectURL(file);
  const leave = () => {
    leaving.abort();
    URL.revokeObjectURL(url);
    video.onerror = null;
    byId("unplayable").hidden = true;
  };
  const isVideo = card.sequence.kind === "video";
  let length = 0;
  const how = { live: false, length: () => Math.max(length, video.duration || 0) };
  screen.begin(file.name, how);
  screen.set("reading");
  try {
    const isPicture = !isVideo || file.type.startsWith("image/");
    const isShown = isPicture ? await shows(file, url) : await plays(video, url);
    if (leaving.signal.aborted) return leave;
    if (isPicture) Object.assign(how, { now: () => length });
    else if (isShown) Object.assign(how, { now: () => video.currentTime, seek: (time) => (video.currentTime = time) });
    const what = isShown ? "" : inWords(await kindOf(file), file.name);
    if (!isShown) showMessage(`This browser cannot show ${what}.`, "The server looks at it instead …");
    if (live && !video.hidden) {
      byId("play").hidden = false;
      await video.play();
      return leave;
    }
    const result = await predictWithProgress(file, leaving.signal);
    length = take(result, screen);
    const fill = result.window_fill ?? 1;
    screen.set("file", fill < 1 ? short(fill) : "");
    if (!isShown) {
      showMessage(`This browser cannot show ${what}.`, isPicture ? ANSWERED : `${ANSWERED} ${SEE}`);
      screen.choose(result.events[0]?.peak ?? 0);
    }
  } catch (error) {
    leave();
    throw error;
  }
  if (!video.hidden) {
    video.onerror = () => {
      video.hidden = true;
      Object.assign(how, { now: undefined, seek: undefined });
      showMessage("This browser cannot play the rest of it.", "The server's answers are on the timeline.");
    };
    byId("play").hidden = false;
    video.play().catch(() => {}); // a browser may require a click first
  }
  return leave;
}

function short(fill) {
  return `It fills ${Math.round(100 * fill)} % of the model's window: one answer, from what there is.`;
}

function showMessage(title, advice) {
  byId("unplayable").hidden = false;
  byId("unplayable-title").textContent = title;
  byId("unplayable-text").textContent = advice;
}

/** Play the video if this browser can decode it, and return whether it can. */
async function plays(video, url) {
  video.src = url;
  const isPlayable = await new Promise((resolve) => {
    // A browser that decodes the sound but not the pictures plays a black picture.
    video.onloadeddata = () => resolve(video.videoWidth > 0);
    video.onerror = () => resolve(false);
    setTimeout(() => resolve(false), LONGEST_MS);
  });
  video.onloadeddata = video.onerror = null;
  video.hidden = !isPlayable;
  if (!isPlayable) video.removeAttribute("src");
  return isPlayable;
}

/** Show the picture if this browser can decode it, and return whether it can. */
async function shows(file, url) {
  const image = Object.assign(new Image(), { src: url });
  try {
    await image.decode();
  } catch {
    return false;
  }
  showPicture(file, "file");
  return true;
}

async function predictWithProgress(file, signal) {
  const progress = byId("progress");
  progress.hidden = false;
  try {
    return await predict(file, signal, (share) => {
      if (share < 1) progress.value = share;
      else progress.removeAttribute("value"); // the server is processing it
    });
  } finally {
    progress.hidden = true;
  }
}

/** Show the server's predictions and return the time of the last one. */
function take(result, screen) {
  const answers = result.windows;
  for (const answer of answers) screen.history.add(answer, true);
  for (const event of result.events) screen.event(event);
  return answers.at(-1)?.time ?? 0;
}
