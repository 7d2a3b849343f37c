package storetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/consent"
	"sotesilta/gateway/search"
	"sotesilta/gateway/store"
	"sotesilta/internal/fhir"
)

// told is a row of a class whose resource says more.
func told(t *testing.T, c consent.Class, id, more string) store.Row {
	t.Helper()
	out := row(c, id, 1, search.Index{})
	out.Body = fmt.Appendf(nil, `{"resourceType":%q,"id":%q,%s}`, c.Type, id, more)
	doc, err := fhir.Parse(out.Body, fhir.DefaultLimits)
	require.NoError(t, err)
	out.Index = search.Extract(doc)
	return out
}

// noted is what a resource of a subject says in a note, with a status.
func noted(client, status, text string) string {
	return fmt.Sprintf(`"status":%q,"subject":{"reference":"Patient/%s"},"note":[{"text":%q}]`, status, client, text)
}

// asking is a search as a client writes it.
func asking(t *testing.T, typ, params string) *search.Query {
	t.Helper()
	pairs, err := search.Pairs(params)
	require.NoError(t, err)
	types := strings.Split(typ, ",")
	var q *search.Query
	if len(types) > 1 {
		q, err = search.ParseAcross(types, pairs, search.Options{})
	} else {
		q, err = search.Parse(typ, pairs, search.Options{})
	}
	require.NoError(t, err, params)
	return q
}

func testTexts(t *testing.T, e Engine) {
	t.Run("narrows what is found, in every form of an answer", func(t *testing.T) {
		s := open(t, e)
		var rows []store.Row
		for i := range 30 {
			text := "Lepo riittää"
			if i%3 == 0 {
				text = "Korkea kuume, yskä"
			}
			client := []string{"aino", "onni"}[i%2]
			rows = append(rows, told(t, class("Observation", client), fmt.Sprintf("o%02d", i), noted(client, []string{"final", "amended"}[i%5/4], text)))
		}
		rows = append(rows, told(t, class("Task", "aino"), "t1", `"for":{"reference":"Patient/aino"},"note":[{"text":"Kuumetta seurattava"}]`))
		commit(t, s, store.Change{Put: rows})
		asked := func(typ, params string) []string {
			t.Helper()
			q := asking(t, typ, params+"&_total=accurate")
			got := find(t, s, q, everything())
			if got.Next == "" && q.Cursor == "" {
				require.EqualValues(t, len(got.Matches), got.Total, params)
			}
			return ids(got.Matches)
		}
		require.Equal(t, []string{"o00", "o03", "o06", "o09", "o12", "o15", "o18", "o21", "o24", "o27"}, asked("Observation", "_content=kuume"))
		require.Equal(t, []string{"o00", "o06", "o12", "o18", "o24"}, asked("Observation", "_content=KUUME&patient=Patient/aino"))
		require.Equal(t, []string{"o24", "o09"}, asked("Observation", "_content=yska+kuume&status=amended&_sort=-_id"))
		require.Equal(t, []string{"o24"}, asked("Observation", "_content=kuume&_content=yska&_id=o24,o25"))
		require.Empty(t, asked("Observation", "_content=kuume+lepo"))
		require.Len(t, asked("Observation", "_content=kuume,lepo"), 30)
		require.Empty(t, asked("Observation", "_content=kuume&_id=nobody"))
		require.Empty(t, asked("Observation", "_text=kuume"))
		require.Len(t, asked("Observation", "_text:missing=true"), 30)
		require.Equal(t, []string{"o00", "o06", "t1"}, slices.DeleteFunc(asked("Observation,Task", "_content=kuume&patient=Patient/aino"), func(id string) bool { return id > "o06" && id < "t" }))

		q := asking(t, "Observation", "_content=kuume&_summary=count")
		require.EqualValues(t, 10, find(t, s, q, everything()).Total)
		for _, sort := range []string{"", "&_sort=-_lastUpdated", "&_sort=status,-_id"} {
			q := asking(t, "Observation", "_content=kuume&_count=3"+sort)
			all := []string{}
			for {
				got := find(t, s, q, everything())
				all = append(all, ids(got.Matches)...)
				if q.Cursor = got.Next; got.Next == "" {
					break
				}
				require.Len(t, got.Matches, 3)
			}
			require.Equal(t, asked("Observation", "_content=kuume"+sort), all, sort)
		}
		q = asking(t, "Task", "_content=seurattava&_revinclude=Provenance:target&_include=Task:patient")
		require.Equal(t, []string{"t1"}, ids(find(t, s, q, everything()).Matches))
	})
	t.Run("sees what leaves alone", func(t *testing.T) {
		s := open(t, e)
		hidden := class("Patient", "toivo")
		commit(t, s, store.Change{Put: []store.Row{
			told(t, hidden, "toivo", `"name":[{"family":"Toivonen"}],"address":[{"city":"Salaperä"}],"extension":[{"url":"http://x.example/a","valueString":"kätketty"},{"url":"http://x.example/b","valueString":"avoin"}]`),
			told(t, class("Observation", "aino"), "1", noted("aino", "final", "kuume")),
			told(t, class("Observation", "onni"), "2", noted("onni", "final", "kuume")),
		}})
		g := &guard{reach: store.Reach{All: true}, decide: func(c consent.Class) consent.Decision {
			d := consent.Decision{Outcome: consent.Permitted}
			if c.Type == "Patient" {
				d.Redact = []string{"address", "extension[http://x.example/a]"}
			}
			if slices.Contains(c.Clients, "onni") {
				d.Outcome = consent.Denied
			}
			return d
		}}
		for params, found := range map[string]int{
			"_content=toivonen": 1, "_content=avoin": 1, "_content=salaperä": 0, "_content=kätketty": 0, "_content:contains=alaper": 0, "_content:missing=false": 1,
		} {
			require.Len(t, find(t, s, asking(t, "Patient", params), g).Matches, found, params)
		}
		require.Len(t, find(t, s, asking(t, "Patient", "_content=salaperä"), everything()).Matches, 1)
		got := find(t, s, asking(t, "Observation", "_content=kuume&_total=accurate"), g)
		require.Equal(t, []string{"1"}, ids(got.Matches))
		require.EqualValues(t, 1, got.Total)
	})
	t.Run("reads only so much, of what is permitted", func(t *testing.T) {
		s := open(t, e)
		fill := func(client string, n, size int) {
			for at := 0; at < n; {
				var rows []store.Row
				for ; at < n && len(rows) < 500; at++ {
					rows = append(rows, told(t, class("Observation", client), fmt.Sprintf("%s%05d", client, at), noted(client, "final", "kuume "+strings.Repeat("x", size))))
				}
				commit(t, s, store.Change{Put: rows})
			}
		}
		fill("aino", store.MaxTexts, 0)
		fill("onni", 1, 0)
		fill("helmi", 17, 1_000_000)
		look := func(params string, permitted ...string) error {
			n := snapshot(t, s)
			got, err := n.Search(t.Context(), asking(t, "Observation", params), &guard{reach: store.Reach{All: true}, decide: func(c consent.Class) consent.Decision {
				d := consent.Decision{Outcome: consent.Denied}
				if slices.Contains(permitted, c.Clients[0]) {
					d.Outcome = consent.Permitted
				}
				return d
			}})
			if err == nil {
				require.Positive(t, got.Total, params)
			}
			return err
		}
		require.NoError(t, look("_content=kuume&_summary=count", "aino"))
		require.ErrorIs(t, look("_content=kuume&_summary=count", "aino", "onni"), store.ErrTexts)
		require.NoError(t, look("_content=kuume&_summary=count&_id=onni00000,aino00004", "aino", "onni"))
		require.NoError(t, look("_content=kuume&_summary=count&patient=Patient/aino", "aino", "onni", "helmi"))
		require.ErrorIs(t, look("_content=kuume&_count=1&patient=Patient/helmi", "helmi"), store.ErrTexts)
		require.NoError(t, look("_content=kuume&_summary=count&_id=helmi00000,helmi00016", "helmi"))
		require.NoError(t, look("_content=kuume&_summary=count", "onni"), "what is hidden is not counted")

		// A transaction has as much for all of its conditions, which are looked at in one snapshot.
		n := snapshot(t, s)
		_, err := n.Search(t.Context(), asking(t, "Observation", "_content=kuume&_summary=count&patient=Patient/aino"), &guard{reach: store.Reach{All: true}})
		require.NoError(t, err)
		_, err = n.Search(t.Context(), asking(t, "Observation", "_content=kuume&_summary=count&patient=Patient/onni"), &guard{reach: store.Reach{All: true}})
		require.ErrorIs(t, err, store.ErrTexts)
	})
}
