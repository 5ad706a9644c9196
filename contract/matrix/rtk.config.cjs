module.exports = {
  schemaFile: process.env.OPENAPI,
  apiFile: "./rtk/empty_api.ts",
  apiImport: "emptyApi",
  outputFile: "./rtk/api.ts",
  exportName: "crmApi",
};
