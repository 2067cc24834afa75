// The predicted label, large, its probability and age, and the bars of the most probable labels.
// Names of classes enter the page as text, never as markup.

import { FittedLabel } from "./label.mjs";
import { percent } from "./words.mjs";

const MOST_BARS = 5;
const byId = (id) => document.getElementById(id);

/** Shows one prediction, or a message instead. */
export class AnswerView {
  constructor({ labels, decision }, hues) {
    Object.assign(this, { hues, decision });
    this.label = new FittedLabel(byId("label"), room);
    // Few labels keep their positions, which is easier to read.
    this.fixed = labels.length <= MOST_BARS + 1 ? labels : null;
    this.bars = Array.from({ length: Math.min(labels.length, this.fixed ? labels.length : MOST_BARS) }, bar);
    byId("bars").replaceChildren(...this.bars.map(({ item }) => item));
    this.show(null, "");
  }

  /**
   * Show a prediction; without one, show the word and the progress, 0 to 1, and no probability.
   * Of an unsure prediction the label is small next to its probability, and everything is grey.
   */
  show(answer, word, age = "", done = 0) {
    const isUnsure = answer?.unsure === true;
    byId("label").classList.toggle("word", !answer || isUnsure);
    this.label.set(!answer ? word : isUnsure ? "unsure" : answer.label);
    byId("answer").classList.toggle("unsure", isUnsure);
    byId("sure").style.setProperty("--share", answer?.probability ?? done);
    byId("sure").style.setProperty("--hue", answer ? this.hues.get(answer.label) : "var(--quiet)");
    byId("bars").classList.toggle("empty", !answer);
    set("best", isUnsure ? answer.label : "");
    set("probability", answer ? percent(answer.probability) : "");
    set("age", answer ? age : "");
    set("why", isUnsure ? `Below ${percent(this.decision.min_confidence)}: it counts for no label.` : "");
    this.showBars(answer?.probabilities ?? {});
  }

  showBars(probabilities) {
    const names =
      this.fixed ??
      Object.keys(probabilities).sort((a, b) => probabilities[b] - probabilities[a]);
    this.bars.forEach(({ item, name, fill, number }, index) => {
      const label = names[index];
      const share = probabilities[label];
      if (name.textContent !== (label ?? "")) name.textContent = name.title = label ?? "";
      item.style.setProperty("--hue", this.hues.get(label) ?? "transparent");
      fill.style.setProperty("--share", share ?? 0);
      number.textContent = share === undefined ? "" : percent(share);
    });
  }
}

function bar() {
  const item = document.createElement("li");
  const [name, track, fill, number] = ["span", "div", "div", "span"].map((tag) =>
    document.createElement(tag),
  );
  name.className = "name";
  track.className = "track";
  number.className = "number";
  track.append(fill);
  item.append(name, track, number);
  return { item, name, fill, number };
}

function set(id, text) {
  const element = byId(id);
  if (element.textContent !== text) element.textContent = text;
}

/** Return the pixels available for the label. */
function room() {
  const { clientWidth: width, clientHeight: height } = byId("label").parentElement;
  const isLarge = byId("live").classList.contains("large");
  const isWord = byId("label").classList.contains("word");
  const largest = isLarge ? (isWord ? 160 : 352) : isWord ? 42 : 102;
  return { width, height, largest };
}
