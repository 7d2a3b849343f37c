package auth

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"sotesilta/consent"
	"sotesilta/internal/terms"
)

// Claims is for whom and for what a client asks for a token. The zero value is the client itself at ordinary care.
type Claims struct {
	User         string             // the client's own user id, or a national provider identifier
	Name         string             // of the user
	Role         string             // PractitionerRole/… or a task of decree 457/2024
	Organization string             // Organization/… of the user's unit
	Purpose      consent.Purpose    // empty: the default of the user's kind
	Ground       *consent.Assertion // what the user asserts; needed for statutory purposes
}

// Assertion makes a client's assertion for the token endpoint, good once and for five minutes.
func Assertion(key *Key, clientID, tokenURL string, c Claims) (string, error) {
	return assertionAt(time.Now(), key, clientID, tokenURL, c)
}

func assertionAt(now time.Time, key *Key, clientID, tokenURL string, c Claims) (string, error) {
	iua := iuaClaims{
		SubjectName: c.Name, NationalProviderIdentifier: c.User, SubjectOrganizationID: c.Organization,
	}
	if c.Role != "" {
		iua.SubjectRole = codings{{Code: c.Role}}
	}
	if c.Purpose != "" {
		iua.PurposeOfUse = codings{{System: terms.Purpose, Code: string(c.Purpose)}}
	}
	claims := assertionClaims{
		Issuer: clientID, Subject: clientID, Audience: audience{tokenURL}, IssuedAt: dateOf(now),
		Expires: dateOf(now.Add(assertionLife)), ID: rand.Text(), Extensions: extensions{IUA: &iua},
	}
	if c.Ground != nil {
		text, err := json.Marshal(c.Ground, json.Deterministic(true))
		if err != nil {
			return "", errors.New("auth: the ground cannot be written")
		}
		claims.Extensions.Sotesilta = text
	}
	return signJWT(key, "JWT", claims)
}

// Token is an access token as the endpoint gave it.
type Token struct {
	AccessToken string    `json:"access_token"`
	Scope       string    `json:"scope"`
	Expires     time.Time `json:"-"`
}

// Authorization is the value of the Authorization header.
func (t Token) Authorization() string { return "Bearer " + t.AccessToken }

// TokenError is an error answer of a token endpoint (RFC 6749 § 5.2).
type TokenError struct {
	Status      int    `json:"-"`
	Code        string `json:"error"`
	Description string `json:"error_description"`
}

func (e *TokenError) Error() string {
	return fmt.Sprintf("token endpoint: %d %s: %s", e.Status, e.Code, e.Description)
}

// Fetch exchanges an assertion for an access token. With scope "" the client gets all that it may have. An error
// answer is a *TokenError.
func Fetch(ctx context.Context, tokenURL, assertion, scope string) (Token, error) {
	form := url.Values{
		"grant_type": {"client_credentials"}, "client_assertion_type": {assertionType}, "client_assertion": {assertion},
	}
	if scope != "" {
		form.Set("scope", scope)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, tokenURL, strings.NewReader(form.Encode()))
	if err != nil {
		return Token{}, errors.New("auth: not the address of a token endpoint")
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	asked := time.Now()
	res, err := fetchClient.Do(req)
	if err != nil {
		return Token{}, fmt.Errorf("auth: token endpoint: %w", err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	if err != nil {
		return Token{}, fmt.Errorf("auth: token endpoint: %w", err)
	}
	if res.StatusCode != http.StatusOK {
		refused := &TokenError{Status: res.StatusCode}
		if json.Unmarshal(data, refused) != nil || refused.Code == "" {
			refused.Code, refused.Description = "unknown", "the answer is not of an OAuth token endpoint"
		}
		return Token{}, refused
	}
	var answer tokenAnswer
	if json.Unmarshal(data, &answer) != nil || answer.AccessToken == "" || !strings.EqualFold(answer.TokenType, "Bearer") {
		return Token{}, errors.New("auth: the token endpoint answered with something else")
	}
	return Token{answer.AccessToken, answer.Scope, asked.Add(time.Duration(answer.ExpiresIn) * time.Second)}, nil
}

// fetchClient follows no redirects: an assertion goes to the endpoint it names, and nowhere else.
var fetchClient = &http.Client{
	Timeout:       30 * time.Second,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}
