package exchange_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/gateway/exchange"
	"sotesilta/internal/fhir"
)

// A patch that changes nothing is decided and recorded as every change; the version stays, and no event tells of one.
func TestAPatchThatChangesNothing(t *testing.T) {
	w := newWorld(t)
	row := w.put(nurse, observation("aino", "2026-01-01"))
	events := func() int {
		found, err := w.Events(w.ctx, 0, 1000)
		require.NoError(t, err)
		return len(found)
	}
	before := events()
	again := func(doc *fhir.Value) (*fhir.Value, error) { return doc, nil }
	inBundle := exchange.Op{Interaction: exchange.Patch, Type: "Observation", ID: row.ID, Patch: again}
	for name, ops := range map[string][]exchange.Op{
		"a patch":          {{Interaction: exchange.Patch, Type: "Observation", ID: row.ID, Patch: again}},
		"a patch to same":  {{Interaction: exchange.Patch, Type: "Observation", ID: row.ID, Patch: setting("valueString", "secret")}},
		"under If-Match":   {{Interaction: exchange.Patch, Type: "Observation", ID: row.ID, IfMatch: 1, Patch: again}},
		"in a transaction": {inBundle, create(t, observation("aino", "2026-02-01"))},
	} {
		expected := before + len(ops) - 1
		commits := w.records(func() {
			out, err := w.Transact(w.ctx, as(nurse), ops)
			require.NoError(t, err, name)
			require.False(t, out[0].Created, name)
			require.EqualValues(t, 1, out[0].Version, name)
			require.Equal(t, row.Updated, out[0].Updated, name)
			require.Equal(t, string(row.Body), string(out[0].Body), name)
		})
		require.Len(t, flat(commits), 1, name)
		rec := flat(commits)[0]
		require.Equal(t, "permit", rec.Outcome, name)
		require.True(t, rec.Success, name)
		require.Equal(t, "aino", rec.Client, name)
		require.NotEmpty(t, rec.Bases, name)
		require.Equal(t, "Observation/"+row.ID+"/_history/1", rec.Entities[0].What, name)
		require.Equal(t, "match", rec.Entities[0].Role, "no version was made")
		require.Equal(t, expected, events(), name)
		before = expected
	}
	require.EqualValues(t, 1, w.row("Observation", row.ID).Version)

	// An update is a version, whether it changes anything: so that of two under one If-Match the second fails.
	other := strings.Replace(observation("aino", "2026-01-01"), `"status":"final","code":{"text":"RR"}`, `"code":{"text":"RR"},"status":"final"`, 1)
	for version, text := range []string{observation("aino", "2026-01-01"), observation("aino", "2026-01-02"), other, other} {
		out, err := w.Transact(w.ctx, as(nurse), []exchange.Op{update(t, row.ID, text)})
		require.NoError(t, err)
		require.EqualValues(t, version+2, out[0].Version)
	}

	// Who may not change it is told the same whether anything would change.
	var refused []string
	for _, text := range []string{other, observation("aino", "2026-01-03")} {
		_, err := w.Transact(w.ctx, as(worker), []exchange.Op{update(t, row.ID, text)})
		require.Equal(t, exchange.NotAllowed, kind(err))
		refused = append(refused, err.Error())
	}
	require.Equal(t, refused[0], refused[1])
	_, err := w.Transact(w.ctx, as(nurse), []exchange.Op{{Interaction: exchange.Patch, Type: "Observation", ID: row.ID, IfMatch: 1, Patch: again}})
	require.Equal(t, exchange.Stale, kind(err))
}

// A patch that changes nothing rests on the version that it found: where another comes first it is decided anew.
func TestAPatchThatChangesNothingExpectsWhatItFound(t *testing.T) {
	w := newWorld(t)
	row := w.put(nurse, observation("aino", "2026-01-01"))
	raced := false
	out, err := w.Transact(w.ctx, as(nurse), []exchange.Op{{Interaction: exchange.Patch, Type: "Observation", ID: row.ID, Patch: func(doc *fhir.Value) (*fhir.Value, error) {
		if !raced {
			raced = true
			_, err := w.Transact(w.ctx, as(nurse), []exchange.Op{update(t, row.ID, observation("aino", "2026-01-02"))})
			require.NoError(t, err)
		}
		return doc, nil
	}}})
	require.NoError(t, err)
	require.EqualValues(t, 2, out[0].Version, "the version that the other made")
	require.Contains(t, string(out[0].Body), "2026-01-02")
}

// Whether a patch is without effect follows from what its caller is shown: the version tells neither that whereabouts are
// withheld nor what they are.
func TestAPatchThatChangesNothingTellsNothingWithheld(t *testing.T) {
	w := newWorld(t)
	const whereabouts = `[{"city":"Malli"}]`
	other := func(c *exchange.Caller) { c.Actor.App = "private-clinic-desk" } // another API client of the same clinic
	for _, client := range []string{"onni", "toivo"} {                        // toivo's whereabouts are protected
		w.put(physician, episode(client, "", "active"))
		for address, withAddress := range map[string]string{"none": "", "some": `"address":` + whereabouts + `,`} {
			name := client + " with address: " + address
			id := w.put(physician, `{"resourceType":"RelatedPerson",`+withAddress+`"patient":{"reference":"Patient/`+client+`"},"name":[{"text":"Läheinen"}]}`).ID
			patch := func(change func(*fhir.Value) (*fhir.Value, error)) exchange.Written {
				t.Helper()
				out, err := w.Transact(w.ctx, as(physician, other), []exchange.Op{{Interaction: exchange.Patch, Type: "RelatedPerson", ID: id, Patch: change}})
				require.NoError(t, err, name)
				return out[0]
			}
			body := string(w.row("RelatedPerson", id).Body)
			read, err := w.Read(w.ctx, as(physician, other), "RelatedPerson", id)
			require.NoError(t, err, name)
			require.Equal(t, client == "onni" && withAddress != "", strings.Contains(string(read.Body), "Malli"), name)
			out := patch(func(doc *fhir.Value) (*fhir.Value, error) { return doc, nil })
			require.EqualValues(t, 1, out.Version, name)
			require.Equal(t, string(read.Body), string(out.Body), name)
			require.Equal(t, body, string(w.row("RelatedPerson", id).Body), name)
			if client == "onni" {
				continue
			}
			guess, err := fhir.Parse([]byte(whereabouts), fhir.DefaultLimits)
			require.NoError(t, err)
			out = patch(func(doc *fhir.Value) (*fhir.Value, error) {
				require.Nil(t, doc.Get("address"), name)
				doc.Set("address", guess)
				return doc, nil
			})
			require.EqualValues(t, 2, out.Version, name)
			require.NotContains(t, string(out.Body), "Malli", name)
			change := patch(setting("gender", "female"))
			require.NotContains(t, string(change.Body), "Malli", "the answer to a patch shows what a read would")
			require.Contains(t, string(change.Body), "female")
			require.Contains(t, string(w.row("RelatedPerson", id).Body), "Malli", "what is withheld stays")
			sent, err := w.Transact(w.ctx, as(physician, other), []exchange.Op{update(t, id, string(change.Body))})
			require.NoError(t, err)
			require.NotContains(t, string(sent[0].Body), "Malli")
			require.Contains(t, string(w.row("RelatedPerson", id).Body), "Malli", "what is withheld stays when what was read is sent back")
		}
	}
}
