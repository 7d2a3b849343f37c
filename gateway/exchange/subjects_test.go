package exchange_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/gateway/exchange"
	"sotesilta/gateway/sandbox"
)

// A row about somebody whom the gateway cannot tell would lie in no client's log and under no client's ban.
func TestAResourceNamesItsClientByID(t *testing.T) {
	w := newWorld(t)
	about := func(subject string) error {
		text := strings.Replace(observation("aino", "2026-01-01"), `{"reference":"Patient/aino"}`, subject, 1)
		_, err := w.Transact(w.ctx, as(nurse), []exchange.Op{create(t, text)})
		return err
	}
	for _, refused := range []string{
		`{"identifier":{"system":"urn:oid:1.2.246.21","value":"170588-9102"}}`, `{"display":"Aino"}`,
		`{"reference":"urn:uuid:5c1e6a52-3bb3-4c9b-8c3e-0b7d3a1f6f77"}`, `{"reference":"Patient/nobody"}`,
	} {
		require.Equal(t, exchange.Unprocessable, kind(about(refused)), refused)
	}
	for _, kept := range []string{`{"reference":"Patient/aino"}`, `{"reference":"` + base + `/Patient/aino"}`, `{"reference":"Group/everybody"}`, `{"reference":"https://elsewhere.example/fhir/Patient/aino"}`} {
		require.NoError(t, about(kept), kept)
	}
}

// A directive ends by being withdrawn, with a Provenance of who took it back; nobody deletes it, nor its Provenance.
func TestDirectivesAreNotDeleted(t *testing.T) {
	w := newWorld(t)
	ban := w.give(nurse, "aino", sandbox.BanServiceEvent("aino", "Encounter/x"))
	_, err := w.Transact(w.ctx, as(nurse), []exchange.Op{remove("Consent", ban)})
	require.Equal(t, exchange.Unprocessable, kind(err))
	require.Len(t, w.active("aino"), 1)
	provenances := w.found(nurse, "Provenance", "target=Consent/"+ban)
	require.NotEmpty(t, provenances)
	for _, ref := range provenances {
		_, id, _ := strings.Cut(ref, "/")
		_, err := w.Transact(w.ctx, as(nurse), []exchange.Op{remove("Provenance", id)})
		require.Equal(t, exchange.Unprocessable, kind(err))
	}
}

// The gateway's own definitions are its operator's: nobody else writes a canonical URL of ours.
func TestOurCanonicalsAreTheOperators(t *testing.T) {
	w := newWorld(t)
	_, err := w.Transact(w.ctx, as(nurse), []exchange.Op{create(t,
		`{"resourceType":"PlanDefinition","url":"https://sotesilta.example/fhir/PlanDefinition/joint-client","status":"active"}`)})
	require.Equal(t, exchange.Unprocessable, kind(err))
}

// Every service event that a row was recorded in counts for a ban, and only a date of recording is one (457/2024 § 25.3).
func TestServiceEventsAndRecordingDates(t *testing.T) {
	w := newWorld(t)
	row := w.put(nurse, `{"resourceType":"DocumentReference","status":"current","subject":{"reference":"Patient/aino"},"content":[{"attachment":{"title":"x"}}],"context":{"encounter":[{"reference":"Encounter/b"},{"reference":"Encounter/a"}]}}`)
	require.Equal(t, "Encounter/a,Encounter/b", w.row(row.Type, row.ID).Class.ServiceEvent)
	row = w.put(nurse, `{"resourceType":"Condition","subject":{"reference":"Patient/aino"},"code":{"text":"x"},"onsetDateTime":"2015-01-01"}`)
	stored := w.row(row.Type, row.ID)
	require.Equal(t, stored.Updated, stored.Recorded)
}
