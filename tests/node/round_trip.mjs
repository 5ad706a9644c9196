// Drives a running emulator with HubSpot's own Node client: node round_trip.mjs http://127.0.0.1:8100
import assert from 'node:assert/strict'
import { Client } from '@hubspot/api-client'

const basePath = process.argv[2] ?? 'http://127.0.0.1:8100'
const unique = Date.now().toString(36)
const oauth = new Client({ basePath }).oauth

async function refresh() {
  return oauth.tokensApi.create(
    'refresh_token',
    undefined,
    undefined,
    'demo-client-id',
    'demo-client-secret',
    'demo-refresh-token',
  )
}

async function rejects(status, call) {
  await assert.rejects(call, (error) => error.code === status, `expected ${status}`)
}

const token = await refresh()
assert.equal(token.tokenType, 'bearer')
assert.equal(token.expiresIn, 1800)
const hubspot = new Client({ basePath, accessToken: token.accessToken })
const { contacts, deals, tickets, associations, pipelines, properties } = hubspot.crm

const steps = {
  async 'OAuth token: create, introspect, reject'() {
    const introspected = await hubspot.oauth.accessTokensApi.get(token.accessToken)
    assert.equal(introspected.token, token.accessToken)
    await rejects(400, () =>
      oauth.tokensApi.create('refresh_token', undefined, undefined, 'demo-client-id', 'demo-client-secret', 'nothing'),
    )
  },

  async 'contact: create, read, read by email, update, list, archive'() {
    const email = `Node-${unique}@Example.com`
    const created = await contacts.basicApi.create({ properties: { email, firstname: 'Ada' }, associations: [] })
    assert.match(created.id, /^\d+$/)
    assert.equal(created.properties.email, email.toLowerCase())
    await rejects(409, () => contacts.basicApi.create({ properties: { email }, associations: [] }))
    const read = await contacts.basicApi.getById(created.id, ['firstname', 'phone'])
    assert.equal(read.properties.firstname, 'Ada')
    assert.ok(read.createdAt instanceof Date)
    const match = await contacts.basicApi.getById(email, undefined, undefined, undefined, undefined, 'email')
    assert.equal(match.id, created.id)
    const updated = await contacts.basicApi.update(created.id, { properties: { firstname: 'Grace' } })
    assert.equal(updated.properties.firstname, 'Grace')
    const listed = await contacts.getAll(100)
    assert.ok(listed.some(({ id }) => id === created.id))
    await contacts.basicApi.archive(created.id)
    await rejects(404, () => contacts.basicApi.getById(created.id))
  },

  async 'batch: create, read with a missing id, update, upsert, archive'() {
    const inputs = [1, 2, 3].map((number) => ({
      properties: { email: `batch-${number}-${unique}@example.com` },
      associations: [],
    }))
    const created = await contacts.batchApi.create({ inputs })
    assert.equal(created.results.length, 3)
    const ids = created.results.map(({ id }) => ({ id }))
    const read = await contacts.batchApi.read({
      inputs: [...ids, { id: '999999999999' }],
      properties: ['email'],
      propertiesWithHistory: [],
    })
    assert.equal(read.results.length, 3)
    assert.equal(read.numErrors, 1)
    assert.equal(read.errors[0].category, 'OBJECT_NOT_FOUND')
    const updated = await contacts.batchApi.update({
      inputs: ids.map(({ id }) => ({ id, properties: { lastname: 'Batch' } })),
    })
    assert.ok(updated.results.every(({ properties }) => properties.lastname === 'Batch'))
    const upserted = await contacts.batchApi.upsert({
      inputs: [
        { id: `batch-1-${unique}@example.com`, idProperty: 'email', properties: { firstname: 'A' } },
        { id: `batch-4-${unique}@example.com`, idProperty: 'email', properties: { firstname: 'B' } },
      ],
    })
    assert.deepEqual(upserted.results.map(({ _new }) => _new).sort(), [false, true])
    await contacts.batchApi.archive({ inputs: ids })
    await rejects(404, () => contacts.basicApi.getById(ids[0].id))
  },

  async 'search: filters, sorts, paging'() {
    for (const amount of ['10', '20', '30']) {
      await deals.basicApi.create({
        properties: { dealname: `search ${unique}`, dealstage: 'appointmentscheduled', amount },
        associations: [],
      })
    }
    const request = {
      filterGroups: [
        {
          filters: [
            { propertyName: 'dealname', operator: 'EQ', value: `search ${unique}` },
            { propertyName: 'amount', operator: 'GTE', value: '20' },
          ],
        },
      ],
      sorts: ['-amount'],
      properties: ['amount'],
      limit: 1,
      after: undefined,
    }
    const first = await deals.searchApi.doSearch(request)
    assert.equal(first.total, 2)
    assert.equal(first.results[0].properties.amount, '30')
    const second = await deals.searchApi.doSearch({ ...request, after: first.paging.next.after })
    assert.equal(second.results[0].properties.amount, '20')
    assert.equal(second.paging, undefined)
  },

  async 'associations: inline, default, batch read, archive'() {
    const contact = await contacts.basicApi.create({
      properties: { email: `linked-${unique}@example.com` },
      associations: [],
    })
    const deal = await deals.basicApi.create({
      properties: { dealname: 'linked', dealstage: 'appointmentscheduled' },
      associations: [
        { to: { id: contact.id }, types: [{ associationCategory: 'HUBSPOT_DEFINED', associationTypeId: 3 }] },
      ],
    })
    const ticket = await tickets.basicApi.create({
      properties: { subject: 'linked', hs_pipeline: '0', hs_pipeline_stage: '1' },
      associations: [],
    })
    await associations.v4.basicApi.createDefault('tickets', ticket.id, 'contacts', contact.id)
    const linked = await deals.basicApi.getById(deal.id, undefined, undefined, ['contacts'])
    assert.equal(linked.associations.contacts.results[0].id, contact.id)
    const read = await associations.v4.batchApi.getPage('contacts', 'tickets', { inputs: [{ id: contact.id }] })
    assert.equal(String(read.results[0].to[0].toObjectId), ticket.id)
    const page = await associations.v4.basicApi.getPage('deals', deal.id, 'contacts')
    assert.equal(String(page.results[0].toObjectId), contact.id)
    await associations.v4.basicApi.archive('deals', deal.id, 'contacts', contact.id)
    const empty = await associations.v4.basicApi.getPage('deals', deal.id, 'contacts')
    assert.deepEqual(empty.results, [])
  },

  async 'pipelines and stages'() {
    const created = await pipelines.pipelinesApi.create('tickets', {
      label: `Node ${unique}`,
      displayOrder: 1,
      stages: [{ label: 'Done', displayOrder: 1, metadata: { ticketState: 'CLOSED' } }],
    })
    const stage = await pipelines.pipelineStagesApi.create('tickets', created.id, {
      label: 'New',
      displayOrder: 0,
      metadata: { ticketState: 'OPEN' },
    })
    await pipelines.pipelineStagesApi.update('tickets', created.id, stage.id, {
      label: 'Started',
      metadata: { ticketState: 'OPEN' },
    })
    const read = await pipelines.pipelinesApi.getById('tickets', created.id)
    assert.deepEqual(read.stages.map((each) => each.label).sort(), ['Done', 'Started'])
    await pipelines.pipelinesApi.update('tickets', created.id, { label: `Renamed ${unique}` })
    const all = await pipelines.pipelinesApi.getAll('tickets')
    assert.ok(all.results.some(({ label }) => label === `Renamed ${unique}`))
  },

  async 'properties: create a unique one, options, use it'() {
    const name = `node_key_${unique}`
    const created = await properties.coreApi.create('tickets', {
      groupName: 'ticketinformation',
      name,
      label: 'Node key',
      type: 'string',
      fieldType: 'text',
      hasUniqueValue: true,
    })
    assert.equal(created.hasUniqueValue, true)
    const ticket = await tickets.basicApi.create({
      properties: { subject: 'unique', hs_pipeline_stage: '1', [name]: 'one' },
      associations: [],
    })
    const match = await tickets.basicApi.getById('one', undefined, undefined, undefined, undefined, name)
    assert.equal(match.id, ticket.id)
    const category = await properties.coreApi.getByName('tickets', 'hs_ticket_category')
    const option = { label: `Node ${unique}`, value: `NODE_${unique}`, displayOrder: 9, hidden: false }
    const changed = await properties.coreApi.update('tickets', 'hs_ticket_category', {
      options: [...category.options, option],
    })
    assert.equal(changed.options.length, category.options.length + 1)
  },

  async 'merge'() {
    const pair = []
    for (const number of [1, 2]) {
      pair.push(
        await contacts.basicApi.create({
          properties: { email: `merge-${number}-${unique}@example.com` },
          associations: [],
        }),
      )
    }
    const survivor = await contacts.basicApi.merge({ primaryObjectId: pair[0].id, objectIdToMerge: pair[1].id })
    assert.equal((await contacts.basicApi.getById(pair[1].id)).id, survivor.id)
  },
}

for (const [name, step] of Object.entries(steps)) {
  await step()
  console.log(`ok - ${name}`)
}
