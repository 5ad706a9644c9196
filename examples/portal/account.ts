// The caller's user account: profile, password, sessions.
import * as api from "../../sdk/hey-api/sdk.gen";
import { forgetProfile, perform, ProblemError, profile, request, storeTokens } from "./api";
import { button, confirmed, element, form, section } from "./dom";
import { timeText } from "./format";
import { open, type View } from "./view";
import { NEW_PASSWORD, PASSWORD, PERSON } from "./welcome";

export async function logOut(everywhere: boolean): Promise<void> {
  await perform(() => api.logOut({ body: { everywhere } }));
  storeTokens(null);
  open("#/login", "You are logged out.");
}

async function logOutEverywhere(): Promise<void> {
  const isConfirmed = await confirmed("Log out everywhere?", "All your sessions end, in this and in all other browsers.", "Log out everywhere");
  if (isConfirmed) await logOut(true);
}

// Edge names Chrome too, and Chrome names Safari, so the order matters.
const BROWSERS = ["Edg", "Firefox", "Chrome", "Safari"];
const SYSTEMS = ["Android", "iPhone", "iPad", "Windows", "Mac OS", "Linux"];

/** Browser and system, or the beginning of the text of another client. */
function clientName(agent: string): string {
  const browser = BROWSERS.find((name) => agent.includes(`${name}/`))?.replace("Edg", "Edge");
  const system = SYSTEMS.find((name) => agent.includes(name));
  return browser && system ? `${browser} on ${system}` : agent.slice(0, 40) || "Unknown client";
}

async function sessionList(): Promise<HTMLElement> {
  const { results } = await request(() => api.listSessions());
  const items = results.map(({ id, user_agent, address, last_used_at, is_current }) => {
    const client = clientName(user_agent ?? "");
    const used = [address, `last used ${timeText(last_used_at)}`].filter(Boolean).join(" · ");
    const end = async (): Promise<void> => {
      await perform(() => api.endSession({ path: { id } })).catch((error) => {
        // A session that has already ended is not found.
        if (!(error instanceof ProblemError && error.problem.status === 404)) throw error;
      });
      open("#/profile", "The session has ended.");
    };
    const mark = is_current
      ? element("span", { class: "stage" }, "This session")
      : button("End", end, { class: "plain", "aria-label": `End the session of ${client}, ${used}` });
    return element("li", { class: "session" }, element("span", {}, client, " ", element("small", {}, used)), mark);
  });
  return element("ul", { class: "plain-list", id: "sessions" }, ...items);
}

export async function profileView(): Promise<View> {
  const [me, sessions] = await Promise.all([profile(), sessionList()]);
  const details = form({
    id: "profile", submit: "Save profile",
    fields: PERSON.map((field) => ({ ...field, value: me[field.name] })),
    send: async (body) => {
      await request(() => api.updateMe({ body }));
      forgetProfile();
      open("#/profile", "Your profile is saved.");
    },
  });
  const password = form({
    id: "password", submit: "Change password",
    fields: [
      { ...PASSWORD, name: "current_password", label: "Current password" },
      { ...NEW_PASSWORD, name: "new_password", label: "New password" },
    ],
    send: async ({ current_password = "", new_password = "" }) => {
      await perform(() => api.changePassword({ body: { current_password, new_password } }));
      open("#/profile", "Your password is changed, and all other sessions have ended.");
    },
  });
  return {
    title: "Profile",
    content: [
      element("div", { class: "columns" },
        section("Your details", element("p", { class: "muted" }, me.email), details),
        section("Password", password),
        section("Sessions",
          sessions,
          button("Log out everywhere", logOutEverywhere, { class: "danger", id: "logout-everywhere" }))),
    ],
  };
}
