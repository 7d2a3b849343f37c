package exchange_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/gateway/exchange"
	"sotesilta/gateway/process"
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
	contained := func(person string) error {
		text := strings.Replace(observation("aino", "2026-01-01"), `{"reference":"Patient/aino"}`, `{"reference":"#p"}`, 1)
		text = strings.Replace(text, `{"resourceType":"Observation",`, `{"resourceType":"Observation","contained":[{"resourceType":"Patient","id":"p",`+person+`}],`, 1)
		_, err := w.Transact(w.ctx, as(nurse), []exchange.Op{create(t, text)})
		return err
	}
	require.Equal(t, exchange.Unprocessable, kind(contained(`"identifier":[{"system":"urn:oid:1.2.246.21","value":"170588-9102"}]`)))
	require.NoError(t, contained(`"name":[{"family":"Newborn"}]`))
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

// The Provenance of a directive is evidence: it does not change once it is written.
func TestTheProvenanceOfADirectiveDoesNotChange(t *testing.T) {
	w := newWorld(t)
	ban := w.give(nurse, "aino", sandbox.BanServiceEvent("aino", "Encounter/x"))
	provenances := w.found(nurse, "Provenance", "target=Consent/"+ban)
	require.Len(t, provenances, 1)
	_, id, _ := strings.Cut(provenances[0], "/")
	forged := doc(t, sandbox.Provenance("Consent/"+ban, "aino", "nurse"))
	_, err := w.Transact(w.ctx, as(nurse), []exchange.Op{{Interaction: exchange.Update, Type: "Provenance", ID: id, Doc: forged}})
	require.Equal(t, exchange.Unprocessable, kind(err))
}

// A participant does not label a document of the process out of the others' sight.
func TestNobodyRelabelsADocumentOfTheProcess(t *testing.T) {
	w := newWorld(t)
	rules, err := process.New()
	require.NoError(t, err)
	plan, err := rules.Apply(w.ctx, w.Desk, as(nurse), doc(t, `{"resourceType":"Parameters","parameter":[{"name":"subject","valueString":"Patient/onni"}]}`))
	require.NoError(t, err)
	changed := doc(t, string(plan.Body))
	changed.Set("meta", doc(t, `{"security":[{"system":"https://sotesilta.example/fhir/CodeSystem/data-class","code":"case-notes"}]}`))
	written, err := w.Transact(w.ctx, as(nurse), []exchange.Op{{Interaction: exchange.Update, Type: "CarePlan", ID: plan.ID, Doc: changed}})
	require.NoError(t, err)
	require.Empty(t, w.row("CarePlan", plan.ID).Class.DataClass)
	require.NotContains(t, string(written[0].Body), "case-notes")
}
