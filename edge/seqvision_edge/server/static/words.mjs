// Numbers as text for display.

/** Return a time: `0:07.3`, `2:05:07.3`. */
export function clock(seconds) {
  const tenths = Math.round(10 * Math.max(0, seconds));
  const [hours, minutes] = [Math.floor(tenths / 36_000), Math.floor(tenths / 600) % 60];
  const rest = ((tenths % 600) / 10).toFixed(1).padStart(4, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

export const percent = (share) => `${Math.round(100 * share)} %`;

/** Return an age as text that changes slowly enough to be read. */
export function ago(seconds) {
  if (seconds < 1) return "now";
  return seconds < 60 ? `${Math.floor(seconds)} s ago` : `${Math.floor(seconds / 60)} min ago`;
}

export const milliseconds = (value) =>
  value === undefined || value === null ? "–" : `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;

/** Return a text about a card's sequence. */
export function sequence({ kind, fps, frames, steps, features }) {
  if (kind === "vectors")
    return `${frames} vectors of ${features} features at ${Number(fps.toFixed(2))} fps`;
  if (kind === "video") return `${frames} frames at ${Number(fps.toFixed(2))} fps`;
  return steps ? `pictures as ${kind}, at most ${steps} steps` : `pictures as ${kind}`;
}

/** Return the duration of a silence: `no data for 4 s`, `… for 3 min`. */
export function silence(seconds) {
  if (seconds < 120) return `no data for ${Math.floor(seconds)} s`;
  if (seconds < 7200) return `no data for ${Math.floor(seconds / 60)} min`;
  return `no data for ${Math.floor(seconds / 3600)} h`;
}
