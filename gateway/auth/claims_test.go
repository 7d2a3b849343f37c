package auth

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/stretchr/testify/require"

	"sotesilta/consent"
	"sotesilta/gateway/exchange"
	"sotesilta/internal/terms"
)

func TestClaimsBeyondTheRegistrationAreRefused(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]struct {
		client string
		claims Claims
		code   string
		says   string
	}{
		"user of another client":              {"jukola-ehr", Claims{User: "social-worker"}, "invalid_grant", "not registered with this client"},
		"unknown user":                        {"jukola-ehr", Claims{User: "nobody"}, "invalid_grant", "not registered"},
		"a name without an identifier":        {"jukola-ehr", Claims{Name: "Nina"}, "invalid_grant", "identifier"},
		"another unit":                        {"jukola-ehr", Claims{User: "nurse", Organization: "Organization/home-nursing"}, "invalid_grant", "subject_organization_id"},
		"another's role":                      {"jukola-ehr", Claims{User: "nurse", Role: "PractitionerRole/student"}, "invalid_grant", "subject_role"},
		"another task":                        {"jukola-ehr", Claims{User: "student", Role: "3.1"}, "invalid_grant", "subject_role"},
		"purpose beyond the client":           {"jukola-ehr", Claims{User: "nurse", Purpose: consent.NeedAssessment, Ground: needAssessment}, "invalid_grant", "beyond"},
		"purpose beyond the user":             {"jukola-ehr", Claims{User: "student", Purpose: consent.Emergency, Ground: &consent.Assertion{Ground: "ATL-54.2"}}, "invalid_grant", "beyond"},
		"no such purpose":                     {"jukola-ehr", Claims{User: "nurse", Purpose: "curiosity"}, "invalid_grant", "purpose_of_use"},
		"statutory purpose without a ground":  {"county-social", Claims{User: "social-worker", Purpose: consent.NeedAssessment}, "invalid_grant", "extensions.sotesilta"},
		"statutory purpose, ground left open": {"county-social", Claims{User: "social-worker", Purpose: consent.NeedAssessment, Ground: &consent.Assertion{Reason: "please"}}, "invalid_grant", "extensions.sotesilta.ground"},
		"statutory purpose without a user":    {"county-social", Claims{Purpose: consent.NeedAssessment, Ground: needAssessment}, "invalid_grant", "beyond"},
		"an assertion without a user":         {"county-social", Claims{Ground: &consent.Assertion{Confirm: true}}, "invalid_grant", "needs a user"},
		"supervision by a professional":       {"jukola-ehr", Claims{User: "nurse", Purpose: consent.Supervision}, "invalid_grant", "beyond"},
		"own data by a professional":          {"omaks", Claims{User: "digi-nurse", Purpose: consent.OwnData}, "invalid_grant", "beyond"},
		"care by a client":                    {"omaks", Claims{User: "aino", Purpose: consent.Care}, "invalid_grant", "beyond"},
		"care by the auditor":                 {"auditor", Claims{Purpose: consent.Care}, "invalid_grant", "beyond"},
		"own-view app without a user":         {"my-data", Claims{}, "invalid_grant", "user"},
		"an identity code in the reason":      {"county-social", Claims{User: "social-worker", Purpose: consent.NeedAssessment, Ground: &consent.Assertion{Ground: "ATL-53.5b", Reason: "about 010190-999X"}}, "invalid_request", "identity code"},
		"an endless reason":                   {"county-social", Claims{User: "social-worker", Purpose: consent.NeedAssessment, Ground: &consent.Assertion{Ground: "ATL-53.5b", Reason: strings.Repeat("x", maxReason+1)}}, "invalid_request", "reason"},
		"a ground that is none":               {"county-social", Claims{User: "social-worker", Purpose: consent.NeedAssessment, Ground: &consent.Assertion{Ground: "because"}}, "invalid_request", "ground"},
	} {
		t.Run(name, func(t *testing.T) {
			refused := w.refused(c.client, c.claims, "")
			require.Equal(t, http.StatusBadRequest, refused.Status)
			require.Equal(t, c.code, refused.Code, refused.Description)
			require.Contains(t, refused.Description, c.says)
			require.Zero(t, w.used.asked)
		})
	}
}

// An emergency without a reason is no emergency: no token, a record of who claimed it, and none without the record.
func TestAnEmergencyIsClaimedWithItsReason(t *testing.T) {
	var recorded []exchange.Caller
	var fails error
	w := newWorld(t, func(c *Config) {
		c.Reasoned = func(text string) (bool, string) { return len(text) > 3, "four signs" }
		c.Refused = func(_ context.Context, who exchange.Caller, why string) error {
			require.Contains(t, why, "four signs")
			recorded = append(recorded, who)
			return fails
		}
	})
	claim := func(reason string) Claims {
		return Claims{User: "nurse", Purpose: consent.Emergency, Ground: &consent.Assertion{Ground: "ATL-54.2", Reason: reason}}
	}
	refused := w.refused("jukola-ehr", claim("x"), "")
	require.Equal(t, []any{http.StatusBadRequest, "invalid_grant"}, []any{refused.Status, refused.Code})
	require.Contains(t, refused.Description, "extensions.sotesilta.reason: four signs")
	require.Len(t, recorded, 1)
	require.Equal(t, "nurse", recorded[0].Actor.User)
	require.Equal(t, "x", recorded[0].Assertion.Reason)
	require.Equal(t, 1, w.used.asked, "the assertion is spent")
	fails = errors.New("no ledger")
	require.Equal(t, http.StatusServiceUnavailable, w.refused("jukola-ehr", claim(""), "").Status)
	recorded = nil
	require.NotEmpty(t, w.token("jukola-ehr", claim("unconscious"), ""))
	require.Empty(t, recorded)
}

func TestMalformedClaimsAreRefused(t *testing.T) {
	w := newWorld(t)
	for name, ext := range map[string]string{
		"two purposes":                `{"ihe_iua":{"national_provider_identifier":"nurse","purpose_of_use":["care","emergency"]}}`,
		"purpose of another system":   `{"ihe_iua":{"national_provider_identifier":"nurse","purpose_of_use":[{"system":"urn:oid:1.0.14265.1","code":"1"}]}}`,
		"unknown member of sotesilta": `{"ihe_iua":{"national_provider_identifier":"nurse"},"sotesilta":{"grounds":"ATL-54.2"}}`,
		"sotesilta is no object":      `{"ihe_iua":{"national_provider_identifier":"nurse"},"sotesilta":"ATL-54.2"}`,
		"nested facts":                `{"ihe_iua":{"national_provider_identifier":"nurse"},"sotesilta":{"facts":{"a":{"b":1}}}}`,
		"users that differ":           `{"ihe_iua":{"national_provider_identifier":"90000000001","user_id":"student"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			var value any
			require.NoError(t, json.Unmarshal([]byte(ext), &value))
			c := w.claims("jukola-ehr")
			c["extensions"] = value
			status, body, _ := w.ask(w.sign(w.keys["jukola-ehr"], c), "")
			require.Equal(t, http.StatusBadRequest, status, body)
		})
	}
}

// TestMisplacedClaimsAreRefused: claims that stand where nobody reads them would make the client the system without a
// user, and its answers those of another actor than it asked for.
func TestMisplacedClaimsAreRefused(t *testing.T) {
	w := newWorld(t)
	nurse := map[string]any{"national_provider_identifier": "nurse"}
	for name, c := range map[string]struct {
		member string
		value  any
		says   string
	}{
		"IUA at the top":          {"ihe_iua", nurse, "ihe_iua belongs in extensions"},
		"a ground at the top":     {"sotesilta", map[string]any{"ground": "ATL-53.5b"}, "sotesilta belongs in extensions"},
		"a name at the top":       {"subject_name", "Nina", "subject_name belongs in extensions.ihe_iua"},
		"a role at the top":       {"subject_role", "3.1", "subject_role belongs in extensions.ihe_iua"},
		"a user at the top":       {"user_id", "nurse", "user_id belongs in extensions.ihe_iua"},
		"a purpose at the top":    {"purpose_of_use", "care", "purpose_of_use belongs in extensions.ihe_iua"},
		"a unit at the top":       {"subject_organization_id", "Organization/jukola", "subject_organization_id belongs in extensions.ihe_iua"},
		"IUA claims one level up": {"extensions", nurse, "national_provider_identifier belongs in extensions.ihe_iua"},
		"a bare ground":           {"extensions", map[string]any{"ihe_iua": nurse, "ground": "ATL-53.5b"}, "ground belongs in extensions.sotesilta"},
	} {
		t.Run(name, func(t *testing.T) {
			claims := w.claims("jukola-ehr")
			claims[c.member] = c.value
			status, body, _ := w.ask(w.sign(w.keys["jukola-ehr"], claims), "")
			require.Equal(t, http.StatusBadRequest, status, "%v", body)
			require.Equal(t, "invalid_request", body["error"])
			require.Contains(t, body["error_description"], c.says)
			require.NotContains(t, body["error_description"], "Nina", "nothing of the claims is quoted")
		})
	}
	claims := w.claims("jukola-ehr")
	claims["extensions"], claims["example_vendor_tag"] = map[string]any{"ihe_iua": nurse}, "x"
	status, _, _ := w.ask(w.sign(w.keys["jukola-ehr"], claims), "")
	require.Equal(t, http.StatusOK, status, "claims that are not ours are the client's own matter")
}

func TestTheFormsOfIUAClaimsAreRead(t *testing.T) {
	w := newWorld(t)
	for name, ext := range map[string]string{
		"national number":     `{"ihe_iua":{"national_provider_identifier":"90000000001"}}`,
		"own id":              `{"ihe_iua":{"national_provider_identifier":"nurse"}}`,
		"own id apart":        `{"ihe_iua":{"national_provider_identifier":"90000000001","user_id":"nurse"}}`,
		"plain purpose":       `{"ihe_iua":{"user_id":"nurse","purpose_of_use":"care"}}`,
		"coding":              `{"ihe_iua":{"user_id":"nurse","purpose_of_use":{"system":"` + terms.Purpose + `","code":"care"}}}`,
		"array of codings":    `{"ihe_iua":{"user_id":"nurse","purpose_of_use":[{"system":"` + terms.Purpose + `","code":"care","display":"Care"}]}}`,
		"unit by OID":         `{"ihe_iua":{"user_id":"nurse","subject_organization_id":"urn:oid:1.2.246.10.99999999.10.1"}}`,
		"unit by id":          `{"ihe_iua":{"user_id":"nurse","subject_organization_id":"jukola"}}`,
		"task as role":        `{"ihe_iua":{"user_id":"nurse","subject_role":[{"system":"` + terms.AccessTask + `","code":"3.1"}]}}`,
		"registered role":     `{"ihe_iua":{"user_id":"nurse","subject_role":[{"system":"https://example.org/roles","code":"nurse"}]}}`,
		"claims of no weight": `{"ihe_iua":{"user_id":"nurse","home_community_id":"urn:oid:1.2.3"},"other":{"x":[1]}}`,
	} {
		t.Run(name, func(t *testing.T) {
			var value any
			require.NoError(t, json.Unmarshal([]byte(ext), &value))
			c := w.claims("jukola-ehr")
			c["extensions"] = value
			status, body, _ := w.ask(w.sign(w.keys["jukola-ehr"], c), "")
			require.Equal(t, http.StatusOK, status, body)
			caller, err := w.Authenticate(context.Background(), "Bearer "+body["access_token"].(string))
			require.NoError(t, err)
			require.Equal(t, "nurse", caller.Actor.User)
		})
	}
}

func TestWhatAHumanAssertsTravelsWordForWord(t *testing.T) {
	w := newWorld(t)
	tok := w.token("county-social", Claims{User: "social-worker", Purpose: consent.NeedAssessment, Ground: needAssessment}, "")
	caller, err := w.Authenticate(context.Background(), tok.Authorization())
	require.NoError(t, err)
	require.Equal(t, consent.NeedAssessment, caller.Purpose)
	require.Equal(t, *needAssessment, caller.Assertion)
	require.True(t, caller.Actor.Authority)
}

func TestRegisterFollowsFromTheUsersUnit(t *testing.T) {
	w := newWorld(t)
	for user, want := range map[string]consent.Actor{
		"digi-nurse": {
			Kind: consent.Professional, App: "omaks", User: "digi-nurse", Name: "Dina Digihoitaja",
			Person: "Practitioner/digi-nurse", Role: "PractitionerRole/digi-nurse", Controller: "Organization/county",
			Register: consent.Health, Unit: "Organization/omaks-health", Units: []string{"Organization/omaks-health"},
			Task: "3.1", Service: "4.1",
		},
		"digi-counsellor": {
			Kind: consent.Professional, App: "omaks", User: "digi-counsellor", Name: "Dani Ohjaaja",
			Person: "Practitioner/digi-counsellor", Role: "PractitionerRole/digi-counsellor", Controller: "Organization/county",
			Register: consent.Social, Unit: "Organization/omaks-social", Units: []string{"Organization/omaks-social"},
			Task: "10.1.2",
		},
		"aino": {
			Kind: consent.Client, App: "omaks", User: "aino", Name: "Aino Asiakas", Person: "Patient/aino",
			Controller: "Organization/county", Clients: []string{"aino"},
		},
		"lumi-guardian": {
			Kind: consent.Guardian, App: "omaks", User: "lumi-guardian", Name: "Lauri Huoltaja",
			Person: "RelatedPerson/lumi-guardian", Controller: "Organization/county", Clients: []string{"lumi"},
		},
		"": {
			Kind: consent.System, App: "omaks", Controller: "Organization/county",
			Units: []string{"Organization/omaks-health", "Organization/omaks-social"},
		},
	} {
		caller, err := w.Authenticate(context.Background(), w.token("omaks", Claims{User: user}, "").Authorization())
		require.NoError(t, err)
		require.Equal(t, want, caller.Actor, user)
		purpose := consent.Care
		if len(want.Clients) > 0 {
			purpose = consent.OwnData
		}
		require.Equal(t, purpose, caller.Purpose, user)
	}
}

func TestAuditorAndOperatorNeedNoUser(t *testing.T) {
	w := newWorld(t)
	for client, want := range map[string]struct {
		kind    consent.Kind
		purpose consent.Purpose
	}{"auditor": {consent.Auditor, consent.Supervision}, "operator": {consent.Operator, consent.Care}} {
		caller, err := w.Authenticate(context.Background(), w.token(client, Claims{}, "").Authorization())
		require.NoError(t, err)
		require.Equal(t, want.kind, caller.Actor.Kind)
		require.Equal(t, want.purpose, caller.Purpose)
		require.Equal(t, "Organization/county", caller.Actor.Controller)
	}
}
