// The camera of this browser, and the messages if there is none.

/** Why there is no camera, and what to do. */
export class CameraError extends Error {
  constructor(title, advice) {
    super(title);
    this.advice = advice;
  }
}

/**
 * Open a camera; "" takes the browser's default.
 * @returns {Promise<MediaStream>}
 */
export async function openCamera(deviceId = "") {
  if (!window.isSecureContext || !navigator.mediaDevices?.getUserMedia)
    throw new CameraError(
      "This address is not secure, so the browser keeps the camera closed",
      "Open the page on the device itself as http://localhost, or through https. A video file works here too.",
    );
  const constraints = { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30 } };
  const video = deviceId ? { ...constraints, deviceId: { exact: deviceId } } : constraints;
  try {
    return await navigator.mediaDevices.getUserMedia({ video, audio: false });
  } catch (error) {
    throw inWords(error);
  }
}

/** Return the cameras, [{deviceId, label}]; their names are known once one was allowed. */
export async function cameras() {
  const devices = (await navigator.mediaDevices?.enumerateDevices?.()) ?? [];
  return devices
    .filter(({ kind }) => kind === "videoinput")
    .map(({ deviceId, label }, number) => ({ deviceId, label: label || `Camera ${number + 1}` }));
}

function inWords(error) {
  switch (error.name) {
    case "NotAllowedError":
    case "SecurityError":
      return new CameraError(
        "The camera was not allowed",
        "Allow it for this page, by the sign next to the address or in the browser's settings, and try again.",
      );
    case "NotFoundError":
      return new CameraError(
        "There is no camera here",
        "Plug one in and try again, or open a video file.",
      );
    case "NotReadableError":
    case "AbortError":
      return new CameraError(
        "The camera is busy",
        "Another program or page uses it. Close that one and try again.",
      );
    case "OverconstrainedError":
      return new CameraError("That camera is gone", "Choose another one, or plug it in again.");
    default:
      return new CameraError("The camera does not start", `${error.name}: ${error.message}`);
  }
}
