// Recording: a camera → countdown → takes, each saved by the server → the list.

import { CameraError, openCamera } from "./camera.mjs";
import * as server from "./server.mjs";
import { openTake } from "./take-link.mjs";
import { showDialog, showTakes } from "./takes-view.mjs";
import { setUpTheme } from "./theme.mjs";

const byId = (id) => document.getElementById(id);
const video = byId("video");
const PAUSE_MS = 700; // so that the end of a take is visible before the next one begins
let running = null; // stops the takes being recorded

setUpTheme(byId("theme"));
byId("privacy").textContent = `Pictures go to ${location.host} and nowhere else.`;
byId("start-camera").addEventListener("click", startCamera);
byId("plan").addEventListener("submit", (event) => {
  event.preventDefault();
  recordAll();
});
byId("stop").addEventListener("click", () => running?.abort());
await list();

async function startCamera() {
  try {
    const stream = await openCamera();
    video.srcObject = stream;
    stream.getVideoTracks()[0].addEventListener("ended", () => {
      running?.abort();
      trouble(new CameraError("The camera was unplugged", "Plug it in and try again."));
    });
    await video.play();
  } catch (error) {
    trouble(error);
    return;
  }
  // The preview is mirrored; the recording is not.
  video.classList.add("mirrored");
  byId("stage").style.setProperty("--aspect", video.videoWidth / video.videoHeight);
  video.hidden = false;
  byId("start").hidden = true;
  byId("go").disabled = false;
  byId("label").focus();
}

function trouble(error) {
  video.hidden = true;
  byId("go").disabled = true;
  byId("start").hidden = false;
  byId("start-title").textContent = error.message;
  byId("start-text").textContent = error.advice ?? "";
  byId("start-camera").textContent = "Try again";
  byId("start-camera").focus();
}

/** Record the requested number of takes; stopping one stops all. */
async function recordAll() {
  const [label, person] = [byId("label").value, byId("person").value];
  const [seconds, countdown, takes] = ["seconds", "countdown", "takes"].map((id) => byId(id).valueAsNumber);
  running = new AbortController();
  busy(true);
  banner("");
  let kept = 0;
  try {
    while (kept < takes) {
      announce(`${label}: take ${kept + 1} of ${takes}`);
      await recordOne({ label, person, seconds, countdown, signal: running.signal });
      kept += 1;
      await list();
      if (kept < takes) await pause(PAUSE_MS, running.signal);
    }
    announce(`${kept} ${kept === 1 ? "take" : "takes"} of ${label} saved.`);
  } catch (error) {
    announce(`${kept} of ${takes} saved.`);
    if (error.name !== "AbortError") banner(error.message);
  } finally {
    running = null;
    busy(false);
    byId(byId("go").disabled ? "start-camera" : "go").focus();
  }
}

async function recordOne({ label, person, seconds, countdown, signal }) {
  for (let left = countdown; left > 1; left -= 1) await count(left, signal);
  // Opened in its last second: an idle connection is closed by the server.
  const take = await openTake(label, person);
  try {
    if (countdown > 0) await count(1, signal);
    byId("red").hidden = byId("progress").hidden = false;
    const onProgress = (share) => (byId("progress").value = share);
    return await take.film(video, seconds, { signal, onProgress });
  } finally {
    take.leave();
    for (const id of ["count", "red", "progress"]) byId(id).hidden = true;
  }
}

async function count(left, signal) {
  byId("count").textContent = left;
  byId("count").hidden = false;
  try {
    await pause(1000, signal);
  } finally {
    byId("count").hidden = true;
  }
}

/** Fetch the list of takes, and show it. */
async function list() {
  try {
    const { folder, takes, labels, seconds } = await server.takes();
    byId("model-line").textContent = `into the folder ${folder}`;
    byId("seconds").max = seconds;
    byId("labels").replaceChildren(...labels.map((label) => new Option(label, label)));
    showTakes(takes, { onShow: show, onLabel: rename, onDelete: remove });
  } catch (error) {
    if (error.status === 401) location.reload(); // to the page that requires the token
    banner(`The takes cannot be read: ${error.message}.`);
  }
}

function show(take) {
  byId("player").hidden = false;
  byId("film").alt = `The take ${take.path}`;
  byId("film").src = server.filmOf(take.path);
  byId("film-name").textContent = take.path;
}

async function rename(take) {
  const label = await showDialog(`What does ${take.path} show?`, "Rename", take.label);
  if (label !== null) await change(() => server.relabel(take.path, label), `${take.path} is renamed.`);
}

async function remove(take) {
  if ((await showDialog(`Delete ${take.path} for good?`, "Delete")) === null) return;
  byId("player").hidden = true;
  byId("film").removeAttribute("src");
  await change(() => server.deleteTake(take.path), `${take.path} is deleted.`);
}

async function change(act, words) {
  banner("");
  try {
    await act();
    announce(words);
  } catch (error) {
    banner(`${error.message}.`);
  }
  await list();
}

function busy(isBusy) {
  for (const element of byId("plan").elements) if (element.id !== "stop") element.disabled = isBusy;
  byId("go").disabled = isBusy || video.hidden;
  byId("stop").hidden = !isBusy;
  if (isBusy) byId("stop").focus();
}

function announce(words) {
  byId("status").textContent = words;
}

function banner(words) {
  byId("banner").textContent = words;
  byId("banner").hidden = !words;
}

function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const abort = () => {
      clearTimeout(timer);
      reject(new DOMException("stopped", "AbortError"));
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", abort);
      resolve();
    }, milliseconds);
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort, { once: true });
  });
}
