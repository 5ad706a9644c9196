// Starts Swagger UI; a file of its own, so that the page needs no inline script.
window.addEventListener("load", () => {
  const { openapi, remember } = document.currentScript?.dataset ?? document.querySelector("script[data-openapi]").dataset;
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
