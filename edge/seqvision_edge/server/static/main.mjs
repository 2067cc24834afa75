// The page: model card → screen; a camera, a file or a source of the device → predictions.

import { BrowserModel } from "./browser-model.mjs";
import { CameraError, cameras, openCamera } from "./camera.mjs";
import { watchDevice } from "./device.mjs";
import { watchFile } from "./file.mjs";
import { watchLive } from "./live.mjs";
import { Overview } from "./overview.mjs";
import { colours } from "./palette.mjs";
import { Screen, showPicture } from "./screen.mjs";
import * as server from "./server.mjs";
import { setUpTheme } from "./theme.mjs";
import { sequence } from "./words.mjs";

const COMMAND = "edge-serve --fetch-web-runtime";
const DEVICES_MS = 1000;
const byId = (id) => document.getElementById(id);
const video = byId("video");

setUpTheme(byId("theme"));
const card = await aboutModel();
const screen = new Screen(card);
const isVideo = card.sequence.kind === "video";
const isVectors = card.sequence.kind === "vectors"; // numbers: nothing that a page could show
const overview = new Overview(colours(card.labels, card.decision.background), watchSource);
let devices = []; // names of the device's sources
let model = null; // this browser's model, while its switch is on
let stop = () => {}; // stops the current source
let again = null; // restarts the current source: after the switch was changed
setUp();

async function setUp() {
  if (isVectors) return aboutVectors();
  const { width, height } = card.image;
  byId("model-line").textContent =
    `${card.labels.length} labels · ${sequence(card.sequence)} · ${width} × ${height} pixels`;
  byId("privacy").textContent = `Pictures go to ${location.host} and nowhere else.`;
  byId("file-input").accept = isVideo ? "video/*" : "image/*";
  byId("start-file").textContent = isVideo ? "Open a video" : "Open a picture";
  for (const id of ["camera", "start-camera"]) on(id, "click", () => begin("camera", startCamera));
  for (const id of ["file", "start-file"]) on(id, "click", () => byId("file-input").click());
  on("cameras", "change", () => begin("camera", startCamera));
  on("device", "change", () => byId("device").value && watchSource(byId("device").value));
  on("start-device", "click", openDevices);
  on("all", "click", openDevices);
  for (const id of ["overview-camera", "overview-file"])
    on(id, "click", () => byId(id.replace("overview-", "")).click());
  on("mirror", "change", mirror);
  on("stop", "click", leave); // with several sources, `all` returns to them
  on("large", "click", () => enlarge(byId("large").ariaPressed !== "true"));
  on("play", "click", () => (video.paused ? video.play() : video.pause()));
  on("in-browser", "change", switchBrowser);
  on("file-input", "change", () => open(byId("file-input").files[0]));
  document.addEventListener("keydown", ({ key }) => key === "Escape" && enlarge(false));
  for (const name of ["play", "pause"])
    video.addEventListener(name, () => (byId("play").textContent = video.paused ? "Play" : "Pause"));
  video.addEventListener("resize", () => shape(video.videoWidth / video.videoHeight));
  setUpDrop();
  byId("main").inert = false; // before, a click would have been lost
  byId("main").removeAttribute("aria-busy");
  byId("record").hidden = !card.recording_enabled;
  await Promise.all([offerBrowser(), offerDevices()]);
}

/** Describe a model of vectors, whose clients are programs. */
function aboutVectors() {
  byId("model-line").textContent = `${card.labels.length} labels · ${sequence(card.sequence)}`;
  byId("start-title").textContent = "This model reads vectors, not pictures";
  byId("start-text").textContent =
    "Programs send them: POST /v1/predict for a clip, /v1/streams for a stream; see /docs.";
  for (const id of ["start-camera", "start-file", "camera", "file"]) byId(id).hidden = true;
  byId("main").inert = false;
  byId("main").removeAttribute("aria-busy");
}

/** Return the server's model card, as soon as it is available. */
async function aboutModel() {
  for (;;) {
    try {
      return await server.model();
    } catch (error) {
      if (error.status === 401) location.reload(); // to the page that requires the token
      welcome("The model cannot be read", `${error.message}. Trying again.`, "Use this camera");
      await new Promise((resolve) => setTimeout(resolve, 2000));
    }
  }
}

function on(id, event, act) {
  byId(id).addEventListener(event, act);
}

/** Start a source; `start(hold)` passes to `hold` the function that stops it. */
async function begin(kind, start) {
  leave();
  overview.close();
  const visit = (begin.visit = Symbol(kind));
  again = () => begin(kind, start);
  for (const id of ["camera", "file"]) byId(id).ariaPressed = String(kind === id);
  byId("stop").hidden = false;
  byId("mirror-label").hidden = kind !== "camera";
  if (kind !== "device") byId("device").value = "";
  byId("all").hidden = devices.length < 2;
  byId("in-browser").disabled = kind === "device" || !offerBrowser.isThere;
  try {
    const leaveIt = await start();
    if (begin.visit === visit) stop = leaveIt;
    else leaveIt();
  } catch (error) {
    if (begin.visit === visit && error.name !== "AbortError") problem(error);
  }
}

/** Stop the current source. */
function leave() {
  stop();
  stop = () => {};
  begin.visit = null;
  video.pause();
  video.removeAttribute("src");
  video.srcObject = null;
  video.hidden = true;
  video.classList.remove("mirrored");
  showPicture(null);
  for (const id of ["play", "stop", "all", "progress", "agreement", "mirror-label"]) byId(id).hidden = true;
  for (const id of ["camera", "file"]) byId(id).ariaPressed = "false";
  byId("in-browser").disabled = !offerBrowser.isThere;
  welcome("Choose what to watch", "Use a camera, or drop a file anywhere on this page.", "Use this camera");
  screen.end();
}

/** Show one of the device's sources. */
function watchSource(name) {
  byId("device").value = name;
  const isWatched = begin.visit?.description === "device" && screen.history?.source === name;
  if (!isWatched) begin("device", startDevice);
}

/** Show the device's sources: a single one at once, several side by side. */
function openDevices() {
  if (devices.length === 1) return watchSource(devices[0]);
  leave();
  overview.open();
}

async function startCamera() {
  screen.begin("camera", { live: true });
  screen.set("reading");
  const visit = begin.visit;
  const stream = await openCamera(byId("cameras").value);
  const [track] = stream.getVideoTracks();
  if (begin.visit !== visit) {
    track.stop();
    return () => {};
  }
  screen.history.source = track.label;
  video.srcObject = stream;
  video.hidden = false;
  mirror();
  await video.play();
  listCameras(track.getSettings().deviceId);
  const unplugged = () => problem(new CameraError("The camera was unplugged", "Plug it in and try again."));
  track.addEventListener("ended", unplugged);
  const leaveLive = watch(false);
  return () => {
    track.removeEventListener("ended", unplugged);
    track.stop();
    leaveLive();
  };
}

function startDevice() {
  return watchDevice(byId("device").value, screen, (blob) => showPicture(blob, "device"), offerDevices);
}

async function open(file) {
  byId("file-input").value = "";
  if (file) await begin("file", () => startFile(file));
}

async function startFile(file) {
  const leaveFile = await watchFile({ file, card, video, screen, live: model !== null });
  if (!model || video.hidden) return leaveFile;
  const leaveLive = watch(true);
  return () => {
    leaveLive();
    leaveFile();
  };
}

/** Process the video element live. */
function watch(byMedia) {
  const agreement = { most: 0, count: 0 };
  screen.set("starting");
  screen.touch();
  const handlers = {
    onAnswer: (record) => screen.answer(record),
    onEvent: (record) => screen.event(record),
    onRecord: (record) => record.type === "waiting" && screen.wait(record),
    onPicture: (time, blob) => screen.history?.addPicture(time, blob),
    onDifference: (difference) => agree(agreement, difference),
    onLink: (state, words) => showLink(state, words, agreement),
  };
  // The server's card has the current spec; only the state's details are in the file alone.
  const whole = model ? { ...card, state: model.card.state } : card;
  return watchLive({ video, card: whole, model, byMedia, handlers });
}

function showLink(state, words, agreement) {
  if (model) {
    if (state !== "open" && state !== "connecting") agree(agreement, null);
  } else if (state === "open") {
    screen.touch();
    screen.set("starting");
  } else if (state === "closed") screen.set("gone", words && `${words} Trying again.`);
  else if (state === "refused") screen.set("gone", words);
}

async function gone(words) {
  screen.set("gone", words && `${words} Trying again.`);
  // A restarted server no longer knows this page's cookie.
  const reply = await server.model().catch((error) => error);
  if (reply.status === 401 && screen.state === "gone")
    screen.set("gone", "The server requires its token again: reload this page.");
}

/** Show the difference of both models; null: the server is not reachable. */
function agree(agreement, difference) {
  byId("agreement").hidden = false;
  if (difference === null) {
    byId("agreement-number").textContent = "";
    byId("agreement-text").textContent = "The server is gone; this browser goes on by itself.";
    return;
  }
  agreement.most = Math.max(agreement.most, difference);
  agreement.count += 1;
  byId("agreement-number").textContent = agreement.most.toFixed(7);
  byId("agreement-text").textContent =
    `is the largest difference of a probability from the server's, in ${agreement.count} answers for the same frames`;
}

async function switchBrowser() {
  const box = byId("in-browser");
  if (box.checked && !model) {
    box.disabled = true;
    byId("browser-text").textContent = "Loading the model …";
    try {
      model = await BrowserModel.load(await server.modelFile());
    } catch (error) {
      box.checked = false;
      byId("browser-text").textContent = `It does not start: ${error.message}`;
      return;
    } finally {
      box.disabled = false;
    }
  } else if (!box.checked && model) {
    const old = model;
    model = null;
    setTimeout(() => old.close(), 2000); // a frame may be in use
  }
  showBrowser();
  if (begin.visit) again();
}

async function offerBrowser() {
  offerBrowser.isThere = await server.hasVendor();
  byId("in-browser").disabled = !offerBrowser.isThere;
  showBrowser();
}

function showBrowser() {
  const text = byId("browser-text");
  if (!offerBrowser.isThere) {
    const command = document.createElement("code");
    command.textContent = COMMAND;
    text.replaceChildren("Not installed on this server. Once, where it runs: ", command);
  } else if (model) text.textContent = "The model runs here, on the same frames; it needs no network now.";
  else text.textContent = "Runs the same model here, on the same frames, and shows that both agree.";
}

/** Fetch the device's sources, if there are any, and show them until something else is chosen. */
async function offerDevices() {
  leave();
  const visit = begin.visit;
  let found;
  while (!(found = await server.sources().catch(() => [])) || !found.length) {
    if (found === null) return; // a server without sources of its own
    await new Promise((resolve) => setTimeout(resolve, DEVICES_MS));
  }
  devices = found.map(({ name }) => name);
  byId("device").replaceChildren(new Option("choose …", ""), ...devices.map((name) => new Option(name, name)));
  byId("device-label").hidden = false;
  byId("start-device").hidden = false;
  byId("start-device").textContent = devices.length === 1 ? `Watch ${devices[0]}` : "All sources";
  for (const id of ["start-camera", "start-file"]) byId(id).classList.remove("primary");
  if (begin.visit === visit) openDevices();
}

async function listCameras(deviceId) {
  const options = (await cameras()).map(({ deviceId: value, label }) =>
    Object.assign(document.createElement("option"), { value, textContent: label }),
  );
  byId("cameras").replaceChildren(...options);
  byId("cameras").value = deviceId;
  byId("cameras-label").hidden = options.length < 2;
}

/** Give the stage the picture's aspect ratio, as far as the layout allows. */
function shape(aspect) {
  byId("stage").style.setProperty("--aspect", Math.min(16 / 9, Math.max(1, aspect || 4 / 3)));
}

function mirror() {
  video.classList.toggle("mirrored", byId("mirror").checked);
}

function problem(error) {
  const isCamera = error instanceof CameraError;
  stop();
  stop = () => {};
  video.hidden = true;
  byId("progress").hidden = true;
  screen.set("problem");
  welcome(
    isCamera ? error.message : "That did not work",
    isCamera ? error.advice : `${error.message.replace(/\.$/, "")}.`,
    isCamera ? "Try again" : "Use this camera",
  );
  byId("start").hidden = false;
  byId("start-camera").focus();
}

function welcome(title, advice, action) {
  byId("start-title").textContent = title;
  byId("start-text").textContent = advice;
  byId("start-camera").textContent = action;
}

function enlarge(large) {
  byId("live").classList.toggle("large", large);
  byId("large").ariaPressed = String(large);
  byId("large").textContent = large ? "Close" : "Large";
}

function setUpDrop() {
  let depth = 0;
  const show = (shown) => (byId("dropping").hidden = !shown);
  addEventListener("dragenter", () => show(++depth > 0));
  addEventListener("dragleave", () => show(--depth > 0));
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    depth = 0;
    show(false);
    open(event.dataTransfer.files[0]);
  });
}
