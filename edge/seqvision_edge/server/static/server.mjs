// The HTTP requests of the page.

/** The server refused, or could not be reached; the message is for the user. */
export class ServerError extends Error {
  constructor(message, status = 0) {
    super(message);
    this.status = status;
  }
}

/** Seconds for a whole response, for the model's file, and between two steps of an upload. */
export const deadlines = { answer: 30, file: 600, upload: 180 };

/** Return the server's model card, without its origin. */
export const model = () => get("/v1/model", "json");

/** Return the device's sources, [{name, …}]; null if the server has none. */
export async function sources() {
  try {
    return (await get("/v1/sources", "json")).sources;
  } catch (error) {
    if (error.status === 404) return null;
    throw error;
  }
}

/** Return the bytes of model.onnx. */
export const modelFile = async () =>
  new Uint8Array(await get("/v1/model/file", "arrayBuffer", {}, deadlines.file));

/** Return whether the server has the files that run a model in a browser. */
export async function hasVendor() {
  try {
    await get("/page/vendor/ort.wasm.min.mjs", "text");
    return true;
  } catch {
    return false;
  }
}

/** Return the newest picture of a device's source as a Blob, null if there is none yet. */
export async function picture(name, signal) {
  try {
    return await get(`/v1/sources/${encodeURIComponent(name)}/picture`, "blob", { signal });
  } catch (error) {
    if (error.status === 404) return null;
    throw error;
  }
}

// A file is read at thousands of frames a second, which would block the page.
const MAX_RATE = 20;

/** Return the event stream of a device's source: its events and states, and the newest predictions.
*/
export const eventsOf = (name) =>
  new EventSource(`/v1/sources/${encodeURIComponent(name)}/events?predictions=true&max_rate=${MAX_RATE}`);

/** Return the takes of the folder, {folder, takes, labels, seconds}. */
export const takes = () => get("/v1/takes", "json");

/** Return the URL that plays a take; a new one each time restarts it. */
export const filmOf = (path) => `/v1/takes/film?path=${encodeURIComponent(path)}&at=${Date.now()}`;

/** Give a take another label. */
export const relabel = (path, label) =>
  get(`/v1/takes?path=${encodeURIComponent(path)}`, "text", {
    method: "PATCH",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ label }),
  });

/** Delete a take for good. */
export const deleteTake = (path) =>
  get(`/v1/takes?path=${encodeURIComponent(path)}`, "text", { method: "DELETE" });

/** Upload a file and return its predictions; `onSent` gets the fraction sent. */
export function predict(file, signal, onSent = () => {}) {
  return new Promise((resolve, reject) => {
    const body = new FormData();
    body.append("file", file, file.name);
    const request = new XMLHttpRequest(); // fetch does not report upload progress
    request.open("POST", "/v1/predict?timeline=true&probabilities=true");
    request.responseType = "json";
    // An upload may take long, and has no deadline while it makes progress.
    let waiting;
    const wait = () => {
      clearTimeout(waiting);
      waiting = setTimeout(() => {
        reject(new ServerError("the server does not answer"));
        request.abort();
      }, 1000 * deadlines.upload);
    };
    request.upload.onprogress = ({ loaded, total }) => {
      wait();
      onSent(total ? loaded / total : 0);
    };
    request.onloadend = () => clearTimeout(waiting);
    request.onload = () => {
      if (request.status === 200 && request.response) resolve(request.response.predictions[0]);
      else reject(new ServerError(reason(request.response, request.status), request.status));
    };
    request.onerror = () => reject(new ServerError("the server cannot be reached"));
    request.onabort = () => reject(new DOMException("left", "AbortError"));
    signal.addEventListener("abort", () => request.abort());
    wait();
    request.send(body);
  });
}

/** Send a request, and return text, json, blob or arrayBuffer; throw if it was refused. */
async function get(path, kind, options = {}, seconds = deadlines.answer) {
  const late = AbortSignal.timeout(1000 * seconds);
  const signal = options.signal ? AbortSignal.any([options.signal, late]) : late;
  try {
    const response = await fetch(path, { ...options, signal });
    if (response.ok) return await response[kind]();
    const body = await response.json().catch(() => null);
    throw new ServerError(reason(body, response.status), response.status);
  } catch (error) {
    if (error instanceof ServerError || error.name === "AbortError") throw error;
    const isLate = error.name === "TimeoutError";
    throw new ServerError(isLate ? "the server does not answer" : "the server cannot be reached");
  }
}

function reason(body, status) {
  const detail = body?.detail;
  return typeof detail === "string" ? detail : `the server answered ${status}`;
}
