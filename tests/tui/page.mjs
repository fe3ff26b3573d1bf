// A person at the example's page, in a real Chromium: node page.mjs URL QUESTION [PICTURE]
import { createRequire } from "node:module";

const [url, question, picture] = process.argv.slice(2);
const require = createRequire(`${process.cwd()}/`);  // packages are installed elsewhere
const { default: chromium } = await import(require.resolve("@sparticuz/chromium"));
const { default: puppeteer } = await import(require.resolve("puppeteer-core"));
const args = [...chromium.args, "--no-sandbox"];
const browser = await puppeteer.launch({ args, executablePath: await chromium.executablePath(), headless: "shell" });
try {
  const page = await browser.newPage();
  const wrong = [];
  page.on("pageerror", (error) => wrong.push(String(error)));
  page.on("console", (said) => said.type() === "error" && wrong.push(said.text()));
  await page.setViewport({ width: 1200, height: 800 });
  await page.goto(url);
  await page.type("#question", question);
  await page.click("#asks button");
  await page.waitForFunction(() => document.querySelector("#answer").textContent, { timeout: 120_000 });
  const read = (selector) => page.$$eval(selector, (found) => found.map((each) => each.textContent));
  const told = {
    answer: (await read("#answer"))[0],
    attempts: (await read("article b")).length,
    chosen: (await read("article.chosen .answer"))[0],
    tools: await read(".tool"),
  };
  await page.click("#teaching button[data-value='1']");
  await page.waitForFunction(() => document.querySelector("#thanks").textContent, { timeout: 10_000 });
  if (picture) await page.screenshot({ path: picture });
  console.log(JSON.stringify({ ...told, wrong }));
} finally {
  await browser.close();
}
