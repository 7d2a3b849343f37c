package report_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sotesilta/consent"
	"sotesilta/consent/ledger"
	"sotesilta/gateway/report"
)

var update = flag.Bool("update", false, "write the golden files anew")

// lines are exchanges about one client: on the own register, on a permit, stopped by a ban, with a document left out by one,
// without a basis though a permit weighed, before a human has decided, and permitted but not done.
func lines() []report.Line {
	at := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	worker := consent.Actor{
		Kind: consent.Professional, App: "county-social", Name: "Sari Sosiaali", Unit: "Organization/county-social",
		Controller: "Organization/county", Register: consent.Social,
	}
	permit := consent.Basis{ID: "ATL-53.2", Citation: "703/2023 § 53.2", TitleFi: "Asiakkaan lupa"}
	var out []report.Line
	add := func(outcome string, success, disclosure bool, change func(*ledger.Record)) {
		rec := &ledger.Record{
			ID: "r" + string(rune('0'+len(out))), Time: at.Add(time.Duration(-len(out)) * time.Hour), Interaction: "read", Outcome: outcome, Success: success,
			Actor: worker, Client: "eino", Controller: "Organization/county", Register: consent.Health, Disclosure: disclosure,
			Target: "Observation/1", Policy: "p",
		}
		change(rec)
		out = append(out, report.Line{Record: rec})
	}
	add("permit", true, false, func(r *ledger.Record) {
		r.Actor.Name, r.Actor.Unit, r.Actor.Register = "Nea Niemi", "Organization/jukola", consent.Health
		r.Bases = []consent.Basis{{ID: "ATL-4.3-H", Citation: "703/2023 § 4.3, § 9", TitleFi: "Oman potilasrekisterin käyttö"}}
	})
	add("permit", true, true, func(r *ledger.Record) {
		r.Bases, r.Directives = []consent.Basis{permit}, []string{"Consent/1/_history/1"}
	})
	add("deny", false, true, func(r *ledger.Record) {
		r.Directives, r.Bans = []string{"Consent/1/_history/1", "Consent/2/_history/3"}, []string{"Consent/2/_history/3"}
	})
	add("permit", true, true, func(r *ledger.Record) {
		r.Interaction, r.Target, r.Bases = "search-type", "DocumentReference", []consent.Basis{permit}
		r.Directives, r.Bans = []string{"Consent/1/_history/1", "Consent/4/_history/1"}, []string{"Consent/4/_history/1"}
	})
	add("deny", false, true, func(r *ledger.Record) { r.Directives = []string{"Consent/1/_history/1"} })
	add("needs-human", false, true, func(*ledger.Record) {})
	add("permit", false, false, func(*ledger.Record) {})
	return out
}

// Of both forms: what an exchange rested on stands under Peruste, and what stopped it beside, never the one for the other.
func TestTheTableTellsBasisAndBanApart(t *testing.T) {
	names := map[string]string{
		"Organization/county": "Hyvinvointialue", "Organization/county-social": "Sosiaalipalvelut", "Organization/jukola": "Jukolan terveysasema",
	}
	made := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	for _, r := range []*report.Report{
		{Form: report.OwnView, ID: "own", Client: "eino", Made: made, Names: names, Lines: lines()},
		{Form: report.Section11, ID: "clerk", Client: "eino", Controller: "Organization/county", Register: consent.Health, Made: made, Names: names, Lines: lines()},
	} {
		if r.Form == report.OwnView {
			for i := range r.Lines {
				r.Lines[i].Record = r.Lines[i].Record.Open()
			}
		}
		div := r.Bundle().First("entry", "resource").First("section").Text("text", "div")
		got := strings.NewReplacer("<tr>", "\n<tr>", "</tbody>", "\n</tbody>", "</p>", "</p>\n").Replace(div) + "\n"
		path := filepath.Join("testdata", string(r.Form)+".html")
		if *update {
			require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
		}
		want, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, string(want), got, r.Form)
	}
}
