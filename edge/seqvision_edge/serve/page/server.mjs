// What the page asks of its server by HTTP.

/** The server refused, or could not be reached; the message is for people. */
export class ServerError extends Error {
  constructor(message, status = 0) {
    super(message);
    this.status = status;
  }
}

/** Return what the server says of its model: the card without where it comes from. */
export const model = async () => (await get("/v1/model")).json();

/** Return what the device watches, [{name, …}]; null where the server is no device's. */
export async function sources() {
  try {
    return (await (await get("/v1/sources")).json()).sources;
  } catch (error) {
    if (error.status === 404) return null;
    throw error;
  }
}

/** Return the bytes of model.onnx. */
export const modelFile = async () => new Uint8Array(await (await get("/v1/model/file")).arrayBuffer());

/** Whether the server has what runs a model in a browser. */
export async function hasVendor() {
  try {
    await get("/page/vendor/ort.wasm.min.mjs");
    return true;
  } catch {
    return false;
  }
}

/** Return the newest picture of a device's source as a Blob, null while there is none. */
export async function picture(name, signal) {
  try {
    return await (await get(`/v1/sources/${encodeURIComponent(name)}/picture`, { signal })).blob();
  } catch (error) {
    if (error.status === 404) return null;
    throw error;
  }
}

/** Return the stream of a device's source: one message per record. */
export const eventsOf = (name) =>
  new EventSource(`/v1/sources/${encodeURIComponent(name)}/events?predictions=true`);

/** Return the takes of the folder, {folder, takes, labels, seconds}. */
export const takes = async () => (await get("/v1/takes")).json();

/** Where a take is seen as a picture that moves; a new address each time begins it anew. */
export const filmOf = (path) => `/v1/takes/film?path=${encodeURIComponent(path)}&at=${Date.now()}`;

/** Give a take another label. */
export const relabel = (path, label) =>
  get(`/v1/takes?path=${encodeURIComponent(path)}`, {
    method: "PATCH",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ label }),
  });

/** Delete a take for good. */
export const deleteTake = (path) => get(`/v1/takes?path=${encodeURIComponent(path)}`, { method: "DELETE" });

/** Send a file and return what the model says of it; `onSent` is told the share that is sent. */
export function predict(file, signal, onSent = () => {}) {
  return new Promise((resolve, reject) => {
    const body = new FormData();
    body.append("file", file, file.name);
    const request = new XMLHttpRequest(); // fetch does not tell how much is sent
    request.open("POST", "/v1/predict?timeline=true&probabilities=true");
    request.responseType = "json";
    request.upload.onprogress = ({ loaded, total }) => onSent(total ? loaded / total : 0);
    request.onload = () => {
      if (request.status === 200 && request.response) resolve(request.response.predictions[0]);
      else reject(new ServerError(reason(request.response, request.status), request.status));
    };
    request.onerror = () => reject(new ServerError("the server cannot be reached"));
    request.onabort = () => reject(new DOMException("left", "AbortError"));
    signal.addEventListener("abort", () => request.abort());
    request.send(body);
  });
}

/** Ask, and return the answer; what was refused is thrown. */
async function get(path, options = {}) {
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServerError("the server cannot be reached");
  }
  if (response.ok) return response;
  const said = await response.json().catch(() => null);
  throw new ServerError(reason(said, response.status), response.status);
}

function reason(said, status) {
  const detail = said?.detail;
  return typeof detail === "string" ? detail : `the server answered ${status}`;
}
