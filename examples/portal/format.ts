// Texts for amounts, dates, stages and names.
import type { Contact, Pipeline, RecordProperty } from "../../sdk/hey-api/types.gen";
import { element, type Option } from "./dom";

export function money(amount: string | null, currency?: string | null): string {
  if (amount === null) return "";
  const value = Number(amount);
  const style = currency && /^[A-Z]{3}$/.test(currency) ? { style: "currency", currency } as const : { minimumFractionDigits: 2 };
  return new Intl.NumberFormat(undefined, { ...style, maximumFractionDigits: Math.max(2, amount.split(".")[1]?.length ?? 0) })
    .format(value);
}

/** The day as YYYY-MM-DD. HubSpot stores a date without time as midnight, which may be in another time zone. */
export function day(timestamp: string | null): string {
  if (timestamp === null) return "";
  if (/T00:00:00(\.0+)?Z$/.test(timestamp)) return timestamp.slice(0, 10);
  const date = new Date(timestamp);
  return [date.getFullYear(), date.getMonth() + 1, date.getDate()].map((part) => String(part).padStart(2, "0")).join("-");
}

export function dayText(timestamp: string | null): string {
  if (timestamp === null) return "";
  return new Date(`${day(timestamp)}T12:00:00`).toLocaleDateString(undefined, { dateStyle: "medium" });
}

export const timeText = (timestamp: string | null): string =>
  timestamp === null ? "" : new Date(timestamp).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });

export function contactName({ firstname, lastname, email }: Contact): string {
  return [firstname, lastname].filter(Boolean).join(" ") || email || "Contact without a name";
}

/** The stages that the caller may set, and the current one. */
export function stageOptions(pipelines: Pipeline[], current: string | null = null): Option[] {
  return pipelines.flatMap(({ label, stages }) =>
    stages
      .filter(({ id, may_set }) => may_set || id === current)
      .map((stage) => ({ value: stage.id, label: stage.label, ...(pipelines.length > 1 && { group: label }) })),
  );
}

export function pipelineOf(pipelines: Pipeline[], stage: string | undefined): string | undefined {
  return pipelines.find(({ stages }) => stages.some(({ id }) => id === stage))?.id;
}

export function stageBadge(pipelines: Pipeline[], id: string | null): HTMLElement | null {
  if (id === null) return null;
  const stage = pipelines.flatMap(({ stages }) => stages).find((candidate) => candidate.id === id);
  return element("span", { class: stage?.is_closed ? "stage closed" : "stage" }, stage?.label ?? id);
}

export function propertyOptions(properties: RecordProperty[], name: string): Option[] {
  return properties.find((property) => property.name === name)?.options ?? [];
}

export const optionLabel = (properties: RecordProperty[], name: string, value: string | null): string =>
  propertyOptions(properties, name).find((option) => option.value === value)?.label ?? value ?? "";
