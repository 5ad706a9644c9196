// Elements, forms and dialogs; text is never inserted as HTML.
import { ProblemError, UnavailableError } from "./api";
import { report } from "./view";

export type Child = Node | string | null | undefined | false;

type Attributes = Record<string, string | boolean | undefined>;

export function element<Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[Name] {
  const created = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "string") created.setAttribute(key, value);
    else created.toggleAttribute(key, value ?? false);
  }
  created.append(...children.filter((child) => child || child === "").map((child) => child as Node | string));
  return created;
}

export const link = (href: string, text: string, attributes: Record<string, string> = {}): HTMLAnchorElement =>
  element("a", { href, ...attributes }, text);

/** A link in the form of a button. */
export const action = (href: string, text: string, style = ""): HTMLAnchorElement =>
  link(href, text, { class: `button ${style}`.trim() });

export function button(text: string, pressed: () => void | Promise<void>, attributes: Attributes = {}): HTMLButtonElement {
  const created = element("button", { type: "button", ...attributes }, text);
  created.addEventListener("click", () => void Promise.resolve(pressed()).catch(report));
  return created;
}

export const section = (title: string, ...children: Child[]): HTMLElement =>
  element("section", {}, element("h2", {}, title), ...children);

/** Pairs of a term and its value. */
export function facts(pairs: [string, Child][]): HTMLElement {
  const rows = pairs.filter(([, value]) => value);
  return element("dl", {}, ...rows.map(([term, value]) => element("div", {}, element("dt", {}, term), element("dd", {}, value))));
}

/** Table whose first column names the rows. */
export function table(caption: string, columns: [title: string, style?: string][], rows: Child[][]): HTMLElement {
  const heads = columns.map(([title, style = ""]) => element("th", { scope: "col", class: style }, title));
  const lines = rows.map(([name, ...cells]) => {
    const others = cells.map((cell, index) => element("td", { class: columns[index + 1]?.[1] ?? "" }, cell));
    return element("tr", {}, element("th", { scope: "row" }, name), ...others);
  });
  return element("table", {},
    element("caption", { class: "visually-hidden" }, caption),
    element("thead", {}, element("tr", {}, ...heads)), element("tbody", {}, ...lines));
}

export interface Option {
  value: string;
  label: string;
}

export interface Field {
  name: string;
  label: string;
  type?: "text" | "email" | "password" | "tel" | "date" | "search" | "textarea";
  options?: Option[];
  /** Several options, joined by `;`. */
  multiple?: boolean;
  optional?: boolean;
  /** Filters are always optional, so their labels do not say so. */
  filter?: boolean;
  autocomplete?: AutoFill;
  inputmode?: "decimal";
  value?: string;
  hint?: string;
}

export type Values = Record<string, string>;

/** Control with its label; for several options, a group of checkboxes. */
function labelled(field: Field, id: string, described: Attributes): [tag: "div" | "fieldset", ...parts: HTMLElement[]] {
  const { name, type = "text", value = "", options = [], optional, autocomplete = "off", inputmode } = field;
  const label = optional && !field.filter ? `${field.label} (optional)` : field.label;
  if (field.multiple) {
    const boxes = options.map((option) => element("label", {},
      element("input", { ...described, type: "checkbox", name, value: option.value, checked: value.split(";").includes(option.value) }),
      option.label));
    return ["fieldset", element("legend", {}, label), ...boxes];
  }
  const attributes: Attributes = { ...described, id, name, required: !optional, autocomplete };
  let control: HTMLElement = element("input", { ...attributes, type, value, inputmode });
  if (type === "textarea") control = element("textarea", { ...attributes, rows: "4" }, value);
  if (field.options) {
    const choices = options.map((option) => element("option", { value: option.value, selected: option.value === value }, option.label));
    control = element("select", attributes, optional && element("option", { value: "" }, field.filter ? "All" : "–"), ...choices);
  }
  return ["div", element("label", { for: id }, label), control];
}

export interface Form {
  id: string;
  fields: Field[];
  submit: string;
  cancel?: string;
  send: (values: Values) => Promise<void>;
}

/** A form that passes all its values to `send` and shows errors at the fields that they name. */
export function form({ id, fields, submit, cancel, send }: Form): HTMLFormElement {
  const errors = new Map<string, HTMLElement>();
  const rows = fields.map((field) => {
    const inputId = `${id}-${field.name}`;
    const message = element("span", { class: "error" });
    const notes = element("span", { class: "muted", id: `${inputId}-notes` }, field.hint && `${field.hint} `, message);
    errors.set(field.name, message);
    const [tag, ...parts] = labelled(field, inputId, { "aria-describedby": notes.id });
    return element(tag, { class: "field" }, ...parts, notes);
  });
  const general = element("p", { class: "error", role: "alert" });
  const submitButton = element("button", { type: "submit" }, submit);
  const buttons = element("div", { class: "buttons" }, submitButton, cancel && action(cancel, "Cancel", "plain"));
  const created = element("form", { id, novalidate: true }, ...rows, general, buttons);

  const showError = (error: unknown): void => {
    const details = error instanceof ProblemError ? error.problem.details : [];
    for (const { field, message } of details) {
      const label = fields.find(({ name }) => name === field)?.label ?? "";
      errors.get(field)?.append(`${label} ${message}. `);
      created.querySelector(`[name="${CSS.escape(field)}"]`)?.setAttribute("aria-invalid", "true");
    }
    const elsewhere = details.filter(({ field }) => !errors.has(field)).map(({ field, message }) => `${field} ${message}`);
    if (elsewhere.length > 0) general.textContent = elsewhere.join("; ");
    else if (details.length === 0 && error instanceof Error) general.textContent = error.message;
    if (error instanceof UnavailableError) {
      general.append(` Your entries are still here: press “${submit}” again in about ${error.retrySeconds} seconds.`);
    }
    created.querySelector<HTMLElement>("[aria-invalid]")?.focus();
  };

  created.addEventListener("submit", (event) => {
    event.preventDefault();
    // A disabled button would lose the focus.
    if (submitButton.getAttribute("aria-disabled") === "true") return;
    for (const message of [general, ...errors.values()]) message.textContent = "";
    for (const input of created.elements) input.removeAttribute("aria-invalid");
    submitButton.setAttribute("aria-disabled", "true");
    const entered = new FormData(created);
    const values = Object.fromEntries(fields.map(({ name }) => [name, entered.getAll(name).join(";").trim()]));
    send(values)
      .catch(showError)
      .finally(() => submitButton.setAttribute("aria-disabled", "false"));
  });
  return created;
}

/** Values without the empty ones, for a create. */
export const filled = (values: Values): Values => Object.fromEntries(Object.entries(values).filter(([, value]) => value !== ""));

/** Asks before something that is hard to undo. */
export function confirmed(question: string, explanation: string, yes: string): Promise<boolean> {
  const dialog = element("dialog", { "aria-labelledby": "question", "aria-describedby": "explanation" });
  dialog.append(
    element("h2", { id: "question" }, question),
    element("p", { id: "explanation" }, explanation),
    element("div", { class: "buttons" },
      button(yes, () => dialog.close("yes"), { class: "danger", id: "confirm" }),
      button("Cancel", () => dialog.close(""), { class: "plain" })),
  );
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
  });
}
