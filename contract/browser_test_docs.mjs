// Tests Swagger UI and calls from another origin in a browser:  node browser_test_docs.mjs BASE ORIGIN [IMAGES]
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { audit, base, enter, finish, open, origin, PASSWORD, press, screenshot, text, until } from "./browser.mjs";

const stamp = Date.now();
// Swagger UI puts links into buttons, which neither CSS nor the start script can change.
const auditDocs = (view) => audit(docs, view, { phone: false, options: { rules: { "nested-interactive": { enabled: false } } } });
const docs = await open(`${base}/`);
assert.equal(docs.url(), `${base}/docs`);
await docs.waitForSelector(".opblock");
const shown = await docs.$$eval(".opblock-summary-operation-id", (elements) => elements.map((element) => element.textContent));
const document = await (await fetch(`${base}/openapi.json`)).json();
const documented = Object.values(document.paths).flatMap((item) => Object.values(item).map(({ operationId }) => operationId));
assert.deepEqual([...shown].sort(), [...documented].sort());
const order = ["register", "logIn", "getMe", "listPipelines", "listDeals", "createDeal", "searchDeals", "createTicket"];
assert.deepEqual(shown.filter((name) => order.includes(name)), order);
await auditDocs("docs");

await press(docs, ".auth-wrapper .authorize");
await docs.waitForSelector("#oauth_username");
// The login form comes first and has no fields that this service ignores.
assert.match(await text(docs, ".auth-container h4"), /oauth2/);
assert.equal(await docs.$eval("#client_id_password", (element) => element.offsetParent), null);
await until(docs, () => document.activeElement.id === "oauth_username");
await auditDocs("login dialog");
await enter(docs, "#oauth_username", "customer@example.com");
await enter(docs, "#oauth_password", PASSWORD);
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
await auditDocs("operation with its response");
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
  const valueOf = (parameter) => (parameter.name === "id" && id) || parameter.schema.examples[0];
  const parameters = Object.fromEntries(needed.map((parameter) => [parameter.name, valueOf(parameter)]));
  const response = await send(name, { parameters }).catch((error) => {
    throw new Error(`${name} cannot be tried out`, { cause: error });
  });
  assert.ok(operation.responses[response.status], `${name}: ${response.status} is not documented`);
  assert.ok(response.status < 500, `${name}: ${response.status}`);
  statuses[name] = response.status;
}
const refused = Object.entries(statuses).filter(([, status]) => status >= 400);
// Causes: tokens from mails and earlier responses, the role, an unknown session, another user's password, an ended session.
assert.deepEqual(
  Object.fromEntries(refused),
  {
    verifyEmail: 400, refreshToken: 401, resetPassword: 400, createContact: 403, endSession: 404,
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

await finish(`/docs (${documented.length} operations) and another origin`);
