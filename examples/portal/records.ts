// Views of deals and tickets for customers and staff: my deals, one record, new records.
import * as api from "../../sdk/hey-api/sdk.gen";
import type { Deal, DealCreate, DealWithTickets, Ticket, TicketCreate } from "../../sdk/hey-api/types.gen";
import { idempotencyKey, profile, request } from "./api";
import { action, element, facts, filled, form, link, section, type Child, type Values } from "./dom";
import { archiveButton } from "./editing";
import { titleOf } from "./format";
import { CONTACTS, DEALS, TICKETS, type RecordType } from "./record_types";
import { bodyOf, factsOf, fieldsOf, schemaOf, shown, stageOf, type AnyRecord, type ObjectType, type Schema } from "./schema";
import { open, type View } from "./view";

const isStaff = async (): Promise<boolean> => (await profile()).role === "staff";

/** Whether the caller may do this, such as `create_deal`. Only staff see contacts, and may change all of them. */
async function may(operation: string): Promise<boolean> {
  const { operations } = await profile();
  return operation === "update_contact" || operations.some((allowed) => allowed === operation);
}

const TICKET_FACTS = ["hs_pipeline_stage", "hs_ticket_priority", "createdate"];

export const recordLink = (type: ObjectType, record: AnyRecord): HTMLElement => link(`#/${type}/${record.id}`, titleOf(record));

const joined = (...parts: Child[]): Child => parts.filter(Boolean).join(" · ");

const incompleteNotice = (record: { incomplete: boolean }): Child =>
  record.incomplete && element("p", { class: "error" }, "Some records could not be read; reload the page.");

/** A list of records, each with its stage and more facts. */
export function recordList(type: ObjectType, schema: Schema, records: AnyRecord[], names: string[]): HTMLElement {
  if (records.length === 0) return element("p", { class: "muted" }, `No ${type}`);
  const items = records.map((record) => {
    const [stage, ...more] = names.map((name) => shown(schema, record, name));
    return element("li", {}, recordLink(type, record), " ", stage, " ", element("span", { class: "muted" }, joined(...more)));
  });
  return element("ul", { class: "plain-list" }, ...items);
}

/** Returns how to show the contacts of these records: as links for staff, and not at all for customers. */
export async function contactLinks(records: AnyRecord[]): Promise<(record: AnyRecord) => Child> {
  const idsOf = (record: AnyRecord): string[] => ("contact_ids" in record && record.contact_ids) || [];
  const values = [...new Set(records.flatMap(idsOf))].slice(0, 50);
  if (values.length === 0 || !(await isStaff())) return () => null;
  // HubSpot's search may not know a contact of the last seconds yet; its link shows the ID.
  const { results } = await CONTACTS.search({ filters: [{ property: "hs_object_id", operator: "IN", values }], limit: 50 });
  const names = new Map(results.map((contact) => [contact.id, titleOf(contact)]));
  return (record) => element("span", { class: "links" }, ...idsOf(record).map((id) => link(`#/contacts/${id}`, names.get(id) ?? id)));
}

// My deals ----------------------------------------------------------------------------------------------------------

async function dealCards(deals: DealWithTickets[]): Promise<HTMLElement> {
  if (deals.length === 0) return element("p", { class: "muted" }, "No deals yet");
  const [schema, tickets, newTicket] = await Promise.all([schemaOf("deals"), schemaOf("tickets"), may("create_ticket")]);
  const cards = deals.map((deal) => {
    const closes = shown(schema, deal, "closedate");
    return element("article", { "data-deal": deal.id },
      element("h2", {}, recordLink("deals", deal), shown(schema, deal, "dealstage")),
      element("p", { class: "muted" }, joined(shown(schema, deal, "amount"), closes && `closes ${closes}`) || "No amount yet"),
      recordList("tickets", tickets, deal.tickets, TICKET_FACTS),
      incompleteNotice(deal),
      newTicket && link(`#/deals/${deal.id}/new-ticket`, "New ticket", { "aria-label": `New ticket on ${titleOf(deal)}` }));
  });
  return element("div", { class: "cards" }, ...cards);
}

export async function myDealsView(): Promise<View> {
  // A customer's list has one contact: their own.
  const [schema, { data: { contacts } }, newDeal] = await Promise.all([
    schemaOf("deals"), request(() => api.listCrmObjects()), may("create_deal"),
  ]);
  // Open deals come first, the newest at the top.
  const order = (deal: Deal): string => `${stageOf(schema, deal.dealstage ?? "")?.is_closed ? 0 : 1}${deal.createdate ?? ""}`;
  const deals = contacts.flatMap((contact) => contact.deals).sort((one, other) => (order(one) < order(other) ? 1 : -1));
  return {
    title: "My deals",
    actions: [newDeal && action("#/deals/new", "New deal")],
    content: [...contacts.map(incompleteNotice), await dealCards(deals)],
  };
}

// One record --------------------------------------------------------------------------------------------------------

type Related = Partial<View> & { back: HTMLAnchorElement };

function recordView<Rec extends AnyRecord>(type: RecordType<Rec>, related: (record: Rec) => Promise<Related>) {
  return async (id: string): Promise<View> => {
    const [{ data, etag }, schema, mayEdit, mayArchive] = await Promise.all([
      type.read(id), schemaOf(type.name), may(`update_${type.singular}`), may(`archive_${type.singular}`),
    ]);
    const { back, actions = [], content = [] } = await related(data);
    const { archive } = type;
    return {
      title: titleOf(data),
      actions: [
        ...actions,
        mayEdit && action(`#/${type.name}/${id}/edit`, "Edit"),
        archive && mayArchive && archiveButton(titleOf(data), () => archive(id, etag), back.hash),
      ],
      content: [
        element("p", {}, "← ", back),
        facts([...factsOf(schema, data), ["Contact", (await contactLinks([data]))(data)]]),
        ...content,
      ],
    };
  };
}

export const dealView = recordView(DEALS, async (deal) => {
  const [schema, newTicket, staff] = await Promise.all([schemaOf("tickets"), may("create_ticket"), isStaff()]);
  return {
    back: link("#/deals", staff ? "All deals" : "My deals"),
    content: [
      section("Tickets", incompleteNotice(deal), recordList("tickets", schema, deal.tickets, TICKET_FACTS),
        newTicket && action(`#/deals/${deal.id}/new-ticket`, "New ticket")),
    ],
  };
});

export const ticketView = recordView(TICKETS, async ({ deal_ids }) => {
  const [dealId] = deal_ids ?? [];
  if (dealId) return { back: link(`#/deals/${dealId}`, "The deal") };
  return { back: (await isStaff()) ? link("#/tickets", "All tickets") : link("#/deals", "My deals") };
});

export const contactView = recordView(CONTACTS, async (contact) => ({
  back: link("#/contacts", "All contacts"),
  actions: [(await may("create_deal")) && action(`#/contacts/${contact.id}/new-deal`, "New deal")],
  content: [incompleteNotice(contact), await dealCards(contact.deals)],
}));

// New records -------------------------------------------------------------------------------------------------------

type Create = (body: object, headers: { "Idempotency-Key": string }) => Promise<Deal | Ticket>;

async function newView({ name, singular }: RecordType, title: string, back: string, create: Create): Promise<View> {
  const schema = await schemaOf(name);
  const key = crypto.randomUUID();
  const send = async (values: Values): Promise<void> => {
    const body = bodyOf(schema, filled(values));
    const created = await create(body, { "Idempotency-Key": idempotencyKey(key, body) });
    open(`#/${name}/${created.id}`, `The ${singular} is created.`);
  };
  return { title, content: [form({ id: singular, fields: fieldsOf(schema), submit: `Create ${singular}`, cancel: back, send })] };
}

/** New deal of the caller, or of the contact that a staff member has chosen. */
export async function newDealView(contactId: string): Promise<View> {
  const owner = contactId ? ` for ${titleOf((await CONTACTS.read(contactId)).data)}` : "";
  return newView(DEALS, `New deal${owner}`, contactId ? `#/contacts/${contactId}` : "#/deals", (values, headers) => {
    const body = { ...values, ...(contactId && { contact_id: contactId }) } as DealCreate;
    return request(() => api.createDeal({ body, headers }));
  });
}

export async function newTicketView(dealId: string): Promise<View> {
  const { data } = await DEALS.read(dealId);
  return newView(TICKETS, `New ticket on ${titleOf(data)}`, `#/deals/${dealId}`, (body, headers) =>
    request(() => api.createTicket({ path: { id: dealId }, body: body as TicketCreate, headers })));
}
