// The portal's frame: which view belongs to an address, navigation, focus, and outages.
import type { Profile } from "../../sdk/hey-api/types.gen";
import { isLoggedIn, onSessionChange, profile, ProblemError, UnavailableError } from "./api";
import { logOut, profileView } from "./account";
import { button, element, link } from "./dom";
import { editView } from "./editing";
import { CONTACTS, DEALS, TICKETS } from "./record_types";
import {
  contactView, dealView, myDealsView, newDealView, newTicketView, ticketView,
} from "./records";
import { searchView } from "./search";
import { listView } from "./staff";
import { announcement, open, refresh, type View } from "./view";
import { loginView, PAGES } from "./welcome";

const main = document.querySelector("main") as HTMLElement;
const navigation = document.querySelector("#navigation") as HTMLElement;
const status = document.querySelector("#status") as HTMLElement;
const problem = document.querySelector("#problem") as HTMLElement;
const connection = document.querySelector("#connection") as HTMLElement;

type Route = [pattern: RegExp, show: (id: string, query: URLSearchParams, role: Profile["role"]) => Promise<View>];

const ROUTES: Route[] = [
  [/^#\/contacts$/, (_, query) => listView(CONTACTS, query)],
  [/^#\/contacts\/(\d+)$/, contactView],
  [/^#\/contacts\/(\d+)\/edit$/, (id) => editView(CONTACTS, id)],
  [/^#\/contacts\/(\d+)\/new-deal$/, newDealView],
  [/^#\/deals$/, (_, query, role) => (role === "staff" ? listView(DEALS, query) : myDealsView())],
  [/^#\/deals\/new$/, newDealView],
  [/^#\/deals\/(\d+)$/, dealView],
  [/^#\/deals\/(\d+)\/edit$/, (id) => editView(DEALS, id)],
  [/^#\/deals\/(\d+)\/new-ticket$/, newTicketView],
  [/^#\/tickets$/, (_, query) => listView(TICKETS, query)],
  [/^#\/tickets\/(\d+)$/, ticketView],
  [/^#\/tickets\/(\d+)\/edit$/, (id) => editView(TICKETS, id)],
  [/^#\/search$/, (_, query) => searchView(query)],
  [/^#\/profile$/, profileView],
];
const LINKS: Record<Profile["role"], [hash: string, text: string][]> = {
  customer: [["#/deals", "My deals"], ["#/search", "Search"], ["#/profile", "Profile"]],
  staff: [["#/contacts", "Contacts"], ["#/deals", "Deals"], ["#/tickets", "Tickets"], ["#/search", "Search"], ["#/profile", "Profile"]],
};

async function currentView(): Promise<View> {
  const [path = "", query = ""] = location.hash.split("?");
  const token = new URLSearchParams(query).get("token") ?? "";
  // A mailed link works with and without a login.
  if (!isLoggedIn() || token) return (PAGES[path] ?? loginView)(token);
  const { role } = await profile();
  for (const [pattern, show] of ROUTES) {
    const match = pattern.exec(path);
    if (match) return show(match[1] ?? "", new URLSearchParams(query), role);
  }
  // An unknown address, such as that of the login, leads to the first page.
  const [[home]] = LINKS[role] as [[string, string]];
  history.replaceState(null, "", home);
  return currentView();
}

function showNavigation(role: Profile["role"] | null): void {
  const links = role ? LINKS[role] : [];
  const items = links.map(([hash, text]) =>
    element("li", {}, link(hash, text, location.hash.startsWith(hash) ? { "aria-current": "page" } : {})));
  const leave = button("Log out", () => logOut(false), { class: "plain", id: "logout" });
  navigation.replaceChildren(...(role ? [...items, element("li", {}, leave)] : []));
}

let retrying: number | undefined;

function outageView(error: UnavailableError): View {
  let remaining = error.retrySeconds;
  const wait = element("p", { class: "muted", id: "retry" });
  const count = (): void => {
    wait.textContent = `The portal tries again in ${remaining} s.`;
    if (remaining <= 0) refresh();
    remaining -= 1;
  };
  count();
  retrying = window.setInterval(count, 1000);
  return {
    title: navigator.onLine ? "Not available at the moment" : "You are offline",
    content: [
      element("p", { role: "alert" }, error.message),
      element("p", {}, "You are still logged in, and nothing that you saved is lost."),
      wait,
      button("Try again now", refresh, { id: "retry-now" }),
    ],
  };
}

function failureView(error: unknown): View {
  if (error instanceof UnavailableError) return outageView(error);
  const isMissing = error instanceof ProblemError && error.problem.status === 404;
  const text = isMissing ? "The record does not exist, or it is not yours." : String(error instanceof Error ? error.message : error);
  return { title: isMissing ? "Not found" : "Something went wrong", content: [element("p", { role: "alert" }, text), link("#/", "Start page")] };
}

let newest = 0;

async function show(): Promise<void> {
  const turn = ++newest;
  window.clearInterval(retrying);
  main.setAttribute("aria-busy", "true");
  const wasLoggedIn = isLoggedIn();
  let view: View;
  try {
    view = await currentView();
  } catch (error) {
    if (wasLoggedIn && !isLoggedIn()) return open(location.hash, "Your session has ended; log in again.");
    if (turn === newest) view = failureView(error);
    else return;
  }
  // A slow view must not replace the one that was opened after it.
  if (turn !== newest) return;
  const role = isLoggedIn() ? await profile().then((me) => me.role, () => null) : null;
  showNavigation(role);
  const heading = element("h1", { tabindex: "-1" }, view.title);
  const actions = (view.actions ?? []).filter(Boolean);
  const buttons = actions.length > 0 && element("div", { class: "buttons" }, ...actions);
  main.replaceChildren(...element("div", {}, element("div", { class: "heading" }, heading, buttons), ...view.content).childNodes);
  main.removeAttribute("aria-busy");
  document.title = `${view.title} – Portal`;
  status.textContent = announcement.text;
  announcement.text = "";
  problem.textContent = "";
  window.scrollTo(0, 0);
  // The heading of a new view gets the focus, so that keyboards and screen readers continue there.
  if (turn > 1) heading.focus();
}

function showConnection(): void {
  connection.textContent = navigator.onLine ? "" : "You are offline. Changes can be saved when the connection is back.";
}

onSessionChange(refresh);
window.addEventListener("hashchange", () => void show());
window.addEventListener("offline", showConnection);
window.addEventListener("online", () => {
  showConnection();
  if (document.querySelector("#retry")) refresh();
});
document.querySelector("#skip")?.addEventListener("click", (event) => {
  event.preventDefault();
  main.querySelector<HTMLElement>("h1")?.focus();
});
// A mailed link names a page of the portal: `reset-password#token=...` becomes `#/reset-password?token=...`.
const mailed = location.pathname.split("/").at(-1);
if (mailed) history.replaceState(null, "", `./#/${mailed}?${location.hash.slice(1)}`);
void show();
