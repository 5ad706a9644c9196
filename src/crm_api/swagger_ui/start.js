// Starts Swagger UI; a file of its own, so that the page needs no inline script.
const { openapi, remember } = document.currentScript.dataset;

const dark = window.matchMedia("(prefers-color-scheme: dark)");
const setDarkMode = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", setDarkMode);
setDarkMode();

const setAttribute = (selector, name, value) => {
  for (const element of document.querySelectorAll(`${selector}:not([${name}])`)) element.setAttribute(name, value);
};

// Names for controls that Swagger UI leaves without one.
function addNames() {
  setAttribute("#servers", "aria-label", "Server");
  setAttribute(".examples-select-element", "aria-label", "Example");
  setAttribute(".content-type-wrapper select, .body-param-content-type select", "aria-label", "Media type");
  setAttribute(".body-param__text", "aria-label", "Request body");
  setAttribute(".operation-filter-input", "aria-label", "Filter by tag");
  setAttribute(".close-modal", "aria-label", "Close");
  // Swagger UI's headings begin with h1 and go on with h3.
  for (const level of [3, 4, 5]) setAttribute(`.swagger-ui h${level}`, "aria-level", String(level - 1));
  setAttribute(".microlight", "tabindex", "0");
  const regions = {
    ".information-container": "About", ".scheme-container": "Server and login", ".filter-container": "Filter", ".dialog-ux": "Login",
  };
  for (const [selector, name] of Object.entries(regions)) {
    setAttribute(selector, "role", "region");
    setAttribute(selector, "aria-label", name);
  }
  // Speech input needs the visible text in the name.
  for (const button of document.querySelectorAll(".modal-btn[aria-label]")) {
    if (!button.ariaLabel.includes(button.textContent)) button.ariaLabel = `${button.textContent}: ${button.ariaLabel}`;
  }
}

// The login form is the first in the dialog, but Swagger UI focuses the field for a token, which is the last.
function focusLogin(added) {
  if (added.some((node) => node.querySelector?.("#oauth_username"))) {
    document.querySelector("#oauth_username").focus();
  }
}

window.addEventListener("load", () => {
  new MutationObserver((changes) => {
    addNames();
    focusLogin(changes.flatMap(({ addedNodes }) => [...addedNodes]));
  }).observe(document.querySelector("#swagger-ui"), { childList: true, subtree: true });
  window.ui = SwaggerUIBundle({
    url: openapi,
    dom_id: "#swagger-ui",
    deepLinking: true,
    displayOperationId: true,
    displayRequestDuration: true,
    filter: true,
    tryItOutEnabled: true,
    requestSnippetsEnabled: true,
    // Every operation shows the schemas that it has; all of them at once are longer than the page.
    defaultModelsExpandDepth: 0,
    validatorUrl: null,
    // Keeps the token in the browser's storage, so only where it is a demo's.
    persistAuthorization: remember === "true",
  });
});
