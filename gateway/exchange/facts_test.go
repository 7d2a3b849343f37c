package exchange_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sotesilta/consent"
	"sotesilta/gateway/exchange"
	"sotesilta/gateway/sandbox"
)

// encounter of a client in a unit; "" names none.
func encounter(client, unit, status string) string {
	named := ""
	if unit != "" {
		named = `"serviceProvider":{"reference":"` + unit + `"},`
	}
	return `{"resourceType":"Encounter","status":"` + status + `","class":{"code":"AMB"},` + named + `"subject":{"reference":"Patient/` + client + `"},"period":{"start":"2025-01-01"}}`
}

// running are the relationships that rest on a resource now.
func (w *world) running(client, evidence string) []consent.Relationship {
	var out []consent.Relationship
	if facts := w.facts(client); facts != nil {
		for _, rel := range facts.Relationships {
			if rel.Evidence == evidence && rel.Period.Contains(time.Now()) {
				out = append(out, rel)
			}
		}
	}
	return out
}

// A relationship is what a system recorded of its own unit (703/2023 §§ 9 and 57), and only while it runs.
func TestRelationships(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]struct{ who, text, unit string }{
		"an episode of the own unit":                {nurse, episode("veikko", "Organization/jukola", "active"), "Organization/jukola"},
		"an episode that names no unit":             {nurse, episode("veikko", "", "active"), "Organization/jukola"},
		"a system's, which has one unit":            {"county-social", episode("veikko", "", "active"), "Organization/county-social"},
		"a system of several units says none":       {"omaks", `{"resourceType":"Location","name":"x"}`, ""},
		"an encounter of the own unit":              {nurse, encounter("veikko", "Organization/jukola", "in-progress"), "Organization/jukola"},
		"another unit of the own register":          {"digi-nurse@omaks", encounter("veikko", "Organization/omaks-health", "arrived"), "Organization/omaks-health"},
		"a foreign unit":                            {nurse, episode("veikko", "Organization/county-social", "active"), ""},
		"the other sector's unit in the own system": {"digi-nurse@omaks", encounter("veikko", "Organization/omaks-social", "in-progress"), ""},
		"a unit by name only":                       {nurse, strings.Replace(episode("veikko", "Organization/jukola", "active"), `"reference":"Organization/jukola"`, `"display":"Jukola"`, 1), ""},
		"a planned episode":                         {nurse, episode("veikko", "", "planned"), ""},
		"a finished episode":                        {nurse, episode("veikko", "", "finished"), ""},
		"a cancelled encounter":                     {nurse, encounter("veikko", "", "cancelled"), ""},
		"an episode written in error":               {nurse, episode("veikko", "", "entered-in-error"), ""},
		"an episode that is over":                   {nurse, strings.Replace(episode("veikko", "", "active"), `"start":"2025-01-01"`, `"start":"2025-01-01","end":"2025-02-01"`, 1), ""},
		"an episode yet to come":                    {nurse, strings.Replace(episode("veikko", "", "active"), `2025-01-01`, `2099-01-01`, 1), ""},
		"an observation":                            {nurse, observation("veikko", "2026-01-01"), ""},
		"an appointment":                            {nurse, `{"resourceType":"Appointment","status":"booked","start":"2026-11-23T08:00:00Z","end":"2026-11-23T08:30:00Z","participant":[{"actor":{"reference":"Patient/veikko"},"status":"accepted"}]}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			row := w.put(c.who, c.text)
			rels := w.running("veikko", row.Type+"/"+row.ID)
			if c.unit == "" {
				require.Empty(t, rels)
				return
			}
			require.Len(t, rels, 1)
			require.Equal(t, c.unit, rels[0].Unit)
			require.Equal(t, as(c.who).Actor.Controller, rels[0].Controller)
			require.Equal(t, as(c.who).Actor.Register, rels[0].Register)
			require.Equal(t, as(c.who).Actor.App, rels[0].App)
		})
	}
}

// A relationship follows its resource: it ends with its status, its period, its deletion and its move to another client.
func TestARelationshipFollowsItsResource(t *testing.T) {
	w := newWorld(t)
	change := func(ops ...exchange.Op) {
		t.Helper()
		_, err := w.Transact(w.ctx, as(nurse), ops)
		require.NoError(t, err)
	}
	row := w.put(nurse, episode("veikko", "", "active"))
	ref := "EpisodeOfCare/" + row.ID
	require.Len(t, w.running("veikko", ref), 1)
	change(update(t, row.ID, episode("veikko", "", "onhold")))
	require.Len(t, w.running("veikko", ref), 1)
	change(update(t, row.ID, episode("toivo", "", "active")))
	require.Empty(t, w.running("veikko", ref))
	require.Len(t, w.running("toivo", ref), 1)
	change(remove("EpisodeOfCare", row.ID))
	require.Empty(t, w.running("toivo", ref))

	// The one in care has the relationship, not everybody who is named.
	named := strings.Replace(encounter("aino", "", "in-progress"), `"status"`, `"extension":[{"url":"http://example.org/x","valueReference":{"reference":"Patient/veikko"}}],"status"`, 1)
	both := w.put(nurse, named)
	require.Len(t, w.running("aino", "Encounter/"+both.ID), 1)
	require.Empty(t, w.running("veikko", "Encounter/"+both.ID))

	// A colleague of another unit who amends it does not take it over, nor end it.
	visit := w.put("jukola-ehr", encounter("aino", "", "in-progress"))
	require.Equal(t, "Organization/jukola", w.running("aino", "Encounter/"+visit.ID)[0].Unit)
	w.put("digi-nurse@omaks", episode("aino", "", "active"))
	_, err := w.Transact(w.ctx, as("digi-nurse@omaks"), []exchange.Op{update(t, visit.ID, encounter("aino", "", "in-progress"))})
	require.NoError(t, err)
	require.Equal(t, "Organization/jukola", w.running("aino", "Encounter/"+visit.ID)[0].Unit)
	_, err = w.Transact(w.ctx, as("digi-nurse@omaks"), []exchange.Op{update(t, visit.ID, encounter("aino", "Organization/jukola", "in-progress"))})
	require.NoError(t, err)
	require.Equal(t, "Organization/jukola", w.running("aino", "Encounter/"+visit.ID)[0].Unit)

	registered := w.put(nurse, `{"resourceType":"Patient","name":[{"family":"Uusi"}]}`)
	require.Equal(t, consent.Registered, w.running(registered.ID, "Patient/"+registered.ID)[0].Kind)
	change(remove("Patient", registered.ID))
	require.Empty(t, w.running(registered.ID, "Patient/"+registered.ID))
}

// active are the directives of a client in force.
func (w *world) active(client string) []string {
	out := []string{}
	for _, d := range w.facts(client).Directives {
		if d.Active {
			out = append(out, string(d.Kind)+" "+d.Evidence)
		}
	}
	slices.Sort(out)
	return out
}

// A directive counts from the transaction that records it, changes and ends with its Consent, and is changed only by the
// unit that recorded it or by the client.
func TestDirectives(t *testing.T) {
	w := newWorld(t)
	permit := sandbox.PermitToSocial("aino", sandbox.Period{From: "2026-01-01"})
	id := w.give(nurse, "aino", permit)
	require.Equal(t, []string{"permit Consent/" + id}, w.active("aino"))

	for _, who := range []string{worker, physician, "digi-nurse@omaks", "jukola-ehr", "lumi@omaks", "auditor"} {
		_, err := w.Transact(w.ctx, as(who), withdrawal(t, who, "aino", id, permit))
		require.Contains(t, []exchange.ErrorKind{exchange.NotAllowed, exchange.Forbidden, exchange.Unprocessable}, kind(err), who)
		out, err := w.Transact(w.ctx, as(who), []exchange.Op{remove("Consent", id)})
		if err == nil {
			require.Zero(t, out[0].Version, "%s deleted nothing", who)
		}
		require.Equal(t, []string{"permit Consent/" + id}, w.active("aino"), who)
	}
	require.Empty(t, w.found(worker, "Consent", "patient=aino&_total=accurate"), "to others it is absent")
	require.NotEmpty(t, w.found(aino, "Consent", "patient=aino"))
	require.NotEmpty(t, w.found(nurse, "Consent", "patient=aino"))
	require.Empty(t, w.found("jukola-ehr", "Consent", "patient=aino"))

	// The client changes what a unit recorded.
	_, err := w.Transact(w.ctx, as(aino), withdrawal(t, aino, "aino", id, permit))
	require.NoError(t, err)
	require.Empty(t, w.active("aino"))
	require.Equal(t, int64(2), w.facts("aino").Directives[0].Version)

	// It stays its client's, and comes with its Provenance.
	moved := directive(t, nurse, "onni", sandbox.PermitToSocial("onni", sandbox.Period{From: "2026-01-01"}))
	moved[0].Interaction, moved[0].ID = exchange.Update, id
	_, err = w.Transact(w.ctx, as(nurse), moved)
	require.Equal(t, exchange.Unprocessable, kind(err))
	_, err = w.Transact(w.ctx, as(nurse), []exchange.Op{create(t, permit)})
	require.Equal(t, exchange.Unprocessable, kind(err))
	require.Empty(t, w.active("aino"))

	// Every Provenance of it must be true, not one of several.
	two := directive(t, nurse, "aino", permit)
	forged := directive(t, doctor, "aino", permit)[1]
	_, err = w.Transact(w.ctx, as(nurse), append(two, forged))
	require.Equal(t, exchange.Unprocessable, kind(err))
	require.Empty(t, w.active("aino"))

	// A unit that has no relationship with the client records none.
	_, err = w.Transact(w.ctx, as(nurse), directive(t, nurse, "veikko", sandbox.PermitToSocial("veikko", sandbox.Period{From: "2026-01-01"})))
	require.NoError(t, err, "veikko is the health station's client")
	_, err = w.Transact(w.ctx, as(worker), directive(t, worker, "veikko", sandbox.PermitToSocial("veikko", sandbox.Period{From: "2026-01-01"})))
	require.Equal(t, exchange.Unprocessable, kind(err))
}
