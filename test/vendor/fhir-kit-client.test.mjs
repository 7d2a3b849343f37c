// A vendor's integration with fhir-kit-client, as its README teaches it. BASE is the FHIR base, KEY the private key of
// jukola-ehr.
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { Client } from "fhir-kit-client";
import { assertion, discover, tokenFor } from "./login.mjs";

const { BASE, KEY } = process.env;
const client = new Client({ baseUrl: BASE });
const http = (answer) => Client.httpFor(answer).response;
const patient = { reference: "Patient/onni" };
const visits = "https://vendor.example/visits";

const observation = (value, more = {}) => ({
  resourceType: "Observation", status: "preliminary", code: { coding: [{ system: "http://loinc.org", code: "8867-4" }] },
  subject: patient, effectiveDateTime: "2026-11-21T10:00:00+02:00", valueQuantity: { value, unit: "/min" }, ...more,
});

/** What a refused promise tells: its status and OperationOutcome. */
async function refused(promise) {
  const error = await promise.then(() => assert.fail("it was not refused"), (e) => e);
  assert.ok(error.response, String(error));
  const { status, data } = error.response;
  return { status, outcome: data, text: JSON.stringify(data) };
}

before(async () => {
  const metadata = await client.smartAuthMetadata();
  const smart = await discover(BASE);
  assert.equal(String(metadata.tokenUrl), smart.token_endpoint);
  const proof = assertion(smart.token_endpoint, KEY, "jukola-ehr", "nurse");
  const first = await tokenFor(smart.token_endpoint, proof);
  assert.equal(first.status, 200, JSON.stringify(first.body));
  const again = await tokenFor(smart.token_endpoint, proof);
  assert.deepEqual([again.status, again.body.error], [401, "invalid_client"], "an assertion is used once");
  client.bearerToken = first.body.access_token;
});

test("the CapabilityStatement names what the vendor uses", async () => {
  const statement = await client.capabilityStatement();
  assert.equal(statement.fhirVersion, "4.0.1");
  const types = statement.rest[0].resource.map((r) => r.type);
  for (const type of ["Patient", "CarePlan", "CareTeam", "Task", "Observation"]) assert.ok(types.includes(type), type);
});

test("create, read, vread, update, patch, history, delete", async () => {
  const made = await client.create({ resourceType: "Observation", body: observation(60) });
  assert.equal(http(made).status, 201);
  assert.match(http(made).headers.get("location"), new RegExp(`/Observation/${made.id}/_history/1$`));
  assert.equal(http(made).headers.get("etag"), 'W/"1"');

  const read = await client.read({ resourceType: "Observation", id: made.id });
  assert.deepEqual(read.valueQuantity, { value: 60, unit: "/min" });
  assert.deepEqual(await client.resolve({ reference: `Observation/${made.id}` }), read);

  const updated = await client.update({
    resourceType: "Observation", id: made.id, body: { ...read, status: "final" }, options: { headers: { "If-Match": 'W/"1"' } },
  });
  assert.deepEqual([updated.status, updated.meta.versionId], ["final", "2"]);
  const stale = await refused(client.update({
    resourceType: "Observation", id: made.id, body: read, options: { headers: { "If-Match": 'W/"1"' } },
  }));
  assert.equal(stale.status, 412);

  const patched = await client.patch({
    resourceType: "Observation", id: made.id, jsonPatch: [{ op: "replace", path: "/valueQuantity/value", value: 64 }],
  });
  assert.deepEqual([patched.valueQuantity.value, patched.meta.versionId], [64, "3"]);
  const badPatch = await refused(client.patch({
    resourceType: "Observation", id: made.id, jsonPatch: [{ op: "test", path: "/status", value: "preliminary" }],
  }));
  assert.ok([409, 412, 422].includes(badPatch.status), badPatch.text);

  assert.deepEqual((await client.vread({ resourceType: "Observation", id: made.id, version: "1" })).status, "preliminary");
  const history = await client.history({ resourceType: "Observation", id: made.id });
  assert.deepEqual(history.entry.map((e) => e.resource.meta.versionId), ["3", "2", "1"]);
  assert.deepEqual(history.entry.map((e) => e.request.method.replace("PATCH", "PUT")), ["PUT", "PUT", "POST"]);

  await client.delete({ resourceType: "Observation", id: made.id });
  assert.equal((await refused(client.read({ resourceType: "Observation", id: made.id }))).status, 410);
  const after = await client.history({ resourceType: "Observation", id: made.id });
  assert.equal(after.entry[0].request.method, "DELETE");
  assert.equal(after.entry[0].resource, undefined);
});

test("a page follows the other until there is none", async () => {
  const mark = { system: visits, value: crypto.randomUUID() };
  const made = [];
  for (const value of [1, 2, 3, 4, 5]) {
    made.push((await client.create({ resourceType: "Observation", body: observation(value, { identifier: [mark] }) })).id);
  }
  let page = await client.search({
    resourceType: "Observation",
    searchParams: { patient: "onni", identifier: `${mark.system}|${mark.value}`, _count: 2, _sort: "value-quantity", _total: "accurate" },
  });
  assert.equal(page.total, 5);
  const found = [];
  for (let pages = 0; page && pages < 9; pages++) {
    found.push(...page.entry.filter((e) => e.search.mode === "match").map((e) => e.resource.id));
    page = page.link.some((l) => l.relation === "next") ? await client.nextPage({ bundle: page }) : undefined;
  }
  assert.deepEqual(found, made);
  const posted = await client.search({
    resourceType: "Observation", searchParams: { patient: "onni", identifier: `${mark.system}|${mark.value}` },
    options: { postSearch: true },
  });
  assert.equal(posted.entry.filter((e) => e.search.mode === "match").length, 5);
});

test("what belongs to a client is searched by compartment", async () => {
  const found = await client.search({ resourceType: "Observation", compartment: { resourceType: "Patient", id: "onni" }, searchParams: { _count: 3 } });
  assert.ok(found.entry.length > 0);
  for (const e of found.entry.filter((e) => e.search.mode === "match")) assert.equal(e.resource.subject.reference, "Patient/onni");
});

test("a Bundle of another server is linked as it was there", async () => {
  const there = "https://other.example/fhir/";
  const visit = { resourceType: "Encounter", status: "in-progress", subject: patient, serviceProvider: { reference: "Organization/jukola" },
    class: { system: "http://terminology.hl7.org/CodeSystem/v3-ActCode", code: "AMB" } };
  const post = (id, resource) => ({ fullUrl: there + id, request: { method: "POST", url: resource.resourceType }, resource });
  const done = await client.transaction({ body: { resourceType: "Bundle", type: "transaction", entry: [
    post("Observation/1", observation(70, { encounter: { reference: "Encounter/7" } })),
    post("Observation/2", observation(71, { encounter: { reference: there + "Encounter/7" } })),
    post("Encounter/7", visit),
  ] } });
  const [one, two, encounter] = done.entry.map((e) => e.response.location.split("/").slice(0, 2).join("/"));
  for (const reference of [one, two]) assert.equal((await client.resolve({ reference })).encounter.reference, encounter);
});

test("a transaction is all or nothing, a batch is not", async () => {
  const visit = crypto.randomUUID();
  const entries = [
    { fullUrl: `urn:uuid:${visit}`, request: { method: "POST", url: "Encounter", ifNoneExist: `identifier=${visits}|${visit}` },
      resource: { resourceType: "Encounter", identifier: [{ system: visits, value: visit }], status: "in-progress",
        class: { system: "http://terminology.hl7.org/CodeSystem/v3-ActCode", code: "AMB" }, subject: patient,
        serviceProvider: { reference: "Organization/jukola" } } },
    { request: { method: "POST", url: "Observation" }, resource: observation(70, { encounter: { reference: `urn:uuid:${visit}` } }) },
  ];
  const done = await client.transaction({ body: { resourceType: "Bundle", type: "transaction", entry: entries } });
  assert.deepEqual(done.entry.map((e) => e.response.status.slice(0, 3)), ["201", "201"]);
  const [encounter, written] = done.entry.map((e) => e.response.location.match(/([A-Za-z]+)\/([^/]+)\/_history/));
  const read = await client.read({ resourceType: "Observation", id: written[2] });
  assert.equal(read.encounter.reference, `Encounter/${encounter[2]}`);

  const again = await client.transaction({ body: { resourceType: "Bundle", type: "transaction", entry: entries } });
  assert.equal(again.entry[0].response.status.slice(0, 3), "200", "conditional create finds the visit");

  const lost = crypto.randomUUID();
  const broken = await refused(client.transaction({ body: { resourceType: "Bundle", type: "transaction", entry: [
    { request: { method: "POST", url: "Observation" }, resource: observation(1, { identifier: [{ system: visits, value: lost }] }) },
    { request: { method: "POST", url: "Observation" }, resource: { ...observation(2), status: "no-such-status" } },
  ] } }));
  assert.ok([400, 422].includes(broken.status), broken.text);
  assert.match(broken.text, /entry\[1\]/, "the outcome names the entry");
  const none = await client.search({ resourceType: "Observation", searchParams: { identifier: `${visits}|${lost}`, _total: "accurate" } });
  assert.equal(none.total, 0);

  const batch = await client.batch({ body: { resourceType: "Bundle", type: "batch", entry: [
    { request: { method: "GET", url: `Observation/${written[2]}` } },
    { request: { method: "GET", url: "Observation/there-is-none" } },
  ] } });
  assert.deepEqual(batch.entry.map((e) => e.response.status.slice(0, 3)), ["200", "404"]);
  assert.equal(batch.entry[1].response.outcome.resourceType, "OperationOutcome");
});

test("history of a type and of the system", async () => {
  const made = await client.create({ resourceType: "Observation", body: observation(61) });
  const ofType = await client.history({ resourceType: "Observation" });
  assert.equal(ofType.type, "history");
  assert.equal(ofType.entry[0].resource.id, made.id);
  const ofSystem = await client.history();
  assert.ok(ofSystem.entry.some((e) => e.resource?.id === made.id));
});

test("operations", async () => {
  const matched = await client.operation({ name: "match", resourceType: "Patient", input: { resourceType: "Parameters", parameter: [
    { name: "resource", resource: { resourceType: "Patient", identifier: [{ system: "urn:oid:1.2.246.21", value: "170588-9102" }],
      name: [{ family: "Esimerkki", given: ["Aino"] }] } },
  ] } });
  assert.deepEqual(matched.entry.map((e) => e.resource.id), ["aino"]);
  const checked = await client.operation({ name: "validate", resourceType: "Observation", input: { ...observation(1), status: "no-such-status" } });
  assert.equal(checked.resourceType, "OperationOutcome");
  assert.ok(checked.issue.some((i) => i.severity === "error" && i.expression?.includes("Observation.status")), JSON.stringify(checked));
  const statuses = { url: "http://hl7.org/fhir/ValueSet/observation-status", filter: "amended" };
  const expanded = await client.operation({ name: "expand", resourceType: "ValueSet", method: "GET", input: statuses });
  assert.deepEqual(expanded.expansion.contains.map((c) => c.code), ["amended"]);
  const everything = await client.operation({ name: "everything", resourceType: "Patient", id: "onni", method: "GET" });
  assert.ok(everything.entry.some((e) => e.resource.resourceType === "Observation"));
});

test("errors are OperationOutcomes that say what to do", async () => {
  for (const [promise, status, code] of [
    [() => client.read({ resourceType: "Observation", id: "there-is-none" }), 404, "not-found"],
    [() => client.search({ resourceType: "Observation", searchParams: { colour: "red" } }), 400, undefined],
    [() => client.create({ resourceType: "Observation", body: { ...observation(1), colour: "red" } }), undefined, undefined],
    [() => client.create({ resourceType: "Observation", body: observation(1, { subject: { reference: "Patient/nobody" } }) }), 422, undefined],
  ]) {
    const { status: was, outcome, text } = await refused(promise());
    if (status) assert.equal(was, status, text);
    assert.equal(outcome.resourceType, "OperationOutcome", text);
    if (code) assert.equal(outcome.issue[0].code, code);
    assert.ok(outcome.issue[0].diagnostics || outcome.issue[0].details?.text, text);
  }
});
