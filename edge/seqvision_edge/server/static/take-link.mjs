// One take being sent to the server: pictures of a <video> as they come, all of them.

import { eachFrame, jpeg } from "./frames.mjs";

// Maximum queued in the browser: beyond it the network is too slow, and pictures are dropped.
const MOST_WAITING = 8 << 20;

/**
 * Open the connection for a take, before its countdown ends: the server may refuse it.
 * @returns {Promise<{film: function, leave: function}>}
 */
export async function openTake(label, person) {
  const socket = new WebSocket(`${location.origin.replace(/^http/, "ws")}/v1/record`);
  socket.binaryType = "arraybuffer";
  const next = records(socket);
  await opened(socket);
  socket.send(JSON.stringify({ label, person }));
  expect(await next(), "ready");
  return {
    film: (video, seconds, how) => film(socket, next, video, seconds, how),
    leave: () => socket.close(),
  };
}

/** Send the video's pictures for some seconds; return the take that the server has stored. */
async function film(socket, next, video, seconds, { signal, onProgress }) {
  const first = await new Promise((resolve, reject) => {
    let [began, latest, isBusy] = [null, null, false];
    const end = (act, value) => {
      stop();
      signal.removeEventListener("abort", abort);
      socket.removeEventListener("close", closed);
      act(value);
    };
    const abort = () => end(reject, new DOMException("stopped", "AbortError"));
    // The server has refused a picture, or is gone: its last record is the reason.
    const closed = () => end(resolve, true);
    const stop = eachFrame(video, async (now) => {
      if (isBusy) return;
      isBusy = true;
      began ??= now;
      const passed = now - began;
      if (passed > seconds) return end(resolve, false);
      onProgress(Math.min(1, passed / seconds));
      const isRoom = socket.bufferedAmount < MOST_WAITING;
      const blob = isRoom ? await jpeg(video) : null;
      if (blob && (latest === null || passed > latest) && socket.readyState === WebSocket.OPEN) {
        latest = passed;
        socket.send(await message(passed, blob));
      }
      isBusy = false;
    });
    signal.addEventListener("abort", abort);
    socket.addEventListener("close", closed);
  });
  if (!first) socket.send(JSON.stringify({ keep: true }));
  const take = expect(await next(), "take");
  socket.close();
  return take;
}

async function message(time, blob) {
  const bytes = new Uint8Array(8 + blob.size);
  new DataView(bytes.buffer).setFloat64(0, time, true);
  bytes.set(new Uint8Array(await blob.arrayBuffer()), 8);
  return bytes;
}

function expect(record, type) {
  if (record.type !== type) throw new Error(record.message);
  return record;
}

function opened(socket) {
  return new Promise((resolve, reject) => {
    socket.addEventListener("open", resolve);
    socket.addEventListener("close", () => reject(new Error("the server cannot be reached")));
  });
}

/** Return a function for the server's next record, or the reason why there is none. */
function records(socket) {
  const [came, waiting] = [[], []];
  const put = (record) => (waiting.length ? waiting.shift()(record) : came.push(record));
  socket.addEventListener("message", ({ data }) => put(JSON.parse(data)));
  socket.addEventListener("close", ({ reason }) =>
    put({ type: "error", message: reason || "the server is gone, and the take with it" }),
  );
  return () => (came.length ? Promise.resolve(came.shift()) : new Promise((resolve) => waiting.push(resolve)));
}
