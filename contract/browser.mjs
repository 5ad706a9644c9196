// Chromium that can reach only this machine, for browser_test_docs.mjs and browser_test_portal.mjs.
import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import puppeteer from "puppeteer-core";

export const [base, origin, images] = process.argv.slice(2);
if (images) mkdirSync(images, { recursive: true });
export const PASSWORD = "demo-lighthouse-42";
export const DESKTOP = { width: 1280, height: 900 };
export const PHONE = { width: 390, height: 844 };

// The timeout is long, because a busy machine is slow.
const LIMIT = 120_000;
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

export const browser = await puppeteer.launch({
  executablePath: process.env.CHROMIUM,
  protocolTimeout: 2 * LIMIT,
  args: ["--no-sandbox", "--disable-dev-shm-usage", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost"],
});
const outside = [];
export const errors = [];
const audited = {};

/** Opens a page; another browser context has its own storage, as another browser has. */
export async function open(url, viewport = { width: 1280, height: 1000 }, context = browser) {
  const page = await context.newPage();
  page.setDefaultTimeout(LIMIT);
  await page.setViewport(viewport);
  page.on("request", (request) => {
    const { protocol, hostname } = new URL(request.url());
    if (protocol !== "data:" && protocol !== "blob:" && hostname !== "localhost") outside.push(request.url());
  });
  page.on("pageerror", (error) => errors.push(`${url}: ${error.message}`));
  page.on("console", (message) => {
    // The browser logs every 4xx; the tests cause some, and they are not errors of the page.
    if (message.type() === "error" && !/the server responded with a status of 4\d\d/.test(message.text())) {
      errors.push(`${url}: ${message.text()}`);
    }
  });
  await page.goto(url, { waitUntil: "networkidle0" });
  return page;
}

export const screenshot = (page, name) => (images ? page.screenshot({ path: join(images, name) }) : null);

/** Waits until the condition holds. Each poll queries the page again, because elements may have been rendered again. */
export const until = (page, condition, ...values) => page.waitForFunction(condition, { polling: 50 }, ...values);

/** Clicks the element as soon as it is enabled. Calls click(), because a pointer can miss a moving element. */
export const press = (page, selector) =>
  until(
    page,
    (selector) => {
      const element = document.querySelector(selector);
      if (!element || element.disabled) return false;
      element.click();
      return true;
    },
    selector,
  );

/** Enters a value, fires the events of typing or choosing, and leaves the field. */
export async function enter(page, selector, value) {
  await until(
    page,
    (selector, text) => {
      const field = document.querySelector(selector);
      if (!field || field.disabled) return false;
      // React overrides the element's setter, so only the prototype's setter triggers its change event.
      Object.getOwnPropertyDescriptor(Object.getPrototypeOf(field), "value").set.call(field, text);
      field.dispatchEvent(new Event("input", { bubbles: true }));
      field.dispatchEvent(new Event("change", { bubbles: true }));
      return field.value === text;
    },
    selector,
    value,
  );
  await page.$eval(selector, (field) => field.dispatchEvent(new FocusEvent("focusout", { bubbles: true })));
}

export const text = (page, selector) => page.$eval(selector, (element) => element.textContent);

async function violations(page, options) {
  await page.evaluate(AXE);
  return page.evaluate(async (options) => {
    const { violations, passes } = await axe.run(document, options);
    if (passes.length === 0) throw new Error("axe-core checked nothing");
    return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 200)).join(" | ")}`);
  }, options);
}

/** Checks the current view with axe-core: in light mode at desktop width, and in dark mode at phone width. */
export async function audit(page, view, { options = {}, phone = true } = {}) {
  const found = [];
  for (const [scheme, viewport] of [["dark", phone ? PHONE : DESKTOP], ["light", DESKTOP]]) {
    await page.setViewport(viewport);
    await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }, { name: "prefers-reduced-motion", value: "reduce" }]);
    found.push(...(await violations(page, options)).map((violation) => `${view}, ${scheme}: ${violation}`));
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    if (phone && overflow > 0) found.push(`${view}, ${viewport.width} px: ${overflow} px too wide`);
  }
  assert.deepEqual(found, []);
  audited[view] = found.length;
}

export async function finish(tested) {
  await browser.close();
  assert.deepEqual(outside, [], "requests to the outside");
  assert.deepEqual(errors, [], "errors in the console");
  console.log(`axe-core violations in light and dark mode: ${Object.entries(audited).map(([view, count]) => `${view} ${count}`).join(", ")}`);
  console.log(`browser: ${tested}; 0 outside requests, 0 console errors`);
}
