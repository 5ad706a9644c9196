// The three object types: how the portal reads, changes and finds their records.
import * as api from "../../sdk/hey-api/sdk.gen";
import type {
  ContactUpdate, ContactWithDeals, DealUpdate, DealWithTickets, RecordSearch, Ticket, TicketUpdate,
} from "../../sdk/hey-api/types.gen";
import { load, perform, request } from "./api";
import type { AnyRecord, ObjectType } from "./schema";

export interface Page {
  results: AnyRecord[];
  total: number;
  next_cursor: string | null;
}

export interface RecordType<Rec extends AnyRecord = AnyRecord> {
  name: ObjectType;
  singular: "contact" | "deal" | "ticket";
  read: (id: string) => Promise<{ data: Rec; etag: string }>;
  update: (id: string, body: object, etag: string) => Promise<AnyRecord>;
  archive?: (id: string, etag: string) => Promise<void>;
  search: (body: RecordSearch) => Promise<Page>;
}

const include = "associations";
const ifMatch = (etag: string): { "If-Match": string } => ({ "If-Match": etag });

export const CONTACTS: RecordType<ContactWithDeals> = {
  name: "contacts",
  singular: "contact",
  read: (id) => load(() => api.getContact({ path: { id } })),
  update: (id, body: ContactUpdate, etag) => request(() => api.updateContact({ path: { id }, body, headers: ifMatch(etag) })),
  search: (body) => request(() => api.searchContacts({ body })),
};

export const DEALS: RecordType<DealWithTickets> = {
  name: "deals",
  singular: "deal",
  read: (id) => load(() => api.getDeal({ path: { id }, query: { include } })),
  update: (id, body: DealUpdate, etag) => request(() => api.updateDeal({ path: { id }, body, headers: ifMatch(etag) })),
  archive: (id, etag) => perform(() => api.archiveDeal({ path: { id }, headers: ifMatch(etag) })),
  search: (body) => request(() => api.searchDeals({ body: { ...body, include } })),
};

export const TICKETS: RecordType<Ticket> = {
  name: "tickets",
  singular: "ticket",
  read: (id) => load(() => api.getTicket({ path: { id }, query: { include } })),
  update: (id, body: TicketUpdate, etag) => request(() => api.updateTicket({ path: { id }, body, headers: ifMatch(etag) })),
  archive: (id, etag) => perform(() => api.archiveTicket({ path: { id }, headers: ifMatch(etag) })),
  search: (body) => request(() => api.searchTickets({ body: { ...body, include } })),
};
