package process

import (
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/gateway/exchange"
	"sotesilta/internal/constraints"
	"sotesilta/internal/fhir"
	"sotesilta/internal/terms"
)

var checks = sync.OnceValue(func() map[string]*constraints.Profile {
	p, _ := loaded()
	all := map[string]*constraints.Profile{}
	for _, shape := range p.Profiles() {
		profile, err := constraints.NewProfile(shape.Definition())
		if err != nil {
			panic(err)
		}
		all[shape.ID] = profile
	}
	return all
})

// conforms holds a row that a test's change leaves against the profile of what it is: whatever the rules let through, in
// any journey and property, the profiles accept.
func conforms(t require.TestingT, _ *Process, item *exchange.Item) {
	if item.Class.Process == "" {
		return
	}
	id := map[string]string{"CarePlan": "joint-client-plan", "CareTeam": "joint-client-team", "QuestionnaireResponse": "joint-client-assessment"}[item.Type]
	switch {
	case item.Type == "Task" && actCode(item.Doc) != "":
		id = "human-act"
	case item.Type == "Task" && step(item.Doc) == terms.StepInvite:
		id = "joint-client-invitation"
	case item.Type == "Task":
		id = "joint-client-step"
	}
	if id == "" || ofAct(item.Class) && item.Type != "Task" {
		return
	}
	require.Empty(t, checks()[id].Check(item.Doc), "%s does not conform to %s: %s", item.Ref(), id, item.Doc.JSON())
}

const invitation = `{"resourceType":"Task","status":"requested","intent":"order","basedOn":[{"reference":"CarePlan/1"}],
 "code":{"coding":[{"system":"https://sotesilta.example/fhir/CodeSystem/joint-client-step","code":"invite"}]},"for":{"reference":"Patient/aino"},
 "requester":{"reference":"PractitionerRole/nurse"},"owner":{"reference":"PractitionerRole/doctor"},"restriction":{"period":{"end":"2026-12-01"}},
 "input":[{"type":{"coding":[{"system":"https://sotesilta.example/fhir/CodeSystem/joint-client-output","code":"sentence"}]},"valueString":"Apua arkeen."}]}`

// TestWhatAnInvitationCarries: the profile refuses what the rules refuse, by place and key.
func TestWhatAnInvitationCarries(t *testing.T) {
	require.Empty(t, checks()["joint-client-invitation"].Check(parse(invitation)))
	for name, c := range map[string]struct{ old, by, place, key string }{
		"a note from a register":  {`"intent":"order"`, `"intent":"order","note":[{"text":"x"}]`, "Task.note", "joint-client-invitation#Task.note"},
		"a focus":                 {`"intent":"order"`, `"intent":"order","focus":{"reference":"Condition/1"}`, "Task.focus", "joint-client-invitation#Task.focus"},
		"a plan only":             {`"intent":"order"`, `"intent":"plan"`, "Task.intent", "joint-client-invitation#Task.intent"},
		"ready":                   {`"requested"`, `"ready"`, "Task.status", "invitation-status"},
		"nobody invited":          {`"owner":{"reference":"PractitionerRole/doctor"},`, ``, "Task.owner", "joint-client-invitation#Task.owner"},
		"a unit invited":          {`PractitionerRole/doctor`, `Organization/jukola`, "Task.owner", "joint-client-invitation#Task.owner"},
		"no reply date":           {`"period":{"end":"2026-12-01"}`, `"period":{"start":"2026-12-01"}`, "Task.restriction.period.end", "joint-client-invitation#Task.restriction.period.end"},
		"a recipient besides":     {`"restriction":{`, `"restriction":{"recipient":[{"reference":"Patient/aino"}],`, "Task.restriction.recipient", "joint-client-invitation#Task.restriction.recipient"},
		"a long sentence":         {`Apua arkeen.`, strings.Repeat("x", sentenceLimit+1), "Task", "invitation-sentence"},
		"an input of another use": {`"code":"sentence"`, `"code":"outcome"`, "Task", "invitation-inputs"},
		"another step":            {`"code":"invite"`, `"code":"assess"`, "Task", "invitation-code"},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(invitation, c.old, c.by, 1)
			require.NotEqual(t, invitation, text)
			issues := checks()["joint-client-invitation"].Check(parse(text))
			require.Len(t, issues, 1, "%v", issues)
			require.Equal(t, c.place, issues[0].Expression)
			require.Contains(t, issues[0].Diagnostics, "("+c.key+")")
		})
	}
}

// TestWhatCompletingAStepTells: the outputs that the rules demand, the profile demands.
func TestWhatCompletingAStepTells(t *testing.T) {
	for code := range demands {
		text := `{"resourceType":"Task","status":"completed","intent":"order","basedOn":[{"reference":"CarePlan/1"}],"code":{"coding":[{"system":"` + terms.Step + `","code":"` + code + `"}]},
			"for":{"reference":"Patient/aino"},"requester":{"reference":"PractitionerRole/nurse"},"owner":{"reference":"PractitionerRole/nurse"},"authoredOn":"2026-11-01","lastModified":"2026-11-01"`
		with := func(value string) *fhir.Value {
			return parse(text + `,"output":[{"type":{"coding":[{"system":"` + outputSystem + `","code":"` + demands[code].kind + `"}]},` + value + `}]}`)
		}
		for _, doc := range []*fhir.Value{
			parse(text + "}"), with(`"valueCode":"nonsense"`), with(`"valueString":"accepted"`), with(`"valueReference":{"reference":"Appointment/1"}`),
			with(`"valueCode":"accepted"`), with(`"valueCode":"none"`), with(`"valueReference":{"reference":"Patient/1"}`),
		} {
			refused := outputs(doc, code) != nil
			told := checks()["joint-client-step"].Check(doc)
			require.Equal(t, refused, len(told) > 0, "%s: %s: %v", code, doc.JSON(), told)
		}
	}
}
