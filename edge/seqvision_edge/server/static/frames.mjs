// Pictures of a <video>: one by one, as JPEG or as pixels.

export const MOST_WIDE = 640;
const QUALITY = 0.85;

/**
 * Call `onFrame(now, shown, count)` for each picture that the video shows, until the returned
 * function is called: seconds of this page, and of the video, and the number of pictures so far.
 */
export function eachFrame(video, onFrame) {
  let goesOn = true;
  const next = (now, shown) => {
    if (!goesOn) return;
    if (video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA && !video.paused)
      onFrame(now / 1000, shown?.mediaTime ?? video.currentTime, shown?.presentedFrames);
    request();
  };
  const request = () =>
    video.requestVideoFrameCallback
      ? video.requestVideoFrameCallback(next)
      : requestAnimationFrame(next);
  request();
  return () => (goesOn = false);
}

const canvas = document.createElement("canvas");
const context = canvas.getContext("2d", { willReadFrequently: true });

/** Draw the video's current picture, at most 640 pixels wide. */
function draw(video) {
  const scale = Math.min(1, MOST_WIDE / video.videoWidth);
  canvas.width = Math.max(1, Math.round(video.videoWidth * scale));
  canvas.height = Math.max(1, Math.round(video.videoHeight * scale));
  context.drawImage(video, 0, 0, canvas.width, canvas.height);
}

/** Return the video's picture as a JPEG. */
export function jpeg(video) {
  draw(video);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", QUALITY));
}

/** Return the video's picture as pixels. */
export function pixels(video) {
  draw(video);
  return context.getImageData(0, 0, canvas.width, canvas.height);
}
