// Tests Swagger UI and the portal in a real browser that can reach only this machine:
//   node browser_test.mjs BASE ORIGIN [IMAGES]
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdirSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import puppeteer from "puppeteer-core";

const [base, origin, images] = process.argv.slice(2);
const portal = `${base}/portal/`;
if (images) mkdirSync(images, { recursive: true });
const stamp = Date.now();
const PASSWORD = "demo-lighthouse-42";

// The timeout is long, because a busy machine is slow.
const LIMIT = 120_000;

const browser = await puppeteer.launch({
  executablePath: process.env.CHROMIUM,
  protocolTimeout: 2 * LIMIT,
  args: ["--no-sandbox", "--disable-dev-shm-usage", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost"],
});
const outside = [];
const errors = [];

async function open(url, height = 1000) {
  const page = await browser.newPage();
  page.setDefaultTimeout(LIMIT);
  await page.setViewport({ width: 1280, height });
  page.on("request", (request) => {
    const { protocol, hostname } = new URL(request.url());
    if (protocol !== "data:" && protocol !== "blob:" && hostname !== "localhost") outside.push(request.url());
  });
  page.on("pageerror", (error) => errors.push(`${url}: ${error.message}`));
  page.on("console", (message) => {
    // The browser logs every 4xx; this test causes some, and they are not errors of the page.
    if (message.type() === "error" && !/the server responded with a status of 4\d\d/.test(message.text())) {
      errors.push(`${url}: ${message.text()}`);
    }
  });
  await page.goto(url, { waitUntil: "networkidle0" });
  return page;
}

const screenshot = (page, name) => (images ? page.screenshot({ path: join(images, name) }) : null);

/** Waits until the condition condition. Each poll queries the page again, because elements may have been rendered again. */
const until = (page, condition, ...values) => page.waitForFunction(condition, { polling: 50 }, ...values);

/** Clicks the element as soon as it is enabled. Calls click(), because a pointer can miss a moving element. */
const press = (page, selector) =>
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
async function enter(page, selector, value) {
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

const text = (page, selector) => page.$eval(selector, (element) => element.textContent);

// Swagger UI -------------------------------------------------------------------------------------------------------

const docs = await open(`${base}/`);
assert.equal(docs.url(), `${base}/docs`);
await docs.waitForSelector(".opblock");
const shown = await docs.$$eval(".opblock-summary-operation-id", (elements) => elements.map((element) => element.textContent));
const document = await (await fetch(`${base}/openapi.json`)).json();
const documented = Object.values(document.paths).flatMap((item) => Object.values(item).map(({ operationId }) => operationId));
assert.deepEqual([...shown].sort(), [...documented].sort());
const order = ["register", "logIn", "getMe", "listPipelines", "listDeals", "createDeal", "searchDeals", "createTicket"];
assert.deepEqual(shown.filter((name) => order.includes(name)), order);
await screenshot(docs, "docs.png");

await press(docs, ".auth-wrapper .authorize");
await docs.waitForSelector("#oauth_username");
// The login form comes first and has no fields that this service ignores.
assert.match(await text(docs, ".auth-container h4"), /oauth2/);
assert.equal(await docs.$eval("#client_id_password", (element) => element.offsetParent), null);
await enter(docs, "#oauth_username", "customer@example.com");
await enter(docs, "#oauth_password", PASSWORD);
await screenshot(docs, "docs-authorize.png");
await press(docs, ".auth-container:has(#oauth_username) button.authorize");
await until(docs, () => [...document.querySelectorAll(".auth-btn-wrapper button")].some((button) => button.textContent === "Logout"));
await press(docs, ".btn-done");
await until(docs, () => !document.querySelector(".dialog-ux"));

const operations = Object.fromEntries(
  Object.entries(document.paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => [operation.operationId, { path, method: method.toUpperCase(), operation }]),
  ),
);

/** Opens an operation and closes all others, because open ones slow down every step. */
async function openOnly(block) {
  await until(
    docs,
    (selector) => {
      const target = document.querySelector(selector);
      if (!target) return false;
      const toggled = [...document.querySelectorAll(".opblock")].filter(
        (block) => block.classList.contains("is-open") !== (block === target),
      );
      for (const block of toggled) block.querySelector(".opblock-summary-control").click();
      return toggled.length === 0 && target.querySelector(".execute") !== null;
    },
    block,
  );
}

/** Opens an operation, fills in the given values, sends it, and waits for the response. */
async function send(operationId, { body, parameters = {} } = {}) {
  const { path, method } = operations[operationId];
  const block = `.opblock[id$="-${operationId}"]`;
  await openOnly(block);
  // An earlier response would be mistaken for this one.
  if (await docs.$(`${block} .btn-clear`)) {
    await press(docs, `${block} .btn-clear`);
    await until(docs, (selector) => !document.querySelector(selector), `${block} .live-responses-table`);
  }
  for (const [name, value] of Object.entries(parameters)) {
    await enter(docs, `${block} tr[data-param-name="${name}"] :is(input:not([type="file"]), textarea, select)`, value);
  }
  if (body) await enter(docs, `${block} textarea.body-param__text`, JSON.stringify(body));
  const target = path.replaceAll(/{(\w+)}/g, (_, name) => encodeURIComponent(parameters[name]));
  const [response] = await Promise.all([
    docs.waitForResponse((received) => received.request().method() === method && new URL(received.url()).pathname === target),
    press(docs, `${block} .execute`),
  ]);
  const sent = new URL(response.url()).searchParams;
  for (const [name, value] of Object.entries(parameters)) {
    if (!path.includes(`{${name}}`)) assert.equal(sent.get(name), value);
  }
  const content = response.status() === 204 ? "" : await response.text();
  await until(
    docs,
    (selector, status) => document.querySelector(selector)?.textContent.trim().startsWith(status),
    `${block} .live-responses-table .response .response-col_status`,
    String(response.status()),
  );
  return { status: response.status(), body: content ? JSON.parse(content) : null, block };
}

const createDeal = '.opblock[id$="-createDeal"]';
await openOnly(createDeal);
await docs.$eval(createDeal, (element) => element.scrollIntoView());
await screenshot(docs, "docs-create-deal.png");
const withDefaults = await send("createDeal");
assert.equal(withDefaults.status, 201, JSON.stringify(withDefaults.body));
const created = await send("createDeal", { body: { dealname: `Docs ${stamp}`, dealstage: "qualifiedtobuy", amount: 1500.5 } });
assert.equal(created.status, 201, JSON.stringify(created.body));
const ticket = await send("createTicket", { parameters: { id: created.body.data.id } });
assert.equal(ticket.status, 201, JSON.stringify(ticket.body));
const listed = await send("listDeals");
assert.equal(listed.status, 200, JSON.stringify(listed.body));
const detail = await send("getDeal", { parameters: { id: created.body.data.id } });
assert.equal(detail.body.data.tickets.length, 1);

// Try it out for every operation with its default values; operations that end the session come last.
const profile = (await send("getMe")).body.data;
const ids = {
  contacts: profile.contact_id,
  deals: created.body.data.id,
  tickets: ticket.body.data.id,
};
const ending = ["archiveTicket", "archiveDeal", "changePassword", "logOut", "deleteMe"];
const last = ([name]) => ending.indexOf(name);
const statuses = {};
for (const [name, { path, operation }] of Object.entries(operations).sort((one, other) => last(one) - last(other))) {
  const id = name === "createTicket" ? ids.deals : ids[path.split("/")[2]];
  const needed = (operation.parameters ?? []).filter((parameter) => parameter.required);
  const parameters = Object.fromEntries(needed.map((parameter) => [parameter.name, parameter.name === "id" ? id : parameter.schema.examples[0]]));
  const response = await send(name, { parameters }).catch((error) => {
    throw new Error(`${name} cannot be tried out`, { cause: error });
  });
  assert.ok(operation.responses[response.status], `${name}: ${response.status} is not documented`);
  assert.ok(response.status < 500, `${name}: ${response.status}`);
  statuses[name] = response.status;
}
const refused = Object.entries(statuses).filter(([, status]) => status >= 400);
// Causes: tokens from mails and earlier responses, the role, another user's password, an ended session.
assert.deepEqual(
  Object.fromEntries(refused),
  {
    verifyEmail: 400, refreshToken: 401, resetPassword: 400, createContact: 403,
    changePassword: 400, deleteMe: 401,
  },
);
await docs.close();

// Another origin ---------------------------------------------------------------------------------------------------

const empty = createServer((_, response) => response.setHeader("Content-Type", "text/html").end("<link rel=icon href=data:,>"));
await once(empty.listen(Number(new URL(origin).port), "localhost"), "listening");
const foreign = await open(origin);
const answered = await foreign.evaluate(async (base, email, password) => {
  const login = await fetch(`${base}/api/login`, {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ email, password }),
  });
  const { data } = await login.json();
  const me = await fetch(`${base}/api/me`, { headers: { Authorization: `Bearer ${data.access_token}` } });
  return [login.status, me.status, me.headers.get("X-Request-ID") !== null];
}, base, "customer@example.com", PASSWORD);
assert.deepEqual(answered, [200, 200, true]);
await foreign.close();
empty.close();

// The portal -------------------------------------------------------------------------------------------------------

const page = await open(portal, 860);
const fill = async (form, values) => {
  for (const [name, value] of Object.entries(values)) await enter(page, `${form} [name="${name}"]`, value);
};
await fill("#register", {
  firstname: "Grace", lastname: "H0pper", phone: "+44 20 7946 0018", email: `portal-${stamp}@example.com`, password: PASSWORD,
});
await press(page, "#register button");
await until(page, () => document.querySelector('#register [data-field="lastname"]').textContent !== "");
assert.equal(await page.evaluate(() => document.activeElement.name), "lastname");
await screenshot(page, "portal-register.png");
await enter(page, '#register [name="lastname"]', "Hopper");
await press(page, "#register button");
await page.waitForSelector("#deal");
assert.match(await text(page, "h1"), /Grace Hopper/);

await fill("#deal", { dealname: "Website relaunch", amount: "12000", closedate: "2027-03-31" });
await press(page, "#deal button");
await page.waitForSelector("[data-deal]");
await fill("#deal", { dealname: "Fleet renewal", amount: "12 apples" });
await press(page, "#deal button");
await until(page, () => document.querySelector('#deal [data-field="amount"]').textContent !== "");
await enter(page, '#deal [name="amount"]', "1500.50");
await enter(page, '#deal [name="dealstage"]', "contractsent");
await press(page, "#deal button");
const renewal = "[data-deal] + [data-deal]";
await page.waitForSelector(renewal);
await press(page, `${renewal} summary`);
await fill(`${renewal} form`, { subject: "Third van is late", description: "It was due on Monday." });
await enter(page, `${renewal} form [name="category"]`, "technical_issue");
await press(page, `${renewal} form button`);
await page.waitForSelector(`${renewal} li`);
assert.match(await text(page, renewal), /Fleet renewal.*Contract Sent.*1500\.50?.*Third van is late/s);
await fill("#search", { q: "van" });
await press(page, "#search button");
await page.waitForSelector("#results");
assert.match(await text(page, "#results"), /Ticket: Third van is late/);
await screenshot(page, "portal-deals.png");

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
  const tab = await open(portal, 860);
  tab.on("request", countRefresh);
  await tab.waitForSelector("[data-deal]");
  tabs.push(tab);
}
await page.evaluate(endAccessToken);
await Promise.all([page, ...tabs].map((tab) => tab.reload()));
await Promise.all([page, ...tabs].map((tab) => tab.waitForSelector("[data-deal]")));
assert.equal(refreshCount, 2);
for (const tab of tabs) await tab.close();

// A service that is briefly unreachable ends no session.
const errorsBefore = errors.length;
await page.setRequestInterception(true);
const abortApiCalls = (request) => (request.url().startsWith(`${base}/api/`) ? request.abort() : request.continue());
page.on("request", abortApiCalls);
await page.reload();
await page.waitForSelector('[role="alert"] + button');
page.off("request", abortApiCalls);
await page.setRequestInterception(false);
errors.length = errorsBefore; // the browser logs each aborted request
await press(page, '[role="alert"] + button');
await page.waitForSelector("[data-deal]");
await press(page, "#logout");
await page.waitForSelector("#login");
await fill("#login", { email: `portal-${stamp}@example.com`, password: PASSWORD });
await press(page, "#login button");
await page.waitForSelector("[data-deal]");

await browser.close();
assert.deepEqual(outside, [], "requests to the outside");
assert.deepEqual(errors, [], "errors in the console");
console.log(`browser: /docs (${documented.length} operations) and the portal; 0 outside requests, 0 console errors`);
