// Moving between views.
import type { Child } from "./dom";

export interface View {
  title: string;
  /** Buttons beside the heading. */
  actions?: Child[];
  content: Child[];
}

/** What the next view says about the last action. */
export const announcement = { text: "" };

/** Shows the current view again, with new data. */
export function refresh(): void {
  window.dispatchEvent(new HashChangeEvent("hashchange"));
}

/** Opens another view; the text is announced and shown above it. */
export function open(hash: string, text = ""): void {
  announcement.text = text;
  if (location.hash === hash) refresh();
  else location.hash = hash;
}

/** Shows the error of a button that has no form. */
export function report(error: unknown): void {
  const text = error instanceof Error ? error.message : "Something went wrong; try again.";
  document.querySelector("#problem")?.replaceChildren(text);
}
