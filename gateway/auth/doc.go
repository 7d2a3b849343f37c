// Package auth says who asks. It knows the registered API clients and their users, gives them short-lived access
// tokens, and turns a token back into an exchange.Caller.
//
//	client ─ assertion (private_key_jwt) ─▶ POST /auth/token ─▶ access token, five minutes
//	client ─ Authorization: Bearer … ─────▶ Verifier ─────────▶ exchange.Caller
//
// A client proves itself by SMART App Launch 2.2 Backend Services: a JWT signed with its own key, ES384 or RS384, used
// once (RFC 7523). For whom and for what it asks, the assertion says in the claims of IHE IUA (extensions.ihe_iua) and
// in ours (extensions.sotesilta); both are accepted only as far as the registration lets the client claim. What an
// actor is (register, controller, unit, task of decree 457/2024) follows from the registration alone, never from the
// request's word. Nothing beyond ordinary care has a default: a statutory ground is what a human asserts.
//
// The package decides nothing about data: a token opens an interaction by its scopes, and every exchange still needs a
// legal basis. Secrets, assertions and tokens never reach logs or error texts.
package auth
