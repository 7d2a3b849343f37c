package exchange_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/consent/ledger"
	"sotesilta/gateway/exchange"
	"sotesilta/internal/fhir"
	"sotesilta/internal/terms"
)

// asked is a caller whose exchange has an id of its own.
func asked(who string, with ...func(*exchange.Caller)) (exchange.Caller, string) {
	c := as(who, with...)
	c.RequestID = ledger.NewID()
	return c, c.RequestID
}

// texts are all values at a path.
func texts(doc *fhir.Value, path ...string) []string {
	var out []string
	for _, v := range doc.All(path...) {
		out = append(out, v.Str())
	}
	return out
}

// provenance is the Provenance of an exchange as somebody reads it.
func (w *world) provenance(who, exchangeID string) *fhir.Value {
	w.t.Helper()
	got, err := w.Read(w.ctx, as(who), "Provenance", exchangeID)
	require.NoError(w.t, err)
	require.Equal(w.t, exchangeID, got.ID)
	out := doc(w.t, string(got.Body))
	require.Empty(w.t, fhir.ValidateAs(out, "Provenance"))
	return out
}

// The recipient of a disclosure learns what came, from whose register, when, on which provision, and what it owes
// (703/2023 §§ 39 and 48): by the exchange's own id, without a row being written on the read.
func TestTheRecipientReadsWhereDisclosedDataCameFrom(t *testing.T) {
	w := newWorld(t)
	written := w.put(nurse, observation("onni", "2026-01-01"))
	caller, id := asked(worker)
	got, err := w.Read(w.ctx, caller, "Observation", written.ID)
	require.NoError(t, err)
	require.True(t, got.Disclosed)
	require.Equal(t, written.Body, got.Body)

	told := w.provenance(worker, id)
	ref := "Observation/" + written.ID + "/_history/1"
	require.Equal(t, []string{ref}, texts(told, "target", "reference"))
	require.Equal(t, []string{ref}, texts(told, "entity", "what", "reference"))
	require.Equal(t, []string{"Organization/county"}, texts(told, "entity", "agent", "who", "reference"))
	require.Equal(t, []string{"health"}, texts(told, "entity", "agent", "role", "coding", "code"))
	require.Equal(t, "ATL-53.2", told.Text("entity", "extension", "valueCoding", "code"))
	require.Contains(t, told.Text("entity", "extension", "valueCoding", "display"), "703/2023 § 53.2")
	require.Equal(t, []string{terms.LegalBasisPolicy("ATL-53.2"), terms.LegalBasisPolicy(ledger.OnwardDuty)}, texts(told, "policy"))
	require.Equal(t, "care", told.Text("reason", "coding", "code"))
	require.Equal(t, as(worker).Actor.Person, told.Text("agent", "who", "reference"))
	require.Equal(t, "Organization/county-social", told.Text("agent", "onBehalfOf", "reference"))
	require.Equal(t, "social", told.Text("meta", "security", "code"), "it is the recipient's own register's")
	require.Contains(t, told.Text("text", "div"), "potilasrekisteri")
	require.Contains(t, told.Text("text", "div"), "703/2023 48 §")
	require.NotContains(t, string(told.JSON()), "secret")

	// It is read by the version that it is, too, and by a colleague of the unit; each reading is recorded as use.
	commits := w.records(func() {
		_, err := w.VRead(w.ctx, as(worker), "Provenance", id, 1)
		require.NoError(t, err)
		w.provenance(counsel, id)
	})
	for _, rec := range flat(commits) {
		require.Equal(t, []string{"ATL-4.3-S"}, ids(rec.Bases))
		require.Equal(t, "onni", rec.Client)
		require.False(t, rec.Disclosure)
		require.Equal(t, "Provenance/"+id, rec.Entities[0].What)
	}
	require.Len(t, flat(commits), 2)
}

// To everybody else, and of every other exchange, it is absent like an id that never was.
func TestWhatDisclosedNothingToTheCallerHasNoProvenance(t *testing.T) {
	w := newWorld(t)
	theirs := w.put(nurse, observation("onni", "2026-01-01"))
	hidden := w.put(nurse, observation("aino", "2026-01-01"))
	read := func(who, typ, id string) string {
		c, exchangeID := asked(who)
		_, _ = w.Read(w.ctx, c, typ, id)
		return exchangeID
	}
	search := func(who, typ, params string) string {
		c, exchangeID := asked(who)
		_, err := w.Search(w.ctx, c, query(t, typ, params))
		require.NoError(t, err)
		return exchangeID
	}
	disclosed := read(worker, "Observation", theirs.ID)
	absent := w.answerOf("nothing", func() error { _, err := w.Read(w.ctx, as(worker), "Provenance", "nothing"); return err })
	for name, of := range map[string]struct{ who, id string }{
		"another system's":             {nurse, disclosed},
		"another controller's":         {physician, disclosed},
		"a client's":                   {aino, disclosed},
		"the system without a user":    {"county-social", disclosed},
		"denied":                       {worker, read(worker, "Observation", hidden.ID)},
		"absent":                       {worker, read(worker, "Observation", "nothing")},
		"a search that found nothing":  {worker, search(worker, "Observation", "patient=aino")},
		"use of the own register":      {nurse, read(nurse, "Observation", theirs.ID)},
		"a search of the own register": {nurse, search(nurse, "Observation", "patient=onni")},
		"the directory":                {worker, read(worker, "Organization", "county")},
		"of itself":                    {worker, read(worker, "Provenance", disclosed)},
	} {
		commits := w.records(func() {
			got := w.answerOf(of.id, func() error { _, err := w.Read(w.ctx, as(of.who), "Provenance", of.id); return err })
			require.Equal(t, absent, got, name)
		})
		require.Len(t, flat(commits), 1, name)
		require.Equal(t, "deny", flat(commits)[0].Outcome, name)
	}
	_, err := w.VRead(w.ctx, as(worker), "Provenance", disclosed, 2)
	require.Equal(t, exchange.Absent, kind(err))
	// It is no row: no search and no history finds it.
	require.NotContains(t, w.found(worker, "Provenance", "patient=onni"), "Provenance/"+disclosed)
	_, _, err = w.History(w.ctx, as(worker), "Provenance", disclosed, exchange.Past{Count: 10})
	require.Equal(t, exchange.Absent, kind(err))
}

// A search has one Provenance for all that it disclosed, each with its source; what is of the searcher's own register is
// not in it.
func TestTheProvenanceOfASearchNamesEverySource(t *testing.T) {
	w := newWorld(t)
	own := w.put(worker, observation("onni", "2026-01-02"))
	theirs := []string{w.put(nurse, observation("onni", "2026-01-01")).ID, w.put(nurse, observation("onni", "2026-01-03")).ID}
	caller, id := asked(worker)
	page, err := w.Search(w.ctx, caller, query(t, "Observation", "patient=onni&_count=100"))
	require.NoError(t, err)
	require.Contains(t, refs(page.Matches), "Observation/"+own.ID)
	told := w.provenance(worker, id)
	targets := strings.Join(texts(told, "target", "reference"), " ")
	for _, ref := range theirs {
		require.Contains(t, targets, "Observation/"+ref+"/_history/1")
	}
	require.Equal(t, len(texts(told, "target", "reference")), len(texts(told, "entity", "what", "reference")))
	for _, r := range page.Matches {
		require.Equal(t, strings.Contains(targets, r.ID), r.Disclosed, "%s", r.ID)
	}
	require.NotContains(t, targets, own.ID)

	// What the client takes back stops the data, not the recipient's record of what it received.
	permit := w.row("Consent", strings.TrimPrefix(w.facts("onni").Directives[0].Evidence, "Consent/"))
	_, err = w.Transact(w.ctx, as(nurse), withdrawal(t, nurse, "onni", permit.ID, string(permit.Body)))
	require.NoError(t, err)
	_, err = w.Read(w.ctx, as(worker), "Observation", theirs[0])
	require.Equal(t, exchange.Absent, kind(err))
	require.Equal(t, told.JSON(), w.provenance(worker, id).JSON())
}
