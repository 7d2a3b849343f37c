package ledger

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sotesilta/consent"
)

// Each record falls into one class, by what it says.
func TestTheRetentionClassOfARecord(t *testing.T) {
	moved := []Entity{{What: "Observation/1/_history/1", Role: "match"}}
	for name, c := range map[string]struct {
		rec  Record
		want string
	}{
		"a read in the own register":       {Record{Interaction: "read", Outcome: "permit", Success: true, Client: "aino", Entities: moved}, KeptUse},
		"a denied read":                    {Record{Interaction: "read", Outcome: "deny", Client: "aino"}, KeptUse},
		"a disclosure of health data":      {Record{Interaction: "read", Outcome: "permit", Success: true, Client: "aino", Register: consent.Health, Disclosure: true, Entities: moved}, KeptDisclosure},
		"a disclosure that was denied":     {Record{Interaction: "read", Outcome: "deny", Client: "aino", Register: consent.Social, Disclosure: true}, KeptDisclosure},
		"a disclosure of social care data": {Record{Interaction: "read", Outcome: "permit", Success: true, Client: "aino", Register: consent.Social, Disclosure: true, Entities: moved}, KeptNotice},
		"a disclosure of a joint document": {Record{
			Interaction: "read", Outcome: "permit", Success: true, Client: "aino", Register: consent.Health, Disclosure: true, Entities: moved,
			Classes: []consent.Class{{Type: "CarePlan", Register: consent.Health, Joint: true}},
		}, KeptNotice},
		"what is published":        {Record{Interaction: "publish"}, KeptAdministration},
		"a reading of the ledger":  {Record{Interaction: "search-type", Target: "AuditEvent"}, KeptAdministration},
		"a reading of the rights":  {Record{Interaction: "rights", Target: "AuditEvent/$rights"}, KeptAdministration},
		"a legal hold":             {Record{Interaction: Hold, Client: "aino"}, KeptAdministration},
		"an erasure":               {Record{Interaction: Erase}, KeptErasure},
		"a search that found none": {Record{Interaction: "search-type", Target: "Observation"}, KeptUse},
	} {
		require.Equal(t, c.want, c.rec.Retention(), name)
		require.NotNil(t, retentionOf(c.want), name)
	}
}

// A controller may keep a class longer, never shorter than the law.
func TestTermsOnlyLengthen(t *testing.T) {
	terms, err := ParseTerms([]string{"notice=20", "use=12"})
	require.NoError(t, err)
	require.Equal(t, 20, terms.Years(KeptNotice))
	require.Equal(t, 12, terms.Years(KeptUse))
	require.Equal(t, 12, terms.Years(KeptDisclosure))
	require.Zero(t, terms.Years(KeptErasure), "for ever")
	require.Equal(t, []int{20, 12}, terms.Steps())
	require.Equal(t, []string{"notice=20"}, terms.List())
	require.Equal(t, []int{12}, Terms(nil).Steps())
	for text, says := range map[string]string{
		"use=11": "shorter than the law", "directive-newest=1": "from the client's death", "disclosure=0": "§ 24", "use=-5": "shorter",
		"erasure=50": "for ever", "uses=20": "the classes are use,", "use": "not of the form", "use=x": "not of the form", "use=121": "more than 120",
		"use=99999999999999999999": "not of the form",
	} {
		_, err := ParseTerms([]string{text})
		require.ErrorContains(t, err, says, text)
	}
	_, err = ParseTerms([]string{"use=15", "use=16"})
	require.ErrorContains(t, err, "twice")
	for _, r := range Retentions {
		require.True(t, r.Years == 0 || r.Years >= RetentionYears, "Verify holds every erasure to the least of all: %s", r.Class)
		require.NotEmpty(t, r.Source)
		require.NotEmpty(t, r.TitleFi)
	}
}

// The auditor sees in the event how long the law keeps it.
func TestTheAuditEventTellsItsRetentionClass(t *testing.T) {
	r := readPermit()
	r.Time = time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC)
	event := string(r.AuditEvent(7))
	require.Contains(t, event, `"type":"retention","valueString":"`+r.Retention()+`"`)
	require.Contains(t, event, `"type":"kept-until","valueString":"2036-02-29"`)
	r.Interaction = Erase
	require.True(t, strings.Contains(string(r.AuditEvent(7)), `"kept-until","valueString":"for ever"`))
}
