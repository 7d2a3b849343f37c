package auth

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"sotesilta/consent"
	"sotesilta/internal/terms"
)

// extensions is the extensions claim of assertions and access tokens.
type extensions struct {
	IUA       *iuaClaims     `json:"ihe_iua,omitzero"`
	Sotesilta jsontext.Value `json:"sotesilta,omitzero"`
}

// iuaClaims is the claims of IHE ITI IUA (ITI-71, JWT option) that we read. Others are left unread: nothing follows
// from them. national_provider_identifier is the professional's number or the client's own user id; user_id may name
// the latter apart.
type iuaClaims struct {
	SubjectName                string  `json:"subject_name,omitzero"`
	NationalProviderIdentifier string  `json:"national_provider_identifier,omitzero"`
	UserID                     string  `json:"user_id,omitzero"`
	SubjectRole                codings `json:"subject_role,omitempty"`
	SubjectOrganizationID      string  `json:"subject_organization_id,omitzero"`
	PurposeOfUse               codings `json:"purpose_of_use,omitempty"`
}

// coding is a code with its system; in claims a plain text is a code without one.
type coding struct {
	System string `json:"system,omitzero"`
	Code   string `json:"code"`
}

// codings is a coding, a plain code, or an array of either.
type codings []coding

const maxCodings = 8

// UnmarshalJSON reads the forms that IUA clients write.
func (c *codings) UnmarshalJSON(data []byte) error {
	values := []jsontext.Value{data}
	if jsontext.Value(data).Kind() == '[' {
		values = nil
		if err := json.Unmarshal(data, &values); err != nil {
			return errors.New("not an array of codes")
		}
	}
	if len(values) > maxCodings {
		return errors.New("too many codes")
	}
	for _, v := range values {
		var one coding
		switch v.Kind() {
		case '"':
			if json.Unmarshal(v, &one.Code) != nil {
				return errors.New("not a code")
			}
		case '{':
			if json.Unmarshal(v, &one) != nil {
				return errors.New("not a coding")
			}
		default:
			return errors.New("not a code")
		}
		*c = append(*c, one)
	}
	return nil
}

// claims is what an assertion asks for, once read. Nothing in it is accepted yet.
type claims struct {
	iua    iuaClaims
	ground *consent.Assertion // nil: none given
}

// Bounds of what a human asserts; it is kept in the ledger word for word.
const (
	maxFacts     = 20
	maxFactName  = 64
	maxFactText  = 500
	maxReason    = 2000
	maxClaimText = 256
)

// identityCode finds a personal identity code, of every century sign, anywhere in a text. Claims travel in headers,
// where one must not (law 11): better refused at the door.
var identityCode = regexp.MustCompile(`(?i)[0-9]{6}[-+A-FU-Y][0-9]{3}[0-9A-FHJ-NPR-Y]`)

var (
	shortGround  = regexp.MustCompile(`^[0-9]{1,3}(\.[0-9]+[a-z]?)?$`)
	groundForm   = regexp.MustCompile(`^[A-Z][A-Za-z0-9]*(-[A-Za-z0-9.]+)+$`)
	factNameForm = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]*$`)
)

// readClaims reads the extensions. The errors name members and quote nothing.
func readClaims(ext extensions) (claims, error) {
	var c claims
	if ext.IUA != nil {
		c.iua = *ext.IUA
	}
	for _, text := range []struct{ name, value string }{
		{"subject_name", c.iua.SubjectName},
		{"national_provider_identifier", c.iua.NationalProviderIdentifier},
		{"user_id", c.iua.UserID},
		{"subject_organization_id", c.iua.SubjectOrganizationID},
	} {
		if err := plain(text.value, maxClaimText); err != nil {
			return claims{}, fmt.Errorf("extensions.ihe_iua.%s: %w", text.name, err)
		}
	}
	if ext.Sotesilta == nil {
		return c, nil
	}
	ground, err := readGround(ext.Sotesilta)
	if err != nil {
		return claims{}, fmt.Errorf("extensions.sotesilta%w", err)
	}
	c.ground = ground
	return c, nil
}

// ParseGround reads what a human asserts beyond ordinary care, {task, service, ground, facts, reason, confirm}, as in
// extensions.sotesilta and `token --ground`.
func ParseGround(data []byte) (*consent.Assertion, error) {
	a, err := readGround(data)
	if err != nil {
		return nil, fmt.Errorf("ground%w", err)
	}
	return a, nil
}

// readGround's errors begin with the member: ".facts: …", or ": …" for the whole.
func readGround(data []byte) (*consent.Assertion, error) {
	var in struct {
		Task    string                    `json:"task"`
		Service string                    `json:"service"`
		Ground  string                    `json:"ground"`
		Facts   map[string]jsontext.Value `json:"facts"`
		Reason  string                    `json:"reason"`
		Confirm bool                      `json:"confirm"`
	}
	if jsontext.Value(data).Kind() != '{' || json.Unmarshal(data, &in, json.RejectUnknownMembers(true)) != nil {
		return nil, errors.New(": not an object of task, service, ground, facts, reason and confirm")
	}
	for _, text := range []struct {
		name, value string
		max         int
	}{
		{"task", in.Task, maxClaimText},
		{"service", in.Service, maxClaimText},
		{"ground", in.Ground, 64},
		{"reason", in.Reason, maxReason},
	} {
		if err := plain(text.value, text.max); err != nil {
			return nil, fmt.Errorf(".%s: %w", text.name, err)
		}
	}
	if shortGround.MatchString(in.Ground) {
		in.Ground = "ATL-" + in.Ground // a section of 703/2023, as people write it
	}
	if in.Ground != "" && !groundForm.MatchString(in.Ground) {
		return nil, errors.New(".ground: not a row of the table of legal bases, such as ATL-53.5b")
	}
	if len(in.Facts) > maxFacts {
		return nil, fmt.Errorf(".facts: more than %d", maxFacts)
	}
	a := &consent.Assertion{Task: in.Task, Service: in.Service, Ground: in.Ground, Reason: in.Reason, Confirm: in.Confirm}
	for name, value := range in.Facts {
		if len(name) > maxFactName || !factNameForm.MatchString(name) {
			return nil, errors.New(".facts: a name is of letters, digits, underscore and hyphen")
		}
		var text string
		switch value.Kind() {
		case '"':
			if json.Unmarshal(value, &text) != nil {
				return nil, errors.New(".facts: not a text")
			}
		case 't', 'f', '0':
			text = string(value)
		default:
			return nil, errors.New(".facts: a value is a text, a number, true or false")
		}
		if err := plain(text, maxFactText); err != nil {
			return nil, fmt.Errorf(".facts: %w", err)
		}
		if a.Facts == nil {
			a.Facts = make(map[string]string, len(in.Facts))
		}
		a.Facts[name] = text
	}
	return a, nil
}

// places says where claims that name a user or a ground belong. Elsewhere in an assertion they would be unread, and the
// client would silently be the system without a user.
var places = map[string]string{
	"ihe_iua": "extensions", "sotesilta": "extensions",
	"subject_name": "extensions.ihe_iua", "national_provider_identifier": "extensions.ihe_iua", "user_id": "extensions.ihe_iua",
	"subject_role": "extensions.ihe_iua", "subject_organization": "extensions.ihe_iua",
	"subject_organization_id": "extensions.ihe_iua", "purpose_of_use": "extensions.ihe_iua",
	"ground": "extensions.sotesilta", "facts": "extensions.sotesilta", "confirm": "extensions.sotesilta",
}

// misplaced refuses claims of ours that stand at the top level of an assertion, or right in extensions.
func misplaced(payload []byte) error {
	var top map[string]jsontext.Value
	if json.Unmarshal(payload, &top) != nil {
		return nil // readAssertion has said so
	}
	var inner map[string]jsontext.Value
	if ext := top["extensions"]; ext != nil && json.Unmarshal(ext, &inner) != nil {
		return errors.New("extensions: not an object")
	}
	var found []string
	for _, level := range []struct {
		at      string
		members map[string]jsontext.Value
	}{{"", top}, {"extensions", inner}} {
		for name := range level.members {
			if place := places[name]; place != "" && place != level.at {
				found = append(found, name+" belongs in "+place)
			}
		}
	}
	if len(found) == 0 {
		return nil
	}
	slices.Sort(found)
	return errors.New(strings.Join(slices.Compact(found), "; ") + " (gateway/auth/README.md)")
}

// plain refuses overlong texts, control characters and personal identity codes.
func plain(s string, most int) error {
	switch {
	case utf8.RuneCountInString(s) > most:
		return fmt.Errorf("longer than %d characters", most)
	case strings.ContainsFunc(s, func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' || r == 0x7f }):
		return errors.New("control characters")
	case identityCode.MatchString(s):
		return errors.New("a personal identity code; name the person by reference")
	}
	return nil
}

// grant is what of the claims was accepted.
type grant struct {
	client    *Client
	user      *User // nil: the client itself
	actor     consent.Actor
	purpose   consent.Purpose
	assertion consent.Assertion
	scopes    scopes
}

// statutory is the purposes under which a human asserts a ground of law. No default claims one.
var statutory = []consent.Purpose{consent.NeedAssessment, consent.Incapacity, consent.Emergency, consent.StatutoryAct}

// accept holds the claims against the registration. Its errors quote nothing of the claims.
func accept(client *Client, c claims) (grant, error) {
	g := grant{client: client}
	user, err := subject(client, c.iua)
	if err != nil {
		return grant{}, err
	}
	purposes := client.Purposes
	if user != nil {
		g.user, g.actor, purposes = user, client.actorOf(user), user.Purposes
	} else {
		actor, ok := client.actor()
		if !ok {
			return grant{}, errors.New("an own-view client speaks for a user only: national_provider_identifier is missing")
		}
		g.actor = actor
	}
	if err := claimed(&g, c.iua); err != nil {
		return grant{}, err
	}
	if g.purpose, err = purposeOf(g.actor.Kind, c.iua.PurposeOfUse); err != nil {
		return grant{}, err
	}
	if !slices.Contains(purposes, g.purpose) || !slices.Contains(kindPurposes[g.actor.Kind], g.purpose) {
		return grant{}, errors.New("purpose_of_use is beyond what the client or the user is registered for")
	}
	switch {
	case c.ground == nil && slices.Contains(statutory, g.purpose):
		return grant{}, errors.New("this purpose_of_use needs extensions.sotesilta: a ground is asserted by a person, never by default")
	case c.ground == nil:
		return g, nil
	case user == nil && client.Kind == SystemApp:
		return grant{}, errors.New("extensions.sotesilta is a person's assertion: it needs a user")
	case c.ground.Ground+c.ground.Task == "" && slices.Contains(statutory, g.purpose):
		return grant{}, errors.New("this purpose_of_use needs extensions.sotesilta.ground, the row of the table of legal bases it claims, or the statutory task it arises in")
	}
	g.assertion = *c.ground
	return g, nil
}

// subject finds the user that the claims name; nil when they name none.
func subject(client *Client, iua iuaClaims) (*User, error) {
	var found *User
	for _, id := range []string{iua.NationalProviderIdentifier, iua.UserID} {
		if id == "" {
			continue
		}
		u, ok := client.user(id)
		if !ok || found != nil && found != u {
			return nil, errors.New("the user is not registered with this client")
		}
		found = u
	}
	if found == nil && (iua.SubjectName != "" || len(iua.SubjectRole) > 0) {
		return nil, errors.New("a subject needs an identifier: national_provider_identifier or user_id")
	}
	return found, nil
}

// claimed checks the claims that say where and as what the subject works: they must say what is registered. The
// subject's name carries no rights; tokens carry the registered one.
func claimed(g *grant, iua iuaClaims) error {
	if id := iua.SubjectOrganizationID; id != "" {
		unit := g.client.units[id]
		if unit == nil {
			unit = g.client.units["Organization/"+id]
		}
		switch {
		case g.user == nil && (unit != nil || id == g.client.Controller || "Organization/"+id == g.client.Controller):
		case g.user != nil && unit != nil && unit.ID == g.user.Unit:
		default:
			return errors.New("subject_organization_id is not the registered unit")
		}
	}
	for _, role := range iua.SubjectRole {
		if !g.user.mayClaim(role) {
			return errors.New("subject_role is not a registered role of the user")
		}
	}
	return nil
}

// mayClaim says whether the role is the user's PractitionerRole, task of decree 457/2024, or one of SubjectRoles.
func (u *User) mayClaim(role coding) bool {
	switch {
	case role.Code == "":
		return false
	case slices.Contains(u.SubjectRoles, role.System+"|"+role.Code):
		return true
	case role.System == terms.AccessTask:
		return role.Code == u.Task
	case role.System != "":
		return false
	}
	return role.Code == u.Role || "PractitionerRole/"+role.Code == u.Role || role.Code == u.Task ||
		slices.Contains(u.SubjectRoles, role.Code)
}

// purposeOf is the one purpose claimed, or the default of the kind of actor.
func purposeOf(kind consent.Kind, values codings) (consent.Purpose, error) {
	switch {
	case len(values) == 0:
		return kindPurposes[kind][0], nil
	case len(values) > 1:
		return "", errors.New("purpose_of_use: one only")
	case values[0].System != "" && values[0].System != terms.Purpose:
		return "", errors.New("purpose_of_use: not of our CodeSystem purpose")
	}
	p := consent.Purpose(values[0].Code)
	if !slices.Contains(allPurposes, p) {
		return "", errors.New("purpose_of_use: not a code of our CodeSystem purpose")
	}
	return p, nil
}
