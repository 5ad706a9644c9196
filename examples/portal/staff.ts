// Views for staff: all contacts, deals and tickets.
import * as api from "../../sdk/hey-api/sdk.gen";
import type { Deal, RecordSearch, SearchFilter, Ticket } from "../../sdk/hey-api/types.gen";
import { load, pipelines, properties, request } from "./api";
import { action, button, element, facts, form, link, type Child, type Field } from "./dom";
import { editView } from "./editing";
import { contactName, dayText, optionLabel, propertyOptions, stageBadge, stageOptions, timeText } from "./format";
import { amountText, contactLinks, contactNames, dealCard, may } from "./records";
import { open, type View } from "./view";

const PAGE_SIZE = 20;
// The cursor of the page before, by the cursor of a page; cursors only lead forward.
const previous = new Map<string, string>();

interface Page<Rec> {
  results: Rec[];
  total: number;
  next_cursor: string | null;
}

interface Listing<Rec> {
  title: string;
  path: string;
  query: URLSearchParams;
  filter: { property: string; field: Field };
  search: (body: RecordSearch) => Promise<Page<Rec>>;
  columns: (records: Rec[]) => Promise<[title: string, cell: (record: Rec) => Child, style?: string][]>;
}

function pager(path: string, query: URLSearchParams, next: string | null): HTMLElement {
  const cursor = query.get("cursor") ?? "";
  const pageLink = (text: string, target: string): HTMLElement => {
    const parameters = new URLSearchParams(query);
    if (target) parameters.set("cursor", target);
    else parameters.delete("cursor");
    return action(`${path}?${parameters}`, text, "plain");
  };
  if (next) previous.set(next, cursor);
  const before = previous.get(cursor);
  return element("nav", { class: "buttons", "aria-label": "Pages" },
    cursor && before !== undefined && pageLink("Previous page", before),
    cursor && before !== "" && pageLink("First page", ""),
    next && pageLink("Next page", next));
}

async function listView<Rec>({ title, path, query, filter, search, columns }: Listing<Rec>): Promise<View> {
  const [text, chosen, cursor] = ["q", filter.field.name, "cursor"].map((name) => query.get(name) ?? "");
  const filters: SearchFilter[] = chosen ? [{ property: filter.property, operator: "EQ", value: chosen }] : [];
  const page = await search({
    filters, limit: PAGE_SIZE, sort: { property: "createdate", direction: "descending" },
    ...(text && { query: text }), ...(cursor && { cursor }),
  });
  const cells = await columns(page.results);
  const heads = cells.map(([name, , style]) => element("th", { scope: "col", class: style ?? "" }, name));
  const rows = page.results.map((record) =>
    element("tr", {}, ...cells.map(([, cell, style], index) =>
      index === 0 ? element("th", { scope: "row" }, cell(record)) : element("td", { class: style ?? "" }, cell(record)))),
  );
  const filterForm = form({
    id: "filters", submit: "Show",
    fields: [
      { name: "q", label: "Text", type: "search", optional: true, filter: true, value: text ?? "" },
      { ...filter.field, optional: true, filter: true, value: chosen ?? "" },
    ],
    send: async (values) => open(`${path}?${new URLSearchParams(Object.entries(values).filter(([, value]) => value))}`),
  });
  return {
    title,
    content: [
      filterForm,
      element("p", { class: "muted", id: "total" }, page.total === 1 ? "1 record" : `${page.total} records`),
      rows.length > 0 && element("table", {},
        element("caption", { class: "visually-hidden" }, title),
        element("thead", {}, element("tr", {}, ...heads)), element("tbody", {}, ...rows)),
      pager(path, query, page.next_cursor),
    ],
  };
}

export async function contactsView(query: URLSearchParams): Promise<View> {
  const kinds = await properties("contacts");
  return listView({
    title: "Contacts", path: "#/contacts", query,
    filter: { property: "lifecyclestage", field: { name: "stage", label: "Lifecycle stage", options: propertyOptions(kinds, "lifecyclestage") } },
    search: (body) => request(() => api.searchContacts({ body })),
    columns: async () => [
      ["Name", (contact) => link(`#/contacts/${contact.id}`, contactName(contact))],
      ["E-mail", (contact) => contact.email],
      ["Phone", (contact) => contact.phone, "wide"],
      ["Lifecycle stage", (contact) => optionLabel(kinds, "lifecyclestage", contact.lifecyclestage), "wide"],
      ["Created", (contact) => dayText(contact.createdate), "wide"],
    ],
  });
}

/** A column with the contacts of deals or tickets. */
async function contactColumn<Rec extends Deal | Ticket>(records: Rec[]): Promise<[string, (record: Rec) => Child]> {
  const names = await contactNames(records.flatMap((record) => record.contact_ids ?? []));
  return ["Contact", (record) => contactLinks(record.contact_ids ?? [], names)];
}

export async function dealsView(query: URLSearchParams): Promise<View> {
  const stages = await pipelines();
  return listView<Deal>({
    title: "Deals", path: "#/deals", query,
    filter: { property: "dealstage", field: { name: "stage", label: "Stage", options: stageOptions(stages.deals) } },
    search: (body) => request(() => api.searchDeals({ body: { ...body, include: "associations" } })),
    columns: async (deals) => [
      ["Name", (deal) => link(`#/deals/${deal.id}`, deal.dealname ?? "Deal without a name")],
      await contactColumn(deals),
      ["Stage", (deal) => stageBadge(stages.deals, deal.dealstage)],
      ["Amount", (deal) => amountText(deal), "number wide"],
      ["Expected close", (deal) => dayText(deal.closedate), "wide"],
    ],
  });
}

export async function ticketsView(query: URLSearchParams): Promise<View> {
  const [stages, kinds] = await Promise.all([pipelines(), properties("tickets")]);
  return listView<Ticket>({
    title: "Tickets", path: "#/tickets", query,
    filter: { property: "hs_pipeline_stage", field: { name: "stage", label: "Stage", options: stageOptions(stages.tickets) } },
    search: (body) => request(() => api.searchTickets({ body: { ...body, include: "associations" } })),
    columns: async (tickets) => [
      ["Subject", (ticket) => link(`#/tickets/${ticket.id}`, ticket.subject ?? "Ticket without a subject")],
      await contactColumn(tickets),
      ["Stage", (ticket) => stageBadge(stages.tickets, ticket.hs_pipeline_stage)],
      ["Priority", (ticket) => optionLabel(kinds, "hs_ticket_priority", ticket.hs_ticket_priority), "wide"],
      ["Created", (ticket) => dayText(ticket.createdate), "wide"],
    ],
  });
}

export async function contactView(id: string): Promise<View> {
  const [contact, stages, kinds, contactKinds, newDeal, newTicket] = await Promise.all([
    request(() => api.getContact({ path: { id } })), pipelines(), properties("tickets"), properties("contacts"),
    may("create_deal"), may("create_ticket"),
  ]);
  return {
    title: contactName(contact),
    actions: [
      newDeal && action(`#/contacts/${id}/new-deal`, "New deal"),
      action(`#/contacts/${id}/edit`, "Edit", "plain"),
    ],
    content: [
      element("p", {}, link("#/contacts", "← All contacts")),
      facts([
        ["E-mail", contact.email],
        ["Phone", contact.phone],
        ["Lifecycle stage", optionLabel(contactKinds, "lifecyclestage", contact.lifecyclestage)],
        ["Created", timeText(contact.createdate)],
      ]),
      contact.deals.length === 0 && element("p", { class: "muted" }, "No deals"),
      element("div", { class: "cards" }, ...contact.deals.map((deal) => dealCard(deal, stages, kinds, newTicket))),
      contact.incomplete && element("p", { class: "error" }, "Some records could not be read; reload the page."),
    ],
  };
}

export async function editContactView(id: string): Promise<View> {
  const kinds = await properties("contacts");
  return editView({
    title: "Edit contact",
    back: `#/contacts/${id}`,
    read: () => load(() => api.getContact({ path: { id } })),
    fields: (contact) => [
      { name: "firstname", label: "First name", optional: true, value: contact.firstname ?? "" },
      { name: "lastname", label: "Last name", optional: true, value: contact.lastname ?? "" },
      { name: "phone", label: "Phone", type: "tel", optional: true, value: contact.phone ?? "" },
      {
        name: "lifecyclestage", label: "Lifecycle stage", optional: true, value: contact.lifecyclestage ?? "",
        options: propertyOptions(kinds, "lifecyclestage"),
      },
    ],
    update: (body, etag) => request(() => api.updateContact({ path: { id }, body, headers: { "If-Match": etag } })),
  });
}
