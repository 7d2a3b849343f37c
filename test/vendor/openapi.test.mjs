// The API description is one that tools take: it is valid OpenAPI 3.1, its references resolve, its names are unique.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Validator } from "@seriousme/openapi-schema-validator";

const root = process.env.BASE.replace(/\/fhir$/, "");

test("/openapi.json is valid OpenAPI 3.1", async () => {
  const doc = await (await fetch(root + "/openapi.json")).json();
  const validator = new Validator();
  const { valid, errors } = await validator.validate(doc);
  assert.ok(valid, JSON.stringify(errors, null, 1)?.slice(0, 2000));
  assert.equal(validator.version, "3.1");
  const ids = Object.values(doc.paths).flatMap((p) => Object.values(p)).map((o) => o.operationId).filter(Boolean);
  assert.equal(new Set(ids).size, ids.length);
  for (const [, name, key] of JSON.stringify(doc).matchAll(/"#\/components\/([a-zA-Z]+)\/([^"]+)"/g)) {
    assert.ok(doc.components[name]?.[key], `${name}/${key}`);
  }
});
