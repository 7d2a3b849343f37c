package inbound

import (
	"context"
	"errors"
	"slices"
	"strings"

	"sotesilta/gateway/exchange"
	"sotesilta/internal/fhir"
	"sotesilta/internal/finland"
	"sotesilta/internal/terms"
	"sotesilta/mappings"
	"sotesilta/mappings/hl7v2"
)

var errReal = errors.New("inbound: the identity code may be a real person's")

// match asks who the client is. It answers Patient/…, or why the message has to wait, or an error.
func (s *Server) match(ctx context.Context, src *Source, caller exchange.Caller, msg *hl7v2.Message, result *mappings.Result) (string, string, error) {
	told := codesIn(msg)
	if src.SyntheticOnly && slices.ContainsFunc(told, func(c finland.IdentityCode) bool { return !c.Synthetic }) {
		return "", "", errReal
	}
	if result.Several || len(told) > 1 {
		return "", Several, nil
	}
	texts := identityCodes(result.Client)
	if len(texts) == 0 {
		return "", NoCode, nil
	}
	code, err := finland.ParseIdentityCode(texts[0])
	if err != nil || len(texts) > 1 {
		return "", BadCode, nil
	}
	if len(told) == 1 && told[0].Code() != code.Code() {
		return "", Several, nil
	}
	id := exchange.Identification{IdentityCode: code.Code(), BirthDate: result.Client.Text("birthDate")}
	name := result.Client.First("name")
	id.Family, id.Given = name.Text("family"), name.Text("given")
	if len(id.BirthDate) != len("2006-01-02") {
		id.BirthDate = ""
	}
	found, err := s.Desk.Match(ctx, caller, id)
	var refused *exchange.Error
	switch {
	case errors.As(err, &refused) && refused.Kind == exchange.Absent:
		return "", NoCertainMatch, nil
	case err != nil:
		return "", "", err
	case found == nil:
		return "", NoCertainMatch, nil
	}
	return found.Type + "/" + found.ID, "", nil
}

// ownIdentifiers are the fields of PID that identify the client itself (HL7 v2.5 § 3.4.2): external, listed and
// alternate identifiers and the social security number. PID-21 is the mother's.
var ownIdentifiers = []int{2, 3, 4, 19}

// codesIn is the distinct identity codes, right or with a wrong check character, that a message gives its clients: in
// every PID, of whatever authority, whether or not a lens carries them. More than one is more than one person, or one
// whom nobody can tell.
func codesIn(msg *hl7v2.Message) []finland.IdentityCode {
	var codes []finland.IdentityCode
	for _, pid := range msg.All("PID") {
		for _, field := range ownIdentifiers {
			for n := range pid.Repetitions(field) {
				code, err := finland.ParseIdentityCode(pid.Get(hl7v2.Place{Field: field, Repetition: n + 1}))
				if (err == nil || errors.Is(err, finland.ErrIdentityCheck)) && !slices.Contains(codes, code) {
					codes = append(codes, code)
				}
			}
		}
	}
	return codes
}

// identityCodes is the distinct texts that stand as identity codes among the client's identifiers.
func identityCodes(client *fhir.Value) []string {
	var texts []string
	for _, identifier := range client.All("identifier") {
		text := strings.ToUpper(strings.TrimSpace(identifier.Text("value")))
		if identifier.Text("system") == terms.HETU && !slices.Contains(texts, text) {
			texts = append(texts, text)
		}
	}
	return texts
}
