// Peer (d): Fastify with HubSpot's own Node client, in as many processes as PROCESSES says.
import cluster from "node:cluster";

import jwt from "@fastify/jwt";
import { Client } from "@hubspot/api-client";
import Fastify from "fastify";

const DEAL_TO_CONTACT = { associationCategory: "HUBSPOT_DEFINED", associationTypeId: 3 };

if (cluster.isPrimary) {
  for (let count = 0; count < Number(process.env.PROCESSES); count += 1) cluster.fork();
} else {
  const hubspot = new Client({
    accessToken: process.env.HUBSPOT_ACCESS_TOKEN,
    basePath: process.env.HUBSPOT_BASE_URL,
  });
  const app = Fastify();
  app.register(jwt, { secret: process.env.PEER_TOKEN_SECRET });

  app.get("/healthz", async () => ({ status: "ok" }));

  const deal = {
    type: "object",
    required: ["dealname", "dealstage"],
    properties: { dealname: { type: "string" }, dealstage: { type: "string" } },
  };
  app.post(
    "/api/deals",
    { schema: { body: deal }, onRequest: (request) => request.jwtVerify() },
    async (request, reply) => {
      const { dealname, dealstage } = request.body;
      const created = await hubspot.crm.deals.basicApi.create({
        properties: { dealname, dealstage },
        associations: [{ to: { id: request.user.contact_id }, types: [DEAL_TO_CONTACT] }],
      });
      reply.code(201);
      return { message: "Deal created successfully", data: { id: created.id, ...created.properties } };
    },
  );

  await app.listen({ host: "127.0.0.1", port: Number(process.argv[2]) });
}
