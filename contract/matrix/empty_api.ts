// The API without endpoints that the code of @rtk-query/codegen-openapi extends.
import { createApi, fetchBaseQuery } from "@reduxjs/toolkit/query";

export const emptyApi = createApi({ baseQuery: fetchBaseQuery({ baseUrl: "/" }), endpoints: () => ({}) });
