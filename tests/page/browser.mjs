// A browser that does what it is told, one JSON command per line: `node browser.mjs WEB CHROMIUM`.
// WEB is the folder with node_modules; see browser.py.

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

const [web, executablePath] = process.argv.slice(2);
const require = createRequire(join(web, "package.json"));
const { chromium } = require("playwright-core");
const QUIET = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
  "--disable-background-networking", "--disable-component-update",
];
const profile = mkdtempSync(join(tmpdir(), "seqvision-browser-"));
let context, page, complaints;

/** Wait until the page takes clicks, or shows why it cannot. */
async function settled() {
  const isBusy = () =>
    document.querySelector("main[aria-busy]") !== null && !/cannot be read/.test(document.body.innerText);
  const until = Date.now() + 60_000;
  // A page that reloads itself has no answer.
  while (Date.now() < until && (await page.evaluate(isBusy).catch(() => true)))
    await new Promise((resolve) => setTimeout(resolve, 30));
}

const acts = {
  async open({ args }) {
    const options = { executablePath, args: [...QUIET, ...args], acceptDownloads: true };
    context = await chromium.launchPersistentContext(profile, options);
  },
  async visit({ url, viewport, scheme, script }) {
    const before = context.pages();
    page = await context.newPage();
    for (const old of before) await old.close();
    complaints = [];
    page.on("pageerror", (error) => complaints.push(String(error)));
    page.on("console", (message) => {
      if (/Content Security Policy|Refused to/.test(message.text())) complaints.push(message.text());
    });
    page.on("dialog", (dialog) => { complaints.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
    await page.setViewportSize(viewport);
    await acts.scheme({ scheme });
    if (script) await page.addInitScript(script);
    await page.goto(url);
    await settled();
  },
  evaluate: ({ code }) => page.evaluate(code),
  // Not waitForFunction: it evaluates text in the page, which the page's policy forbids.
  async wait({ code, seconds }) {
    const until = Date.now() + 1000 * seconds;
    while (!(await page.evaluate(code))) {
      if (Date.now() > until) throw new Error(`not within ${seconds} s`);
      await new Promise((resolve) => setTimeout(resolve, 30));
    }
  },
  click: ({ selector }) => page.click(selector, { timeout: 10_000 }),
  press: ({ key }) => page.keyboard.press(key),
  fill: ({ selector, text }) => page.fill(selector, text),
  select: ({ selector, value }) => page.selectOption(selector, value),
  files: ({ selector, paths }) => page.setInputFiles(selector, paths),
  async drop({ path, name, type }) {
    const data = await page.evaluateHandle(([text, name, type]) => {
      const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
      const transfer = new DataTransfer();
      transfer.items.add(new File([bytes], name, { type }));
      return transfer;
    }, [readFileSync(path).toString("base64"), name, type]);
    for (const event of ["dragenter", "dragover", "drop"])
      await page.dispatchEvent("#stage", event, { dataTransfer: data });
  },
  async download({ selector }) {
    const [download] = await Promise.all([page.waitForEvent("download"), page.click(selector)]);
    return { name: download.suggestedFilename(), text: readFileSync(await download.path(), "utf8") };
  },
  viewport: ({ width, height }) => page.setViewportSize({ width, height }),
  scheme: ({ scheme }) => page.emulateMedia({ colorScheme: scheme, reducedMotion: "reduce" }),
  screenshot: ({ path, whole }) => page.screenshot({ path, fullPage: whole }).then(() => null),
  async axe() {
    await page.evaluate(readFileSync(require.resolve("axe-core/axe.min.js"), "utf8"));
    const { violations } = await page.evaluate("axe.run()");
    return violations.map(({ id, impact, nodes }) => ({ id, impact, where: nodes.map(({ target }) => target.join(" ")) }));
  },
  complaints: () => complaints,
};

for await (const line of createInterface({ input: process.stdin })) {
  const { act, ...rest } = JSON.parse(line);
  let said;
  try {
    said = { value: (await acts[act](rest)) ?? null };
  } catch (error) {
    said = { error: String(error.stack ?? error).slice(0, 2000) };
  }
  console.log(JSON.stringify(said));
}
await context?.close();
rmSync(profile, { recursive: true, force: true });
