package directive_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/consent"
	"sotesilta/consent/directive"
)

// basic is a basic Consent of IHE PCF with the members given.
func basic(policy, organization, provision string) string {
	return `{"resourceType":"Consent","id":"c1","meta":{"versionId":"3"},"status":"active",
		"scope":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/consentscope","code":"patient-privacy"}]},
		"category":[{"coding":[{"system":"http://loinc.org","code":"59284-0"}]}],
		"patient":{"reference":"Patient/client"},"dateTime":"2026-11-01","performer":[{"reference":"Patient/client"}],
		"organization":[` + organization + `],"policy":[` + policy + `],"provision":{` + provision + `}}`
}

const (
	someOrganization = `{"reference":"Organization/county"}`
	treats           = `"purpose":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ActReason","code":"HPAYMT"},{"system":"http://terminology.hl7.org/CodeSystem/v3-ActReason","code":"TREAT"}]`
)

func policyOf(row string) string { return `{"uri":"` + codes + `legal-basis#` + row + `"}` }

// Of IHE PCF what Finnish law knows is read; the rest is refused in words that say what to write instead.
func TestBasicConsentsOfIHE(t *testing.T) {
	ban := consent.Terms{
		Kind: consent.Ban, Controller: "Organization/county", Evidence: "Consent/c1", Version: 3, Active: true, RecordedBy: "Organization/u",
	}
	general := consent.Terms{Kind: consent.Permit, From: "health", To: "health", Evidence: "Consent/c1", Version: 3, Active: true, RecordedBy: "Organization/u"}
	social := general
	social.From, social.To = "social", "social"
	limited := ban
	limited.Valid = consent.Period{From: day(2027, 1, 1)}
	for _, test := range []struct {
		name, consent string
		want          consent.Terms
	}{
		{"a dissent is a ban on the organisation's registers", basic(`{"uri":"http://example.org/policy"}`, someOrganization, `"type":"deny",`+treats), ban},
		{"a dissent without purposes", basic(``, someOrganization, `"type":"deny"`), ban},
		{"a dissent that begins later", basic(``, someOrganization, `"type":"deny","period":{"start":"2027-01-01"}`), limited},
		{"a permit within health care", basic(policyOf("ATL-54.1"), someOrganization, `"type":"permit",`+treats), general},
		{"a permit within social care", basic(policyOf("ATL-55.1"), someOrganization, `"type":"permit"`), social},
	} {
		t.Run(test.name, func(t *testing.T) {
			client, got, err := directive.Read(parse(t, test.consent), "Organization/u")
			require.NoError(t, err)
			require.Equal(t, "client", client)
			require.Equal(t, test.want, got)
		})
	}
	for _, test := range []struct{ name, consent, expression, words string }{
		{"a permit of another policy", basic(`{"uri":"http://example.org/policy"}`, someOrganization, `"type":"permit"`), "Consent.policy", "across social care and health care is specified"},
		{"a permit across the sectors", basic(policyOf("ATL-53.2"), someOrganization, `"type":"permit"`), "Consent.policy", "permit-direction"},
		{"a permit of two policies", basic(policyOf("ATL-54.1")+","+policyOf("ATL-55.1"), someOrganization, `"type":"permit"`), "Consent.policy", "one uri"},
		{"a permit whose policy is another's too", basic(policyOf("ATL-54.1")+`,{"uri":"http://example.org/policy"}`, someOrganization, `"type":"permit"`), "Consent.policy", "one uri"},
		{"a dissent at nobody", basic(``, ``, `"type":"deny"`), "Consent.organization", "§ 59"},
		{"a dissent at two", basic(``, someOrganization+","+someOrganization, `"type":"deny"`), "Consent.organization", "exactly one"},
		{"neither", basic(``, someOrganization, treats), "Consent.provision.type", "permits or denies"},
		{"for research only", basic(``, someOrganization, `"type":"deny","purpose":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ActReason","code":"HRESCH"}]`), "Consent.provision.purpose", "TREAT"},
		{"an intermediate one that names data", basic(``, someOrganization, `"type":"deny","data":[{"meaning":"instance","reference":{"reference":"Encounter/1"}}]`), "Consent.provision.data", "basic Consent is read"},
		{"an intermediate one with an exception", basic(policyOf("ATL-54.1"), someOrganization, `"type":"permit","provision":[{"type":"deny"}]`), "Consent.provision.provision", "basic Consent is read"},
		{"an advanced one with sensitivities", basic(policyOf("ATL-54.1"), someOrganization, `"type":"permit","securityLabel":[{"code":"N"}]`), "Consent.provision.securityLabel", "basic Consent is read"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, got, err := directive.Read(parse(t, test.consent), "Organization/u")
			var wrong *directive.Error
			require.True(t, errors.As(err, &wrong), "%v", err)
			require.Equal(t, consent.Terms{}, got)
			require.Equal(t, test.expression, wrong.Issues[0].Expression)
			require.Contains(t, wrong.Issues[0].Diagnostics, test.words)
		})
	}
}

func TestWhatLoosensABan(t *testing.T) {
	d := day(2026, 6, 1)
	on := func(change func(*consent.Terms)) consent.Terms {
		t := consent.Terms{Kind: consent.Ban, Active: true, Evidence: "Consent/1"}
		change(&t)
		return t
	}
	register := func(t *consent.Terms) { t.Controller, t.Register = "Organization/a", consent.Health }
	tasks := func(list ...string) func(*consent.Terms) {
		return func(t *consent.Terms) { t.ServiceTasks = list }
	}
	for _, test := range []struct {
		name          string
		before, after consent.Terms
		loosens       bool
	}{
		{"nothing before", consent.Terms{}, on(register), false},
		{"the same", on(register), on(register), false},
		{"withdrawn", on(register), on(func(t *consent.Terms) { register(t); t.Active = false }), true},
		{"withdrawn again", on(func(t *consent.Terms) { t.Active = false }), on(func(t *consent.Terms) { t.Active = false }), false},
		{"given again", on(func(t *consent.Terms) { t.Active = false }), on(register), false},
		{"become a permit", on(register), consent.Terms{Kind: consent.Permit, Active: true}, true},
		{"ends", on(register), on(func(t *consent.Terms) { register(t); t.Valid.To = d }), true},
		{"begins later", on(register), on(func(t *consent.Terms) { register(t); t.Valid.From = d }), true},
		{"ends later", on(func(t *consent.Terms) { register(t); t.Valid.To = d }), on(register), false},
		{"another controller", on(register), on(func(t *consent.Terms) { register(t); t.Controller = "Organization/b" }), true},
		{"all patient data instead of one register", on(register), on(func(t *consent.Terms) { t.AllHealth = true }), false},
		{"one register instead of all patient data", on(func(t *consent.Terms) { t.AllHealth = true }), on(register), true},
		{"all patient data instead of a social register", on(func(t *consent.Terms) { register(t); t.Register = consent.Social }), on(func(t *consent.Terms) { t.AllHealth = true }), true},
		{"one register of a controller instead of both", on(func(t *consent.Terms) { t.Controller = "Organization/a" }), on(register), true},
		{"one service task more", on(tasks("a")), on(tasks("b", "a")), false},
		{"one less", on(tasks("b", "a")), on(tasks("a")), true},
	} {
		t.Run(test.name, func(t *testing.T) {
			require.Equal(t, test.loosens, directive.Loosens(test.before, test.after))
		})
	}
}
