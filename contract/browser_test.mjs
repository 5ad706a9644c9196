// Swagger UI and the portal in a real browser that reaches nothing but this machine:
//   node browser_test.mjs BASE PORTAL [IMAGES]
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import puppeteer from "puppeteer-core";

const [base, portal, images] = process.argv.slice(2);
if (images) mkdirSync(images, { recursive: true });
const stamp = Date.now();
const PASSWORD = "demo-lighthouse-42";

const browser = await puppeteer.launch({
  executablePath: process.env.CHROMIUM,
  args: ["--no-sandbox", "--disable-dev-shm-usage", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost"],
});
const outside = [];
const errors = [];

async function open(url, height = 1000) {
  const page = await browser.newPage();
  await page.setViewport({ width: 1280, height });
  page.on("request", (request) => {
    const { protocol, hostname } = new URL(request.url());
    if (protocol !== "data:" && protocol !== "blob:" && hostname !== "localhost") outside.push(request.url());
  });
  page.on("pageerror", (error) => errors.push(`${url}: ${error.message}`));
  page.on("console", (message) => {
    // The browser itself logs every 4xx; those that this test asks for are no errors of the page.
    if (message.type() === "error" && !/the server responded with a status of 4\d\d/.test(message.text())) {
      errors.push(`${url}: ${message.text()}`);
    }
  });
  await page.goto(url, { waitUntil: "networkidle0" });
  return page;
}

const picture = (page, name) => (images ? page.screenshot({ path: join(images, name) }) : null);

// Swagger UI -------------------------------------------------------------------------------------------------------

const docs = await open(`${base}/`);
assert.equal(docs.url(), `${base}/docs`);
await docs.waitForSelector(".opblock");
const shown = await docs.$$eval(".opblock-summary-operation-id", (found) => found.map((each) => each.textContent));
const document = await (await fetch(`${base}/openapi.json`)).json();
const documented = Object.values(document.paths).flatMap((item) => Object.values(item).map((each) => each.operationId));
assert.deepEqual([...shown].sort(), [...documented].sort());
const order = ["register", "logIn", "getMe", "listPipelines", "listDeals", "createDeal", "createTicket", "searchDeals"];
assert.deepEqual(shown.filter((name) => order.includes(name)), order);
await picture(docs, "docs.png");

await docs.click(".auth-wrapper .authorize");
await docs.waitForSelector("#oauth_username");
await docs.type("#oauth_username", "customer@example.com");
await docs.type("#oauth_password", PASSWORD);
await picture(docs, "docs-authorize.png");
await docs.evaluate(() => {
  const box = document.querySelector("#oauth_username").closest(".auth-container");
  box.querySelector("button.authorize").click();
});
await docs.waitForFunction(() => [...document.querySelectorAll(".auth-btn-wrapper button")].some((each) => each.textContent === "Logout"));
await docs.click(".btn-done");

/** Opens an operation, fills in what is given, and sends it. */
async function send(operationId, { body, parameters = {} } = {}) {
  const id = await docs.evaluate((name) => {
    const label = [...document.querySelectorAll(".opblock-summary-operation-id")].find((each) => each.textContent === name);
    const block = label.closest(".opblock");
    if (!block.classList.contains("is-open")) block.querySelector(".opblock-summary-control").click();
    return block.id;
  }, operationId);
  const block = `[id="${id}"]`;
  await docs.waitForSelector(`${block} .execute`);
  for (const [name, value] of Object.entries(parameters)) {
    const row = `${block} tr[data-param-name="${name}"]`;
    await docs.waitForSelector(`${row} :is(input, textarea, select)`);
    if (await docs.$(`${row} select`)) {
      await docs.select(`${row} select`, value);
      continue;
    }
    const field = `${row} :is(input, textarea):not([type="file"])`;
    await docs.click(field, { clickCount: 3 });
    await docs.type(field, value);
  }
  if (body) {
    await docs.evaluate(
      (selector, text) => {
        const area = document.querySelector(selector);
        Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, "value").set.call(area, text);
        area.dispatchEvent(new Event("input", { bubbles: true }));
      },
      `${block} textarea.body-param__text`,
      JSON.stringify(body),
    );
  }
  const answered = docs.waitForResponse((response) => response.request().resourceType() === "fetch");
  await docs.click(`${block} .execute`);
  const response = await answered;
  await docs.waitForSelector(`${block} .live-responses-table .response`);
  const text = await response.text().catch(() => "");
  await docs.$eval(`${block} .opblock-summary-control`, (each) => each.scrollIntoView());
  return { status: response.status(), body: text ? JSON.parse(text) : null, block };
}

const asItStands = await send("createDeal");
assert.equal(asItStands.status, 201, JSON.stringify(asItStands.body));
const created = await send("createDeal", { body: { dealname: `Docs ${stamp}`, dealstage: "qualifiedtobuy", amount: 1500.5 } });
assert.equal(created.status, 201, JSON.stringify(created.body));
await docs.$eval(`${created.block} .responses-wrapper`, (each) => each.scrollIntoView());
await picture(docs, "docs-create-deal.png");
const ticket = await send("createTicket", { parameters: { id: created.body.data.deal.id } });
assert.equal(ticket.status, 201, JSON.stringify(ticket.body));
const listed = await send("listDeals");
assert.equal(listed.status, 200, JSON.stringify(listed.body));
const detail = await send("getDeal", { parameters: { id: created.body.data.deal.id } });
assert.equal(detail.body.data.deal.tickets.length, 1);

// Try it out for every operation, as it stands; what ends the session comes last.
const profile = (await send("getMe")).body.data;
const ids = {
  contacts: profile.contact_id,
  deals: created.body.data.deal.id,
  tickets: ticket.body.data.ticket.id,
};
const ending = ["archiveTicket", "archiveDeal", "changePassword", "logOut", "deleteMe"];
const operations = Object.entries(document.paths).flatMap(([path, item]) =>
  Object.values(item).map((operation) => ({ path, operation, name: operation.operationId })),
);
const last = ({ name }) => ending.indexOf(name);
const statuses = {};
for (const { path, operation, name } of operations.sort((one, other) => last(one) - last(other))) {
  const id = name === "createTicket" ? ids.deals : ids[path.split("/")[2]];
  const needed = (operation.parameters ?? []).filter((each) => each.required);
  const parameters = Object.fromEntries(needed.map((each) => [each.name, each.name === "id" ? id : each.schema.examples[0]]));
  const answer = await send(name, { parameters }).catch((error) => {
    throw new Error(`${name} cannot be tried out`, { cause: error });
  });
  assert.ok(operation.responses[answer.status], `${name}: ${answer.status} is not documented`);
  assert.ok(answer.status < 500, `${name}: ${answer.status}`);
  statuses[name] = answer.status;
  // Open operations make every further step slow.
  await docs.click(`${answer.block} .opblock-summary-control`);
}
const refused = Object.entries(statuses).filter(([, status]) => status >= 400);
// Tokens from mails and earlier answers, the role, a password that is not this user's, and a session that has ended.
assert.deepEqual(
  Object.fromEntries(refused),
  {
    verifyEmail: 400, refreshToken: 401, resetPassword: 400, createContact: 403,
    changePassword: 400, deleteMe: 401,
  },
);
await docs.close();

// The portal -------------------------------------------------------------------------------------------------------

const page = await open(portal);
const fill = async (form, values) => {
  for (const [name, value] of Object.entries(values)) await page.type(`${form} [name="${name}"]`, value);
};
await fill("#register", {
  firstname: "Grace", lastname: "H0pper", phone: "+44 20 7946 0018", email: `portal-${stamp}@example.com`, password: PASSWORD,
});
await page.click("#register button");
await page.waitForFunction(() => document.querySelector('#register [data-field="lastname"]').textContent !== "");
await picture(page, "portal-register.png");
await page.$eval('#register [name="lastname"]', (each) => (each.value = "Hopper"));
await page.click("#register button");
await page.waitForSelector("#deal");
assert.match(await page.$eval("h1", (each) => each.textContent), /Grace Hopper/);

await fill("#deal", { dealname: "Fleet renewal", amount: "12 apples" });
await page.click("#deal button");
await page.waitForFunction(() => document.querySelector('#deal [data-field="amount"]').textContent !== "");
await page.$eval('#deal [name="amount"]', (each) => (each.value = "1500.50"));
await page.select('#deal [name="dealstage"]', "contractsent");
await page.click("#deal button");
await page.waitForSelector("[data-deal]");
await page.click("[data-deal] summary");
await fill("[data-deal] form", { subject: "Third van is late", description: "It was due on Monday." });
await page.select('[data-deal] form [name="category"]', "technical_issue");
await page.click("[data-deal] form button");
await page.waitForSelector("[data-deal] li");
assert.match(await page.$eval("[data-deal]", (each) => each.textContent), /Fleet renewal.*Contract Sent.*1500\.50?.*Third van is late/s);
await fill("#search", { q: "van" });
await page.click("#search button");
await page.waitForSelector("#found");
assert.match(await page.$eval("#found", (each) => each.textContent), /Ticket: Third van is late/);
await picture(page, "portal-deals.png");
await page.reload({ waitUntil: "networkidle0" });
await page.waitForSelector("[data-deal]");
await page.click("#logout");
await page.waitForSelector("#login");
await fill("#login", { email: `portal-${stamp}@example.com`, password: PASSWORD });
await page.click("#login button");
await page.waitForSelector("[data-deal]");

await browser.close();
assert.deepEqual(outside, [], "requests to the outside");
assert.deepEqual(errors, [], "errors in the console");
console.log(`browser: /docs (${documented.length} operations) and the portal; 0 outside requests, 0 console errors`);
