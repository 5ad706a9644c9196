// Tests the portal's pages of mailed links in a browser:  node browser_test_mails.mjs BASE LOG
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { audit, base, DESKTOP, finish, open, origin as log, PASSWORD, until } from "./browser.mjs";
import { stepsOf } from "./browser_portal.mjs";

const email = `mails-${Date.now()}@example.com`;
const page = await open(`${base}/portal/`, DESKTOP);
const { send, view, follow, status, logIn } = stepsOf(page);

/** Opens the newest mailed link to this page, of which there are `count` in the demo's output. */
async function openMail(name, count) {
  const links = () => [...readFileSync(log, "utf8").matchAll(new RegExp(`^http\\S+/portal/${name}(#token=\\S+)?$`, "gm"))];
  for (let attempt = 0; links().length < count; attempt++) {
    assert.ok(attempt < 600, `no mail with a link to ${name}`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  await page.goto(links().at(-1)[0], { waitUntil: "networkidle0" });
}
const refused = (form) => until(page, (form) => document.querySelector(`${form} [role=alert]`).textContent !== "", form);

// Register: the mailed link and the password finish the registration.
await follow("Register", "Register");
await send("#register", { firstname: "Ada", lastname: "Lovelace", phone: "+44 20 7946 0018", email, password: PASSWORD });
await view("Log in");
await status("Open the link in the e-mail that you receive, then log in.");
await openMail("verify-email", 1);
await send("#verify", { password: "another password" });
await refused("#verify");
await audit(page, "verification");
await send("#verify", { password: PASSWORD });
await view("Log in");
await status("Your registration is finished; log in.");
assert.equal(page.url(), `${base}/portal/#/login`);
await logIn(email, PASSWORD, "My deals");

// A mailed link works in a browser with a login, ends all sessions, and works once.
await page.evaluate(
  (url, email) => fetch(url, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ email }) }),
  `${base}/api/password/forgot`,
  email,
);
await openMail("reset-password", 1);
await audit(page, "new password");
await send("#reset", { password: "a lighthouse in the fog" });
await view("Log in");
await status("Your password is changed; log in with it.");
await page.goBack();
await send("#reset", { password: "a lighthouse in the rain" });
await refused("#reset");

// A forgotten password.
await follow("Log in", "Log in");
await follow("Forgot your password?", "Forgot your password?");
await audit(page, "forgotten password");
await send("#forgot", { email });
await view("Log in");
await openMail("reset-password", 2);
await send("#reset", { password: "a lighthouse at night" });
await view("Log in");
await logIn(email, "a lighthouse at night", "My deals");

// The pages without a token are for callers without a login.
await page.goto(`${base}/portal/forgot-password`, { waitUntil: "networkidle0" });
await page.waitForSelector("#logout");
await page.click("#logout");
await view("Log in");
await page.goto(`${base}/portal/forgot-password`, { waitUntil: "networkidle0" });
await page.waitForSelector("#forgot");

await finish("the pages of mailed links");
