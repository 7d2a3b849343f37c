// The SMART Backend Services login (SMART App Launch 2.2), as a vendor writes it: nothing but the well-known document, a
// key, and Node.js.
import { createPrivateKey, randomUUID, sign } from "node:crypto";
import { readFileSync } from "node:fs";

const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");

/** An assertion for the token endpoint, by the private key in a JWK file. */
export function assertion(tokenUrl, keyFile, client, user) {
  const jwk = JSON.parse(readFileSync(keyFile));
  const now = Math.floor(Date.now() / 1000);
  const text = part({ alg: "ES384", typ: "JWT", kid: jwk.kid }) + "." + part({
    iss: client, sub: client, aud: tokenUrl, jti: randomUUID(), iat: now, exp: now + 240,
    extensions: { ihe_iua: { national_provider_identifier: user } },
  });
  const key = createPrivateKey({ key: jwk, format: "jwk" });
  return text + "." + sign("sha384", text, { key, dsaEncoding: "ieee-p1363" }).toString("base64url");
}

/** What the token endpoint answers to a client that asks for all it may have. */
export async function tokenFor(tokenUrl, clientAssertion) {
  const response = await fetch(tokenUrl, {
    method: "POST",
    body: new URLSearchParams({
      grant_type: "client_credentials", client_assertion: clientAssertion,
      client_assertion_type: "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
    }),
  });
  return { status: response.status, body: await response.json() };
}

/** Where the server says its token endpoint is. */
export async function discover(base) {
  const answer = await (await fetch(base + "/.well-known/smart-configuration")).json();
  if (!answer.token_endpoint_auth_methods_supported.includes("private_key_jwt")) throw new Error("no private_key_jwt");
  return answer;
}
