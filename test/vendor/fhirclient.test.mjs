// A vendor's integration with the SMART community's fhirclient, and XML with nothing but fetch. BASE is the FHIR base,
// KEY the private key of jukola-ehr.
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { createRequire } from "node:module";
import { assertion, discover, tokenFor } from "./login.mjs";

const FHIR = createRequire(import.meta.url)("fhirclient");
const { BASE, KEY } = process.env;
let client, token;

before(async () => {
  const { token_endpoint: tokenUrl } = await discover(BASE);
  const { status, body } = await tokenFor(tokenUrl, assertion(tokenUrl, KEY, "jukola-ehr", "doctor"));
  assert.equal(status, 200, JSON.stringify(body));
  token = body.access_token;
  const { default: Client } = createRequire(import.meta.url)("fhirclient/lib/Client.js");
  const environment = FHIR({ url: "/", headers: {} }, {}, { get: async () => undefined, set: async () => {}, unset: async () => {} });
  client = environment.client({ serverUrl: BASE, tokenResponse: body });
  assert.ok(client instanceof Client);
});

const condition = (text) => ({
  resourceType: "Condition", subject: { reference: "Patient/onni" }, code: { text },
  clinicalStatus: { coding: [{ system: "http://terminology.hl7.org/CodeSystem/condition-clinical", code: "active" }] },
});

test("create, read, update, patch and delete", async () => {
  const made = await client.create(condition("Astma"));
  assert.equal(made.meta.versionId, "1");
  const updated = await client.update({ ...made, code: { text: "Astma, lievä" } });
  assert.deepEqual([updated.meta.versionId, updated.code.text], ["2", "Astma, lievä"]);
  const patched = await client.patch(`Condition/${made.id}`, [{ op: "add", path: "/note", value: [{ text: "Seurataan." }] }]);
  assert.deepEqual([patched.meta.versionId, patched.note[0].text], ["3", "Seurataan."]);
  assert.equal((await client.request(`Condition/${made.id}/_history/1`)).code.text, "Astma");
  await client.delete(`Condition/${made.id}`);
  const gone = await client.request(`Condition/${made.id}`).then(() => assert.fail("it is there"), (e) => e);
  assert.match(gone.message, /Gone|410/);
});

test("pages are followed and references resolved", async () => {
  const entries = await client.request(`Condition?patient=onni&_count=1`, { pageLimit: 0, flat: true });
  const all = entries.filter((r) => r.resourceType === "Condition"); // each page tells its notice too
  assert.ok(all.length >= 2, `${all.length} Conditions`);
  assert.equal(new Set(all.map((c) => c.id)).size, all.length);
  const one = await client.request(`Condition/${all[0].id}`, { resolveReferences: ["subject"] });
  assert.equal(one.subject.resourceType, "Patient");
});

const xml = (path, init = {}) => fetch(BASE + path, {
  ...init, headers: { authorization: `Bearer ${token}`, accept: "application/fhir+xml", ...init.headers },
});

test("XML in and out", async () => {
  const sent = `<Condition xmlns="http://hl7.org/fhir"><clinicalStatus><coding>` +
    `<system value="http://terminology.hl7.org/CodeSystem/condition-clinical"/><code value="active"/></coding></clinicalStatus>` +
    `<code><text value="Migreeni &amp; päänsärky"/></code><subject><reference value="Patient/onni"/></subject></Condition>`;
  const made = await xml("/Condition", { method: "POST", body: sent, headers: { "content-type": "application/fhir+xml" } });
  assert.equal(made.status, 201, await made.clone().text());
  assert.match(made.headers.get("content-type"), /^application\/fhir\+xml/);
  const id = made.headers.get("location").match(/Condition\/([^/]+)/)[1];
  const asJSON = await client.request(`Condition/${id}`);
  assert.equal(asJSON.code.text, "Migreeni & päänsärky");
  const asXML = await (await xml(`/Condition/${id}`)).text();
  assert.match(asXML, /^<\?xml[^>]*\?>\s*<Condition xmlns="http:\/\/hl7\.org\/fhir">|^<Condition xmlns="http:\/\/hl7\.org\/fhir">/);
  assert.ok(asXML.includes(`<text value="Migreeni &amp; päänsärky"/>`), asXML);
  const searched = await (await xml(`/Condition?patient=onni&_count=2&_format=xml`)).text();
  assert.match(searched, /<Bundle xmlns="http:\/\/hl7\.org\/fhir">/);
  const missing = await xml("/Condition/there-is-none");
  assert.equal(missing.status, 404);
  assert.match(await missing.text(), /<OperationOutcome xmlns="http:\/\/hl7\.org\/fhir">/);
  const broken = await xml("/Condition", { method: "POST", body: "<Condition", headers: { "content-type": "application/fhir+xml" } });
  assert.equal(broken.status, 400);
});

test("errors carry the server's words", async () => {
  const error = await client.request("Condition?colour=red").then(() => assert.fail("it was taken"), (e) => e);
  assert.match(error.message, /colour/);
});
