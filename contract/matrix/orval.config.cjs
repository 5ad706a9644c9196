const input = process.env.OPENAPI;

module.exports = {
  fetch: {
    input,
    output: {
      client: "fetch",
      mode: "tags-split",
      target: "orval/api.ts",
      schemas: "orval/model",
      // Without it, orval omits header parameters such as Idempotency-Key.
      headers: true,
      baseUrl: process.env.BASE,
    },
  },
  zod: {
    input,
    output: {
      client: "zod",
      target: "orval/zod.ts",
      // The service accepts times with an offset.
      override: { zod: { dateTimeOptions: { offset: true } } },
    },
  },
};
