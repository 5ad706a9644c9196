// A customer's portal: register or log in, my deals with their tickets, new deals and tickets, search.
import * as api from "../../sdk/hey-api/sdk.gen";
import type {
  ContactWithDeals, DealCreate, DealWithTickets, FoundRecords, Pipeline, Pipelines, RecordProperty, Registration,
  TicketCreate,
} from "../../sdk/hey-api/types.gen";
import { request, endSession, isLoggedIn, storeTokens } from "./api";
import { element, form, type Field } from "./dom";

const root = document.querySelector("#portal") as HTMLElement;

const LOGIN: Field[] = [
  { name: "email", label: "E-mail", type: "email", autocomplete: "username" },
  { name: "password", label: "Password", type: "password", autocomplete: "current-password" },
];
const REGISTRATION: Field[] = [
  { name: "firstname", label: "First name", autocomplete: "given-name" },
  { name: "lastname", label: "Last name", autocomplete: "family-name" },
  { name: "phone", label: "Phone", type: "tel", autocomplete: "tel" },
  { name: "email", label: "E-mail", type: "email", autocomplete: "username" },
  { name: "password", label: "Password, at least 8 characters", type: "password", autocomplete: "new-password" },
];

async function logIn(email: string, password: string): Promise<void> {
  storeTokens(await request(() => api.logIn({ body: { email, password } })));
  await showDeals();
}

function showWelcome(): void {
  const notice = element("p", { class: "muted", id: "notice" });
  root.replaceChildren(
    element("header", {}, element("h1", {}, "My deals")),
    notice,
    element(
      "div",
      { class: "columns" },
      element(
        "section",
        {},
        element("h2", {}, "Log in"),
        form(LOGIN, "Log in", ({ email = "", password = "" }) => logIn(email, password), "login"),
      ),
      element(
        "section",
        {},
        element("h2", {}, "Register"),
        form(
          REGISTRATION,
          "Register",
          async (values) => {
            const body = { email: "", firstname: "", lastname: "", password: "", phone: "", ...values } as Registration;
            const registered = await request<unknown>(() => api.register({ body }));
            // With e-mail verification, the user does not exist yet.
            if (registered === null) notice.textContent = "Check your e-mail to finish.";
            else await logIn(body.email, body.password);
          },
          "register",
        ),
      ),
    ),
  );
}

function stagesOf(pipelines: Pipeline[]): { value: string; label: string }[] {
  const stages = (pipelines[0]?.stages ?? []).filter((stage) => stage.may_set);
  return stages.map(({ id, label }) => ({ value: id, label }));
}

function stageLabel(pipelines: Pipeline[], stage: string | null): string {
  return pipelines.flatMap(({ stages }) => stages).find(({ id }) => id === stage)?.label ?? stage ?? "";
}

function optionsOf(properties: RecordProperty[], name: string): { value: string; label: string }[] {
  return properties.find((property) => property.name === name)?.options ?? [];
}

function ticketForm(deal: DealWithTickets, pipelines: Pipelines, properties: RecordProperty[]): HTMLElement {
  const fields: Field[] = [
    { name: "subject", label: "Subject" },
    { name: "description", label: "What is wrong", type: "textarea" },
    { name: "hs_pipeline_stage", label: "Stage", options: stagesOf(pipelines.tickets) },
    { name: "category", label: "Category", options: optionsOf(properties, "category"), optional: true },
    { name: "hs_ticket_priority", label: "Priority", options: optionsOf(properties, "hs_ticket_priority"), optional: true },
  ];
  const key = crypto.randomUUID();
  const send = async (values: Record<string, string>): Promise<void> => {
    const body = { subject: "", description: "", hs_pipeline_stage: "", ...values } as TicketCreate;
    await request(() => api.createTicket({ path: { id: deal.id }, body, headers: { "Idempotency-Key": key + digest(body) } }));
    await showDeals();
  };
  return element("details", {}, element("summary", {}, "New ticket"), form(fields, "Raise ticket", send, `ticket-${deal.id}`));
}

/** Hash of the body for the idempotency key: the same body sent twice creates one record. */
function digest(body: object): string {
  let sum = 0;
  for (const char of JSON.stringify(body)) sum = (sum * 31 + (char.codePointAt(0) ?? 0)) | 0;
  return `.${sum >>> 0}`;
}

function dealForm(pipelines: Pipelines): HTMLElement {
  const fields: Field[] = [
    { name: "dealname", label: "Name" },
    { name: "dealstage", label: "Stage", options: stagesOf(pipelines.deals) },
    { name: "amount", label: "Amount", optional: true },
    { name: "closedate", label: "Expected close", type: "date", optional: true },
    { name: "description", label: "Description", type: "textarea", optional: true },
  ];
  const key = crypto.randomUUID();
  const send = async (values: Record<string, string>): Promise<void> => {
    const body = { dealname: "", dealstage: "", ...values } as DealCreate;
    await request(() => api.createDeal({ body, headers: { "Idempotency-Key": key + digest(body) } }));
    await showDeals();
  };
  return element("section", {}, element("h2", {}, "New deal"), form(fields, "Open deal", send, "deal"));
}

function dealCard(deal: DealWithTickets, pipelines: Pipelines, properties: RecordProperty[]): HTMLElement {
  const tickets = deal.tickets.map((ticket) =>
    element(
      "li",
      {},
      `${ticket.subject ?? ""} `,
      element("span", { class: "stage" }, stageLabel(pipelines.tickets, ticket.hs_pipeline_stage)),
      element("p", { class: "muted" }, ticket.description ?? ""),
    ),
  );
  const facts = [
    deal.amount && `Amount ${deal.amount}`,
    deal.closedate && `closes ${new Date(deal.closedate).toLocaleDateString("en-GB", { timeZone: "UTC" })}`,
  ];
  return element(
    "article",
    { "data-deal": deal.id },
    element(
      "h2",
      {},
      deal.dealname ?? "",
      element("span", { class: "stage" }, stageLabel(pipelines.deals, deal.dealstage)),
    ),
    element("p", { class: "muted" }, facts.filter(Boolean).join(", ") || "No amount yet"),
    deal.description ? element("p", {}, deal.description) : null,
    tickets.length > 0 ? element("ul", {}, ...tickets) : element("p", { class: "muted" }, "No tickets"),
    deal.incomplete ? element("p", { class: "error" }, "Not all tickets could be read; try again.") : null,
    ticketForm(deal, pipelines, properties),
  );
}

function resultList(results: FoundRecords): HTMLElement {
  const lines = [
    ...results.deals.map(({ dealname }) => `Deal: ${dealname ?? ""}`),
    ...results.tickets.map(({ subject }) => `Ticket: ${subject ?? ""}`),
    ...results.contacts.map(({ firstname, lastname }) => `Contact: ${firstname ?? ""} ${lastname ?? ""}`),
    ...results.failed.map((part) => `${part} could not be searched`),
  ];
  if (lines.length === 0) return element("p", { class: "muted", id: "results" }, "Nothing found");
  return element("ul", { id: "results" }, ...lines.map((text) => element("li", {}, text)));
}

function searchBox(): HTMLElement {
  const section = element("section", {}, element("h2", {}, "Search"));
  const send = async ({ q = "" }: Record<string, string>): Promise<void> => {
    const results = await request(() => api.searchEverything({ query: { q } }));
    section.querySelector("#results")?.remove();
    section.append(resultList(results));
  };
  section.append(form([{ name: "q", label: "Words in my deals and tickets" }], "Search", send, "search"));
  return section;
}

async function listContacts(): Promise<ContactWithDeals[]> {
  const contacts: ContactWithDeals[] = [];
  let cursor: string | null = null;
  do {
    const query: { cursor?: string } = cursor ? { cursor } : {};
    const page = (await request(() => api.listCrmObjects({ query }))).data;
    contacts.push(...page.contacts);
    cursor = page.next_after;
  } while (cursor);
  return contacts;
}

async function showDeals(): Promise<void> {
  const [me, pipelines, { results: properties }, contacts] = await Promise.all([
    request(() => api.getMe()),
    request(() => api.listPipelines()),
    request(() => api.listProperties({ path: { object_type: "tickets" } })),
    listContacts(),
  ]);
  const logOutButton = element("button", { class: "plain", id: "logout" }, "Log out");
  logOutButton.addEventListener("click", () => void endSession().then(showWelcome));
  const deals = contacts.flatMap((contact) => contact.deals);
  root.replaceChildren(
    element("header", {}, element("h1", {}, `Deals of ${me.firstname} ${me.lastname}`), logOutButton),
    element(
      "div",
      { class: "columns wide" },
      element(
        "div",
        {},
        ...deals.map((deal) => dealCard(deal, pipelines, properties)),
        deals.length === 0 ? element("section", { class: "muted" }, "You have no deals yet; open the first one here.") : null,
      ),
      element("div", {}, dealForm(pipelines), searchBox()),
    ),
  );
}

function start(): void {
  if (!isLoggedIn()) return showWelcome();
  showDeals().catch((error: unknown) => {
    // An ended session has been removed; offer to retry after any other error.
    if (!isLoggedIn()) return showWelcome();
    const retryButton = element("button", {}, "Try again");
    retryButton.addEventListener("click", start);
    root.replaceChildren(element("p", { class: "error", role: "alert" }, error instanceof Error ? error.message : "?"), retryButton);
  });
}

start();
