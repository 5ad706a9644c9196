// Tests the portal in a browser:  node browser_test_portal.mjs BASE ORIGIN [IMAGES]
import assert from "node:assert/strict";
import { audit, base, browser, DESKTOP, enter, errors, finish, open, PASSWORD, PHONE, press, screenshot, text, until } from "./browser.mjs";
import { stepsOf } from "./browser_portal.mjs";

const portal = `${base}/portal/`;
const email = `portal-${Date.now()}@example.com`;
const NEW_PASSWORD = "a lighthouse in the fog";
const page = await open(portal, DESKTOP);

const { fill, send, view, follow, status, pressKeys, tabTo, logIn } = stepsOf(page);

// Register: a refused value is shown at its field, which gets the focus.
await audit(page, "login");
await follow("Register", "Register");
await send("#register", { firstname: "Grace", lastname: "H0pper", phone: "+44 20 7946 0018", email, password: PASSWORD });
await until(page, () => document.activeElement.name === "lastname" && document.activeElement.ariaInvalid === "true");
const described = await page.evaluate(() => document.activeElement.getAttribute("aria-describedby").split(" ")
  .map((id) => document.getElementById(id).textContent).join(""));
assert.match(described, /^Last name .+/);
await audit(page, "registration with an error");
await enter(page, '#register [name="lastname"]', "Hopper");
await press(page, "#register [type=submit]");
await view("My deals");

// Keyboard only: create a deal, then edit it.
await page.setViewport(PHONE);
const reachable = await page.$eval('a[href="#/deals/new"]', (link) => link.getBoundingClientRect().bottom <= window.innerHeight);
assert.ok(reachable, "New deal needs scrolling at phone width");
await page.setViewport(DESKTOP);
await tabTo("New deal");
await pressKeys("Enter");
await view("New deal");
await tabTo("Deal name");
await page.keyboard.type("Fleet renewal");
await tabTo("Amount (optional)");
await page.keyboard.type("12 apples");
await pressKeys("Enter");
await until(page, () => document.activeElement.name === "amount" && document.activeElement.ariaInvalid === "true");
await audit(page, "new deal");
await page.$eval('[name="amount"]', (field) => field.select());
await page.keyboard.type("1500.50");
await pressKeys("Enter");
await view("Fleet renewal");
await status("The deal is created.");
await tabTo("Edit");
await pressKeys("Enter");
await view("Edit deal");
await audit(page, "edit");
await tabTo("Deal description (optional)");
await page.keyboard.type("Twelve vans, delivered in two lots.");
await tabTo("Save");
await pressKeys("Enter");
await view("Fleet renewal");
await status("Changes saved.");
assert.match(await text(page, "dl"), /1,500\.50.*Twelve vans/s);

// A ticket on the deal.
await follow("New ticket", "New ticket on Fleet renewal");
await fill("#ticket", { subject: "Third van is late", description: "It was due on Monday." });
await press(page, '#ticket [value="technical_issue"]');
await press(page, '#ticket [value="service_request"]');
await audit(page, "new ticket");
await press(page, "#ticket [type=submit]");
await view("Third van is late");
assert.match(await text(page, "dl"), /CategoryProduct issue, Service request/);
await audit(page, "ticket");
await follow("The deal", "Fleet renewal");
await audit(page, "deal");
await follow("Third van is late", "Third van is late");
const ticket = page.url();
assert.match(await text(page, "dl"), /Ticket statusNew/);

// A property that the operator has added is in the form and in the view, without a change of the portal.
const script = await (await fetch(`${portal}portal.js`)).text();
assert.ok(!script.includes("van_features"));
await follow("My deals", "My deals");
await follow("New deal", "New deal");
await fill("#deal", { dealname: "Vans for fish" });
await press(page, '#deal [value="cold_box"]');
await press(page, '#deal [value="tow_bar"]');
await screenshot(page, "portal-form.png");
await send("#deal", {});
await view("Vans for fish");
assert.match(await text(page, "dl"), /Van featuresCold box, Tow bar/);
await follow("Edit", "Edit deal");
await press(page, '#edit [value="tow_bar"]');
await send("#edit", {});
await view("Vans for fish");
assert.match(await text(page, "dl"), /Van featuresCold box$/);
await press(page, "#archive");
await press(page, "#confirm");
await view("My deals");

// Two tabs edit one ticket: the second one sees the conflict and loses nothing.
await page.goto(ticket);
await follow("Edit", "Edit ticket");
const other = await open(`${ticket}/edit`, DESKTOP);
await enter(other, '#edit [name="description"]', "It was due on Monday, and nobody answers the phone.");
await press(other, "#edit [type=submit]");
await until(other, () => document.querySelector("#status").textContent === "Changes saved.");
await other.close();
await send("#edit", { hs_ticket_priority: "HIGH" });
await until(page, () => document.activeElement.id === "conflict");
assert.match(await text(page, "#conflict tbody"), /Ticket descriptionIt was due on Monday\.It was due on Monday, and nobody/);
await audit(page, "edit with a conflict");
await screenshot(page, "portal-conflict.png");
await press(page, "#edit [type=submit]");
await view("Third van is late");
assert.match(await text(page, "dl"), /nobody answers the phone.*High/s);

// Stages of several pipelines are in one list; a stage brings its pipeline.
await follow("Edit", "Edit ticket");
const repairs = await page.$$eval("#edit option", (options) => options.find(({ label }) => label === "Repairs: In the workshop").value);
await send("#edit", { hs_pipeline_stage: repairs });
await view("Third van is late");
assert.match(await text(page, "dl"), /In the workshop/);

// Search.
await follow("Search", "Search");
await send("#search", { q: "van" });
await view("Results for “van”");
assert.match(await text(page, "#results"), /Tickets.*Third van is late/s);
await audit(page, "search");

// Archive another deal; the dialog can be closed with Escape.
await follow("My deals", "My deals");
await follow("New deal", "New deal");
await send("#deal", { dealname: "Mistake" });
await view("Mistake");
await tabTo("Archive");
await pressKeys("Enter");
await page.waitForSelector("dialog[open]");
await audit(page, "archive");
await pressKeys("Escape");
await until(page, () => !document.querySelector("dialog") && document.activeElement.id === "archive");
await press(page, "#archive");
await press(page, "#confirm");
await view("My deals");
await status("“Mistake” is archived.");
assert.deepEqual(await page.$$eval("[data-deal] h2 a", (links) => links.map(({ textContent }) => textContent)), ["Fleet renewal"]);

// An expired access token is refreshed once, even if several requests need it at the same time.
let refreshCount = 0;
const countRefresh = (request) => (refreshCount += request.method() === "POST" && request.url().endsWith("/api/token/refresh") ? 1 : 0);
const endAccessToken = () => {
  const [[name, stored]] = Object.entries(localStorage);
  localStorage.setItem(name, JSON.stringify({ ...JSON.parse(stored), access_token: "ended" }));
};
page.on("request", countRefresh);
await page.evaluate(endAccessToken);
await page.reload();
await page.waitForSelector("[data-deal]");
assert.equal(refreshCount, 1);

// Four tabs that need a refresh at the same time send one, and all stay logged in.
const tabs = [];
for (let count = 0; count < 3; count++) {
  const tab = await open(portal, DESKTOP);
  tab.on("request", countRefresh);
  await tab.waitForSelector("[data-deal]");
  tabs.push(tab);
}
await page.evaluate(endAccessToken);
await Promise.all([page, ...tabs].map((tab) => tab.reload()));
await Promise.all([page, ...tabs].map((tab) => tab.waitForSelector("[data-deal]")));
assert.equal(refreshCount, 2);
for (const tab of tabs.slice(1)) await tab.close();
await page.bringToFront();

// Outages: a service that cannot be reached, and one that responds with 503, end no session and are retried.
const errorsBefore = errors.length;
await page.setRequestInterception(true);
const problem = {
  status: 503, headers: { "Retry-After": "1" }, contentType: "application/problem+json",
  body: JSON.stringify({ code: "hubspot_unavailable", detail: "HubSpot is not available.", details: [] }),
};
const refreshOutage = (request) => (request.url().endsWith("/api/token/refresh") ? request.respond(problem) : request.continue());
page.on("request", refreshOutage);
await page.evaluate(endAccessToken);
await page.reload();
await page.waitForSelector("#retry");
page.off("request", refreshOutage);
await page.setRequestInterception(false);
await page.waitForSelector("[data-deal]"); // without a click: the portal retries after Retry-After
await page.setRequestInterception(true);
const outage = (request) => {
  if (!request.url().startsWith(`${base}/api/`)) return request.continue();
  if (request.url().includes("/api/me")) return request.abort();
  return request.respond(problem);
};
page.on("request", outage);
await page.reload();
await page.waitForSelector("#retry-now");
assert.match(await text(page, "main"), /cannot be reached.*still logged in.*tries again in \d s/s);
await audit(page, "outage");
page.off("request", outage);
await page.setRequestInterception(false);
await press(page, "#retry-now");
await page.waitForSelector("[data-deal]");
await follow("New deal", "New deal");
await page.setRequestInterception(true);
page.on("request", outage);
await send("#deal", { dealname: "During an outage" });
await until(page, () => /HubSpot is not available.*entries are still here.*about 1 seconds/.test(document.querySelector("#deal [role=alert]").textContent));
assert.equal(await page.$eval('#deal [name="dealname"]', ({ value }) => value), "During an outage");
await page.evaluate(() => (location.hash = "#/deals"));
await page.waitForSelector("#retry");
page.off("request", outage);
await page.setRequestInterception(false);
await page.waitForSelector("[data-deal]");
errors.length = errorsBefore; // the browser logs each failed request

// Sessions: another browser's session can be ended, the current one is marked.
const context = await browser.createBrowserContext();
const elsewhere = await open(portal, DESKTOP, context);
await stepsOf(elsewhere).logIn(email, PASSWORD, "My deals");
await follow("Profile", "Profile");
const sessions = () => page.$$eval("#sessions li", (items) => items.map(({ textContent }) => textContent));
const listed = await sessions();
assert.equal(listed.length, 2);
assert.match(listed[0], /^Chrome on Linux .*last used .*End$/);
assert.match(listed[1], /^Chrome on Linux .*last used .*This session$/);
await screenshot(page, "portal-profile.png");
await press(page, "#sessions button");
await status("The session has ended.");
assert.deepEqual(await sessions(), [listed[1]]);
await elsewhere.reload();
await stepsOf(elsewhere).view("Log in");
await stepsOf(elsewhere).status("Your session has ended; log in again.");
await context.close();

// Profile and password.
await send("#profile", { phone: "+44 20 7946 0019" });
await status("Your profile is saved.");
await send("#password", { current_password: "wrong password", new_password: NEW_PASSWORD });
await until(page, () => document.querySelector("#password .error:not(:empty)"));
await audit(page, "profile");
await send("#password", { current_password: PASSWORD });
await status("Your password is changed, and all other sessions have ended.");

// Logging out everywhere shows the login in all tabs.
await press(page, "#logout-everywhere");
await press(page, "#confirm");
await view("Log in");
await tabs[0].waitForSelector("#login");
await tabs[0].close();
await logIn(email, NEW_PASSWORD, "My deals");
await press(page, "#logout");
await view("Log in");

// A customer of the demo.
await logIn("customer@example.com", PASSWORD, "My deals");
await audit(page, "my deals");
await screenshot(page, "portal-deals.png");
await page.setViewport(PHONE);
await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: "dark" }]);
await screenshot(page, "portal-phone.png");
await page.setViewport(DESKTOP);
await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: "light" }]);
await press(page, "#logout");
await view("Log in");

// Staff: pages, filters, one contact with its deals.
await logIn("staff@example.com", PASSWORD, "Contacts");
await audit(page, "contacts");
const names = () => page.$$eval("tbody th", (cells) => cells.map(({ textContent }) => textContent));
const firstPage = await names();
await follow("Next page", "Contacts");
const secondPage = await names();
assert.deepEqual(firstPage.filter((name) => secondPage.includes(name)), []);
await follow("Previous page", "Contacts");
assert.deepEqual(await names(), firstPage);
await follow("Deals", "Deals");
await audit(page, "deals");
const contacts = await page.$$eval("tbody .links a", (links) => links.map(({ textContent }) => textContent));
assert.ok(contacts.some((name) => /^[A-Z]/.test(name)), "no deal shows whose deal it is");
assert.match(await text(page, "tbody"), /€.*£|£.*€/s);
await screenshot(page, "portal-staff.png");
await send("#filters", { dealstage: "closedwon" });
await until(page, () => [...document.querySelectorAll("tbody .stage")].every(({ textContent }) => textContent === "Closed Won"));
assert.ok((await names()).length > 0);
await follow("Tickets", "Tickets");
await audit(page, "tickets");
await follow("Contacts", "Contacts");
await send("#filters", { q: "hopper" });
await until(page, () => document.querySelectorAll("tbody tr").length > 0 && /^\d+ record/.test(document.querySelector("#total").textContent));
await follow("Grace Hopper", "Grace Hopper");
assert.match(await text(page, "main"), /Fleet renewal/);
await audit(page, "contact");
await follow("New deal", "New deal for Grace Hopper");
await send("#deal", { dealname: "Workshop in spring" });
await view("Workshop in spring");
await page.evaluate(() => (location.hash = "#/deals/999"));
await view("Not found");
await audit(page, "missing record");

await finish("the portal");
