// Do what the page does with pictures, times and answers: `node arithmetic.mjs PAGE CASES.json`.
// PAGE is the folder of the page's modules; see test_arithmetic.py.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [page, casesFile] = process.argv.slice(2);
const module = (name) => import(pathToFileURL(join(page, name)));
const { stepsOf } = await module("prepare.mjs");
const { Sampler } = await module("sampler.mjs");
const { EventDetector } = await module("event_detector.mjs");

const kinds = {
  steps({ rgb, height, width, card }) {
    const data = new Uint8Array(Buffer.from(rgb, "base64"));
    const { data: out, steps } = stepsOf({ data, height, width, channels: 3 }, card);
    return { steps, data: Buffer.from(out).toString("base64") };
  },
  frames({ fps, claimed, times }) {
    const sampler = new Sampler(fps, claimed);
    return times.map((time) => {
      const isGap = sampler.isGap(time);
      if (isGap) sampler.restart();
      return [isGap, sampler.take(time)];
    });
  },
  stills({ fps, claimed, times }) {
    const sampler = new Sampler(fps, claimed);
    return times.map((time) => {
      const stills = sampler.stills(time);
      return [stills, stills.map((still) => sampler.take(still, true)), sampler.take(time)];
    });
  },
  events({ decision, labels, answers, times, lag }) {
    const detector = new EventDetector(decision, labels, lag);
    const updates = answers.map((answer, index) => detector.update(times[index], answer));
    return [...updates, detector.close(times.at(-1))].flat();
  },
};

const cases = JSON.parse(readFileSync(casesFile, "utf8"));
console.log(JSON.stringify(cases.map(({ kind, ...rest }) => kinds[kind](rest))));
