// Texts for amounts, dates and names.
import type { Contact, Deal, Ticket } from "../../sdk/hey-api/types.gen";

export function money(amount: string, currency?: string | null): string {
  const style = currency && /^[A-Z]{3}$/.test(currency) ? { style: "currency", currency } as const : { minimumFractionDigits: 2 };
  return new Intl.NumberFormat(undefined, { ...style, maximumFractionDigits: Math.max(2, amount.split(".")[1]?.length ?? 0) })
    .format(Number(amount));
}

/** The day as YYYY-MM-DD. HubSpot stores a date without time as midnight, which may be in another time zone. */
export function day(timestamp: string): string {
  if (/^\d{4}-\d\d-\d\d(T00:00:00(\.0+)?Z)?$/.test(timestamp)) return timestamp.slice(0, 10);
  const date = new Date(timestamp);
  return [date.getFullYear(), date.getMonth() + 1, date.getDate()].map((part) => String(part).padStart(2, "0")).join("-");
}

export const dayText = (timestamp: string): string =>
  new Date(`${day(timestamp)}T12:00:00`).toLocaleDateString(undefined, { dateStyle: "medium" });

export const timeText = (timestamp: string): string =>
  new Date(timestamp).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });

export function titleOf(record: Contact | Deal | Ticket): string {
  if ("dealname" in record) return record.dealname ?? "Deal without a name";
  if ("subject" in record) return record.subject ?? "Ticket without a subject";
  return [record.firstname, record.lastname].filter(Boolean).join(" ") || record.email || "Contact without a name";
}
