// One colour per label, the same as in `seqvision_edge.drawing`, darker on a light background.

const BACKGROUND = "#94a3b8";
const FIRST = [
  "#38bdf8", "#fb923c", "#a3e635", "#f472b6", "#facc15",
  "#a78bfa", "#2dd4bf", "#f87171", "#60a5fa", "#d946ef",
];
const GOLDEN = 0.618034;

/** Return the CSS colour of each label, a Map; the background's is grey. */
export function colours(labels, background) {
  const hues = labels.filter((label) => label !== background);
  const chosen = new Map(hues.map((label, number) => [label, inBothThemes(colour(number))]));
  if (background !== null) chosen.set(background, inBothThemes(BACKGROUND));
  return chosen;
}

function colour(number) {
  return FIRST[number] ?? `hsl(${((number * GOLDEN) % 1) * 360} 80% 65%)`;
}

function inBothThemes(hue) {
  return `light-dark(color-mix(in oklab, ${hue} 74%, #06141f), ${hue})`;
}
