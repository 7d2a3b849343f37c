package auth

import (
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"sotesilta/consent"
)

// introspection answers RFC 7662 § 2.2, with the claims of IUA as they were accepted (IHE ITI-102).
type introspection struct {
	Active bool `json:"active"`
	introspected
}

type introspected struct {
	Scope      string      `json:"scope,omitempty"`
	ClientID   string      `json:"client_id,omitempty"`
	TokenType  string      `json:"token_type,omitempty"`
	Issuer     string      `json:"iss,omitempty"`
	Subject    string      `json:"sub,omitempty"`
	Audience   string      `json:"aud,omitempty"`
	Expires    numericDate `json:"exp,omitzero"`
	IssuedAt   numericDate `json:"iat,omitzero"`
	ID         string      `json:"jti,omitempty"`
	Extensions extensions  `json:"extensions,omitzero"`
}

// introspect is POST /auth/introspect (RFC 7662): what a token is worth now, as the registry in use has it. Who asks
// shows an access token of its own; a client learns of its own tokens, the operator and the auditor of all. Whatever
// else is asked about, another's token among it, is not active, and nothing more is said (§ 2.2, § 4).
func (s *Server) introspect(c *gin.Context) {
	c.Header("Cache-Control", "no-store")
	refuse := func(status int, code, text string) {
		writeJSON(c, status, map[string]string{"error": code, "error_description": ascii(text)})
	}
	asker, err := s.Authenticate(c.Request.Context(), c.GetHeader("Authorization"))
	if err != nil {
		c.Header("WWW-Authenticate", challenge(err))
		refuse(http.StatusUnauthorized, "invalid_token", err.Error())
		return
	}
	if wait := s.perClient.Spend(c.Request.Context(), asker.Actor.App, 1); wait > 0 {
		r := tooMany(wait)
		c.Header("Retry-After", strconv.Itoa(int((wait+time.Second-1)/time.Second)))
		refuse(r.status, r.code, r.text)
		return
	}
	form, refused := postForm(c)
	if refused == nil && (form.Get("token") == "" || len(form.Get("token")) > maxJWS) {
		refused = invalidRequest("token: one is needed, in the form")
	}
	if refused != nil {
		refuse(refused.status, refused.code, refused.text)
		return
	}
	writeJSON(c, http.StatusOK, s.look(asker.Actor, form.Get("token"))) // token_type_hint says nothing: all are of one type
}

// look is what a token is worth to who asks.
func (s *Server) look(asker consent.Actor, token string) introspection {
	st := s.state.Load()
	claims, err := s.claims(st, token, s.now())
	if err != nil {
		return introspection{}
	}
	caller, err := st.caller(claims)
	all := asker.Kind == consent.Operator || asker.Kind == consent.Auditor
	if err != nil || !all && caller.Actor.App != asker.App {
		return introspection{}
	}
	scope, err := parseScopes(claims.Scope)
	client, registered := st.registry.Client(claims.Subject)
	if err != nil || !registered {
		return introspection{}
	}
	return introspection{Active: true, introspected: introspected{
		Scope: scope.and(client.scopes).String(), ClientID: claims.ClientID, TokenType: "Bearer", Issuer: claims.Issuer, Subject: claims.Subject,
		Audience: claims.Audience, Expires: claims.Expires, IssuedAt: claims.IssuedAt, ID: claims.ID, Extensions: claims.Extensions,
	}}
}
