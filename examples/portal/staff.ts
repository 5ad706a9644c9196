// Lists for staff: all contacts, deals and tickets, with filters and pages.
import type { SearchFilter } from "../../sdk/hey-api/types.gen";
import { action, element, filled, form, table } from "./dom";
import type { RecordType } from "./record_types";
import { contactLinks, recordLink } from "./records";
import { optionsOf, propertyOf, schemaOf, shown, type ObjectType } from "./schema";
import { open, type View } from "./view";

const PAGE_SIZE = 20;
/** The property that filters the list, and the other columns, each with its style. */
const COLUMNS: Record<ObjectType, [filter: string, ...columns: [name: string, style: string][]]> = {
  contacts: ["lifecyclestage", ["email", ""], ["phone", "wide"], ["lifecyclestage", "wide"], ["createdate", "wide"]],
  deals: ["dealstage", ["contact_ids", ""], ["dealstage", ""], ["amount", "number wide"], ["closedate", "wide"]],
  tickets: ["hs_pipeline_stage", ["contact_ids", ""], ["hs_pipeline_stage", ""], ["hs_ticket_priority", "wide"], ["createdate", "wide"]],
};
// The cursor of the page before, by the cursor of a page; cursors only lead forward.
const previous = new Map<string, string>();

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

export async function listView({ name: type, search }: RecordType, query: URLSearchParams): Promise<View> {
  const [filter, ...columns] = COLUMNS[type];
  const [text, chosen, cursor] = ["q", filter, "cursor"].map((name) => query.get(name) ?? "");
  const filters: SearchFilter[] = chosen ? [{ property: filter, operator: "EQ", value: chosen }] : [];
  const [schema, page] = await Promise.all([schemaOf(type), search({
    filters, limit: PAGE_SIZE, sort: { property: "createdate", direction: "descending" },
    ...(text && { query: text }), ...(cursor && { cursor }),
  })]);
  const links = await contactLinks(page.results);
  const labelOf = (name: string): string => propertyOf(schema, name)?.label ?? "Contact";
  const heads = columns.map(([name, style]): [string, string] => [labelOf(name), style]);
  const rows = page.results.map((record) => [
    recordLink(type, record),
    ...columns.map(([name]) => (name === "contact_ids" ? links(record) : shown(schema, record, name))),
  ]);
  const filtered = propertyOf(schema, filter);
  const path = `#/${type}`;
  const title = `${type.charAt(0).toUpperCase()}${type.slice(1)}`;
  const filterForm = form({
    id: "filters", submit: "Show",
    fields: [
      { name: "q", label: "Text", type: "search", optional: true, filter: true, value: text ?? "" },
      {
        name: filter, label: labelOf(filter), optional: true, filter: true, value: chosen ?? "",
        options: filtered ? optionsOf(schema, filtered) : [],
      },
    ],
    send: async (values) => open(`${path}?${new URLSearchParams(filled(values))}`),
  });
  return {
    title,
    content: [
      filterForm,
      element("p", { class: "muted", id: "total" }, page.total === 1 ? "1 record" : `${page.total} records`),
      rows.length > 0 && table(title, [["Name"], ...heads], rows),
      pager(path, query, page.next_cursor),
    ],
  };
}
