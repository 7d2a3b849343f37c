package main

import (
	"context"
	"errors"
	"fmt"

	"sotesilta/consent"
	"sotesilta/gateway/auth"
)

// tokenCommand gets an access token of the running sandbox, as any client would: it signs a real assertion with the
// client's key and sends it to the token endpoint.
type tokenCommand struct {
	settings
	Client  string `required:"" help:"API client, such as jukola-ehr."`
	User    string `help:"User of the client, such as nurse; without one the system itself."`
	Purpose string `help:"purpose_of_use, such as need-assessment; by default what the user ordinarily has."`
	Ground  string `help:"What the user asserts beyond care, as JSON: {task, service, ground, facts, reason, confirm}."`
	Scope   string `help:"SMART v2 scopes; by default all that the client may have."`
}

// Run prints the token on standard output, and nothing else.
func (t *tokenCommand) Run(ctx context.Context, out streams) error {
	root, err := t.root()
	if err != nil {
		return err
	}
	dir, err := t.keysFolder()
	if err != nil {
		return err
	}
	key, err := auth.ReadClientKey(dir, t.Client)
	if err != nil {
		return fmt.Errorf("no key of %s in %s (is the sandbox running with these SOTESILTA_ variables?): %w", t.Client, dir, err)
	}
	claims := auth.Claims{User: t.User, Purpose: consent.Purpose(t.Purpose)}
	if t.Ground != "" {
		if claims.Ground, err = auth.ParseGround([]byte(t.Ground)); err != nil {
			return fmt.Errorf("--ground: %w", err)
		}
	}
	tokenURL := root + auth.TokenPath
	assertion, err := auth.Assertion(key, t.Client, tokenURL, claims)
	if err != nil {
		return err
	}
	token, err := auth.Fetch(ctx, tokenURL, assertion, t.Scope)
	if err != nil {
		var refused *auth.TokenError
		if errors.As(err, &refused) {
			return refused
		}
		return fmt.Errorf("the token endpoint %s does not answer: is the sandbox running? %w", tokenURL, err)
	}
	_, err = fmt.Fprintln(out.out, token.AccessToken)
	return err
}
