// The caller's user account: profile, password, sessions.
import * as api from "../../sdk/hey-api/sdk.gen";
import { endSession, forgetProfile, perform, profile, request } from "./api";
import { button, confirmed, element, form, section } from "./dom";
import { open, report, type View } from "./view";

export function logOut(everywhere: boolean): void {
  endSession(everywhere).then(() => open("#/login", "You are logged out."), report);
}

async function logOutEverywhere(): Promise<void> {
  if (await confirmed("Log out everywhere?", "All your sessions end, in this and in all other browsers.", "Log out everywhere")) {
    logOut(true);
  }
}

export async function profileView(): Promise<View> {
  const me = await profile();
  const details = form({
    id: "profile", submit: "Save profile",
    fields: [
      { name: "firstname", label: "First name", autocomplete: "given-name", value: me.firstname },
      { name: "lastname", label: "Last name", autocomplete: "family-name", value: me.lastname },
      { name: "phone", label: "Phone", type: "tel", autocomplete: "tel", value: me.phone },
    ],
    send: async (body) => {
      await request(() => api.updateMe({ body }));
      forgetProfile();
      open("#/profile", "Your profile is saved.");
    },
  });
  const password = form({
    id: "password", submit: "Change password",
    fields: [
      { name: "current_password", label: "Current password", type: "password", autocomplete: "current-password" },
      { name: "new_password", label: "New password", type: "password", autocomplete: "new-password", hint: "At least 8 characters" },
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
          element("p", {}, "End your sessions in all browsers, this one included."),
          button("Log out everywhere", () => void logOutEverywhere(), { class: "danger", id: "logout-everywhere" }))),
    ],
  };
}
