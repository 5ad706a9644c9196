// All rules of spectral:oas and of the OWASP API security set. Each exception has its reason.
import { schema } from "@stoplight/spectral-functions";
import { oas } from "@stoplight/spectral-rulesets";
import owasp from "@stoplight/spectral-owasp-ruleset";

const stringsIn = (path) => [
  `${path}..[?(@ && @.type=="string")]`,
  `${path}..[?(@ && @.type && @.type.constructor.name === "Array" && @.type.includes("string"))]`,
];
const has = (...names) => names.map((name) => ({ required: [name] }));

const pointer = (path) => path.replaceAll("/", "~1");
const item = (path) => `**#/paths/${pointer(path)}`;

export default {
  extends: [[oas, "all"], [owasp, "all"]],
  rules: {
    // A date is bounded by its format; a maxLength in addition breaks generated models (datamodel-code-generator).
    "owasp:api4:2023-string-limit": {
      severity: "error",
      message: "Schema of type string must specify maxLength, enum, const, or a format that bounds it.",
      given: stringsIn("$"),
      then: {
        function: schema,
        functionOptions: {
          schema: {
            type: "object",
            anyOf: [
              ...has("maxLength", "enum", "const"),
              { properties: { format: { enum: ["date", "date-time", "uuid"] } }, required: ["format"] },
            ],
          },
        },
      },
    },
    // Only for requests: HubSpot stores any text, and a pattern would make generated clients refuse a response.
    "owasp:api4:2023-string-restricted": {
      severity: "error",
      message: "Strings of requests must specify a format, pattern, enum, or const.",
      given: ["requestBody", "parameters"].flatMap((part) => stringsIn(`$.paths[*][*].${part}`)),
      then: {
        function: schema,
        functionOptions: { schema: { type: "object", anyOf: has("format", "pattern", "enum", "const") } },
      },
    },
    // The operator decides on origins at run time; a header example breaks mock servers, which send it to every browser.
    "owasp:api8:2023-define-cors-origin": "off",
    // The remaining limit is on the 429 only; every other response names the policy.
    "owasp:api4:2023-rate-limit": {
      severity: "error",
      message: "All 2XX and 4XX responses should name the rate limit.",
      given: "$.paths[?(!@property.match(/z$/))]..responses[?(@property.match(/^(2|4)/))]",
      then: {
        field: "headers",
        function: schema,
        functionOptions: { schema: { type: "object", anyOf: has("RateLimit", "RateLimit-Policy") } },
      },
    },
    // The licence has an SPDX identifier, which excludes a URL (OpenAPI 3.1, License Object).
    "license-url": "off",
    // The contact is a web page; the operator decides whether to publish an e-mail address.
    "contact-properties": "off",
    // Tags are in the order in which a newcomer needs them; Swagger UI and generated references keep that order.
    "openapi-tags-alphabetical": "off",
  },
  overrides: [
    {
      // The local demo has no TLS.
      files: ["**#/servers/1"],
      rules: { "owasp:api8:2023-no-server-http": "off" },
    },
    {
      // Callers of these operations have no token yet.
      files: [
        "/api/register", "/api/email/verify", "/api/email/verify/resend", "/api/login", "/api/token",
        "/api/token/refresh", "/api/password/forgot", "/api/password/reset",
      ].map(item),
      rules: {
        "owasp:api2:2023-write-restricted": "off",
        "owasp:api8:2023-define-error-responses-401": "off",
      },
    },
    {
      // Probes have no authentication, no input and no rate limit; they are reachable only from the operator's network.
      files: ["/healthz", "/readyz"].map(item),
      rules: {
        "owasp:api2:2023-read-restricted": "off",
        "owasp:api4:2023-rate-limit": "off",
        "owasp:api4:2023-rate-limit-responses-429": "off",
        "owasp:api8:2023-define-error-validation": "off",
        "owasp:api8:2023-define-error-responses-401": "off",
      },
    },
  ],
};
