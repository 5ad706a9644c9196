// What the HubSpot account defines for its records: the fields of forms, labels, options and stages.
import type { Contact, Deal, Pipeline, RecordProperty, Stage, Ticket } from "../../sdk/hey-api/types.gen";
import { pipelines, properties } from "./api";
import { element, type Child, type Field, type Option } from "./dom";
import { day, dayText, money, timeText } from "./format";

export type ObjectType = "contacts" | "deals" | "tickets";
export type AnyRecord = Contact | Deal | Ticket;
export type Changes = Record<string, string | null>;

export interface Schema {
  properties: RecordProperty[];
  pipelines: Pipeline[];
}

const TITLES = ["dealname", "subject", "firstname", "lastname"];
const STAGES = ["dealstage", "hs_pipeline_stage"];
// A stage determines its pipeline, and an amount shows its currency.
const HIDDEN = ["hs_object_id", "pipeline", "currency"];
const INPUT_TYPES: Partial<Record<RecordProperty["field_type"], Field["type"]>> = {
  date: "date", phone: "tel", rich_text: "textarea", textarea: "textarea",
};

export async function schemaOf(type: ObjectType): Promise<Schema> {
  const ofType = type === "contacts" ? [] : pipelines().then((all) => all[type]);
  const [known, all] = await Promise.all([ofType, properties(type)]);
  // Owners and files are IDs of HubSpot, which say nothing to a person.
  const shown = all.filter(({ name, field_type }) => !HIDDEN.includes(name) && field_type !== "owner" && field_type !== "file");
  return { properties: shown, pipelines: known };
}

function valueOf(record: AnyRecord | undefined, { name, nested }: RecordProperty): string {
  const values: object = (nested ? record?.properties : record) ?? {};
  return (values as Record<string, string | null>)[name] ?? "";
}

export const stageOf = (schema: Schema, id: string): Stage | undefined =>
  schema.pipelines.flatMap(({ stages }) => stages).find((stage) => stage.id === id);

export function optionsOf(schema: Schema, property: RecordProperty, chosen: string[] = []): Option[] {
  const options = property.options.map(({ value, label, pipeline }) => {
    const parent = schema.pipelines.length > 1 && schema.pipelines.find(({ id }) => id === pipeline);
    return { value, label: parent ? `${parent.label}: ${label}` : label };
  });
  // A record may have an option that the caller may not set, or that the account has no more.
  const others = chosen.filter((value) => value && !options.some((option) => option.value === value));
  return [...options, ...others.map((value) => ({ value, label: stageOf(schema, value)?.label ?? value }))];
}

function fieldOf(schema: Schema, property: RecordProperty, record?: AnyRecord): Field {
  const { name, label, field_type, multiple } = property;
  const value = valueOf(record, property);
  const field: Field = { name: property.nested ? `properties.${name}` : name, label, optional: !property.required, value };
  if (multiple || property.options.length > 0) {
    const chosen = multiple ? value.split(";") : [value];
    const options = optionsOf(schema, property, chosen);
    const ordered = options.filter((option) => chosen.includes(option.value)).map((option) => option.value);
    return { ...field, multiple, options, value: ordered.join(";") };
  }
  if (field_type === "number" || field_type === "currency") field.inputmode = "decimal";
  if (field_type === "currency") {
    const currency = record && "currency" in record && record.currency;
    field.hint = `${currency ? `In ${currency}` : "A number"}, such as 1500.50`;
  }
  return { ...field, type: INPUT_TYPES[field_type], value: field_type === "date" && value ? day(value) : value };
}

/** The fields that the caller may write, those included that the operator has added. */
export function fieldsOf(schema: Schema, record?: AnyRecord): Field[] {
  return schema.properties.filter(({ writable }) => writable).map((property) => fieldOf(schema, property, record));
}

/** The body of a request: added properties are nested, and a stage brings its pipeline. */
export function bodyOf(schema: Schema, values: Changes): object {
  const entries = Object.entries(values);
  const added = entries.filter(([name]) => name.startsWith("properties.")).map(([name, value]) => [name.slice(11), value]);
  const body = Object.fromEntries(entries.filter(([name]) => !name.startsWith("properties.")));
  const pipeline = schema.pipelines.find(({ stages }) => stages.some(({ id }) => STAGES.some((name) => values[name] === id)));
  return { ...body, ...(pipeline && { pipeline: pipeline.id }), ...(added.length > 0 && { properties: Object.fromEntries(added) }) };
}

export const propertyOf = (schema: Schema, name: string): RecordProperty | undefined =>
  schema.properties.find((property) => property.name === name);

/** The labels of the chosen options, or the value if it is not an option. */
export function optionText(options: Option[], value: string, multiple: boolean | undefined): string {
  const labelOf = (part: string): string => options.find((option) => option.value === part)?.label ?? part;
  return (multiple ? value.split(";") : [value]).map(labelOf).join(", ");
}

/** The value of a property as a person reads it; timestamps that only HubSpot sets can have the time of day. */
export function shown(schema: Schema, record: AnyRecord, name: string, withTime = false): Child {
  const property = propertyOf(schema, name);
  const value = property && valueOf(record, property);
  if (!value) return null;
  if (STAGES.includes(name)) {
    const stage = stageOf(schema, value);
    return element("span", { class: stage?.is_closed ? "stage closed" : "stage" }, stage?.label ?? value);
  }
  if (property.field_type === "currency") return money(value, "currency" in record ? record.currency : null);
  if (withTime && property.type === "datetime" && !property.writable) return timeText(value);
  if (property.field_type === "date") return dayText(value);
  return optionText(optionsOf(schema, property), value, property.multiple);
}

/** Pairs of label and value, without those that the title shows. */
export function factsOf(schema: Schema, record: AnyRecord): [string, Child][] {
  return schema.properties.filter(({ name }) => !TITLES.includes(name)).map(({ name, label }) => [label, shown(schema, record, name, true)]);
}
