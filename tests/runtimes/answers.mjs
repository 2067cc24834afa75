// Answer cases with onnxruntime-web: `node answers.mjs CASES.json WEB [CHROMIUM]`; see answers.py.
// WEB is the folder with node_modules; with CHROMIUM the page runs in that browser, else in node.

import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const [casesFile, web, chromium] = process.argv.slice(2);
const cases = JSON.parse(readFileSync(casesFile, "utf8"));
const here = fileURLToPath(new URL(".", import.meta.url));
const ortPackage = join(web, "node_modules/onnxruntime-web");
const { version } = JSON.parse(readFileSync(join(ortPackage, "package.json")));

async function inNode() {
  const ort = createRequire(join(web, "package.json"))("onnxruntime-web");
  ort.env.wasm.numThreads = 1;
  const { answerCase } = await import(pathToFileURL(join(here, "runner.mjs")));
  const answers = {};
  const read = (file) => new Uint8Array(readFileSync(file));
  for (const { name, model, frames, shape } of cases)
    answers[name] = await answerCase(ort, read(model), read(frames), shape);
  return answers;
}

async function inBrowser() {
  const server = createServer(serve);
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  const playwright = createRequire(join(web, "package.json"))("playwright-core");
  const args = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"];
  const browser = await playwright.chromium.launch({ executablePath: chromium, args });
  try {
    const page = await browser.newPage();
    await page.goto(`http://127.0.0.1:${server.address().port}/page`);
    return await page.evaluate(answerAll, cases);
  } finally {
    await browser.close();
    server.close();
  }
}

/** Runs in the page. */
async function answerAll(cases) {
  const ort = await import("/dist/ort.wasm.min.mjs");
  ort.env.wasm.numThreads = 1;
  const { answerCase } = await import("/runner.mjs");
  const read = async (url) => new Uint8Array(await (await fetch(url)).arrayBuffer());
  const answers = {};
  for (const [place, { name, shape }] of cases.entries()) {
    const [model, frames] = [await read(`/model/${place}`), await read(`/frames/${place}`)];
    answers[name] = await answerCase(ort, model, frames, shape);
  }
  return answers;
}

function serve(request, response) {
  const [, kind, name] = request.url.split("/");
  const types = { mjs: "text/javascript", wasm: "application/wasm" };
  const files = {
    model: () => cases[name].model,
    frames: () => cases[name].frames,
    dist: () => join(ortPackage, "dist", name),
    "runner.mjs": () => join(here, "runner.mjs"),
  };
  if (kind in files) {
    const type = types[request.url.split(".").pop()] ?? "application/octet-stream";
    response.setHeader("Content-Type", type);
    response.end(readFileSync(files[kind]()));
  } else {
    response.setHeader("Content-Type", "text/html");
    response.end("<!doctype html><title>seqvision</title>");
  }
}

const answers = await (chromium ? inBrowser() : inNode());
console.log(JSON.stringify({ runtime: `onnxruntime-web ${version}`, answers }));
process.exit(0);
