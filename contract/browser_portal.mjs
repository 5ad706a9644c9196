// Steps in a page of the portal, for browser_test_portal.mjs and browser_test_mails.mjs.
import assert from "node:assert/strict";
import { enter, press, until } from "./browser.mjs";

export function stepsOf(page) {
  const fill = async (form, values) => {
    for (const [name, value] of Object.entries(values)) await enter(page, `${form} [name="${name}"]`, value);
  };
  /** Fills the form and sends it. */
  const send = async (form, values) => {
    await page.waitForSelector(form);
    await fill(form, values);
    await press(page, `${form} [type=submit]`);
  };
  /** Waits for the view with this heading, and for the focus on the heading. */
  const view = (heading) =>
    until(
      page,
      (heading) => {
        const title = document.querySelector("h1");
        return title?.textContent === heading && document.activeElement === title && !document.querySelector("[aria-busy]");
      },
      heading,
    );
  const follow = async (name, heading) => {
    await until(
      page,
      (name) => {
        const link = [...document.querySelectorAll("main a, header a")].find(({ textContent }) => textContent === name);
        link?.click();
        return link !== undefined;
      },
      name,
    );
    await view(heading);
  };
  const status = (expected) => until(page, (expected) => document.querySelector("#status").textContent === expected, expected);
  const pressKeys = async (...keys) => {
    for (const key of keys) await page.keyboard.press(key);
  };
  /** Moves the focus with the Tab key to the element with this label or text. */
  const tabTo = async (name) => {
    for (let count = 0; count < 40; count++) {
      await page.keyboard.press("Tab");
      const focused = await page.evaluate(() => {
        const element = document.activeElement;
        return element.labels?.[0]?.textContent ?? element.textContent;
      });
      if (focused === name) return;
    }
    assert.fail(`${name} cannot be reached with the Tab key`);
  };
  const logIn = async (email, password, heading) => {
    await send("#login", { email, password });
    await view(heading);
  };
  return { fill, send, view, follow, status, pressKeys, tabTo, logIn };
}
