package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sotesilta/consent"
	"sotesilta/gateway/search"
	"sotesilta/gateway/store"
)

func testGuard(t *testing.T, e Engine) {
	s := open(t, e)
	related := func(client, unit, person string) *consent.Facts {
		return &consent.Facts{Client: client, Version: 1, Relationships: []consent.Relationship{{
			Kind: consent.InCare, Evidence: "EpisodeOfCare/" + client, Unit: unit, Person: person, Period: consent.Period{To: noon.AddDate(-1, 0, 0)},
		}}}
	}
	put := func(c consent.Class, id string, x search.Index) store.Row {
		r := row(c, id, 1, x)
		commit(t, s, store.Change{Put: []store.Row{r}})
		return r
	}
	subject := func(client string) []search.ReferenceEntry {
		return []search.ReferenceEntry{{Param: "subject", Type: "Patient", ID: client}}
	}
	commit(t, s, store.Change{Facts: []*consent.Facts{
		related("aino", "Organization/station", ""), related("onni", "Organization/social", "Practitioner/kaisa"), related("eino", "Organization/clinic", ""),
	}})
	for _, client := range []string{"aino", "onni", "eino", "veikko"} {
		put(class("Patient", client), client, search.Index{Strings: []search.StringEntry{{Param: "name", Folded: client, Exact: client}}})
		put(class("Observation", client), "o-"+client, search.Index{
			References: subject(client), Tokens: []search.TokenEntry{{Param: "code", Code: "bp-" + client}, {Param: "status", Code: "final"}},
		})
	}
	social := class("Task", "aino", "onni")
	social.Register, social.Author = consent.Social, "county-social"
	put(social, "both", search.Index{References: append(subject("aino"), subject("onni")...)})
	directory := class("Organization")
	directory.Register = consent.Directory
	put(directory, "station", search.Index{})

	observations := func() *search.Query { return &search.Query{Type: "Observation", Count: 10, Total: true} }
	t.Run("reaches who has, or had, a relationship", func(t *testing.T) {
		for _, c := range []struct {
			name  string
			reach store.Reach
			want  []string
		}{
			{"nobody", store.Reach{}, nil},
			{"of a unit", store.Reach{Units: []string{"Organization/station", "Organization/none"}}, []string{"o-aino"}},
			{"of a person", store.Reach{Persons: []string{"Practitioner/kaisa"}}, []string{"o-onni"}},
			{"a unit is no person", store.Reach{Clients: []string{"Organization/station"}}, nil},
			{"named", store.Reach{Clients: []string{"veikko", "nobody"}}, []string{"o-veikko"}},
			{"the union", store.Reach{Units: []string{"Organization/station"}, Persons: []string{"Practitioner/kaisa"}, Clients: []string{"veikko", "aino"}}, []string{"o-aino", "o-onni", "o-veikko"}},
			{"all", store.Reach{All: true}, []string{"o-aino", "o-eino", "o-onni", "o-veikko"}},
			{"written by", store.Reach{Author: "jukola-ehr"}, []string{"o-aino", "o-eino", "o-onni", "o-veikko"}},
			{"written by another", store.Reach{Author: "omaks"}, nil},
			{"all, only one", store.Reach{All: true, Only: []string{"eino"}}, []string{"o-eino"}},
			{"of a unit, only one", store.Reach{Units: []string{"Organization/station", "Organization/clinic"}, Only: []string{"eino", "onni"}}, []string{"o-eino"}},
			{"named, only one", store.Reach{Clients: []string{"aino", "onni"}, Only: []string{"onni", "eino"}}, []string{"o-onni"}},
			{"written by, only one", store.Reach{Author: "jukola-ehr", Only: []string{"onni"}}, []string{"o-onni"}},
			{"of a person, only another", store.Reach{Persons: []string{"Practitioner/kaisa"}, Only: []string{"aino"}}, nil},
			{"only none", store.Reach{All: true, Only: []string{}}, nil},
		} {
			g := &guard{reach: c.reach}
			got := find(t, s, observations(), g)
			require.ElementsMatch(t, c.want, ids(got.Matches), c.name)
			require.EqualValues(t, len(c.want), got.Total, c.name)
			require.Len(t, g.asked, len(c.want), "%s: the guard is asked about the classes in reach only", c.name)
		}
	})
	t.Run("asks once, with the facts of every client", func(t *testing.T) {
		g := &guard{reach: store.Reach{Clients: []string{"onni"}}}
		q := &search.Query{Type: "Task", Count: 10}
		got := find(t, s, q, g)
		require.Equal(t, []string{"both"}, ids(got.Matches))
		require.Equal(t, 1, g.times)
		require.Equal(t, []consent.Class{social}, g.asked)
		require.Equal(t, map[string]*consent.Facts{"aino": related("aino", "Organization/station", ""), "onni": related("onni", "Organization/social", "Practitioner/kaisa")}, g.facts)
	})
	t.Run("decides on data about nobody, too", func(t *testing.T) {
		g := &guard{reach: store.Reach{Only: []string{"aino"}}}
		require.Equal(t, []string{"station"}, ids(find(t, s, &search.Query{Type: "Organization", Count: 10}, g).Matches))
		g.decide = deny(func(consent.Class) bool { return true })
		require.Empty(t, find(t, s, &search.Query{Type: "Organization", Count: 10}, g).Matches)
	})
	t.Run("denied is absent everywhere", func(t *testing.T) {
		hidden := func(c consent.Class) bool { return len(c.Clients) > 0 && c.Clients[0] == "eino" }
		g := &guard{reach: store.Reach{All: true}, decide: deny(hidden)}
		got := find(t, s, observations(), g)
		require.Equal(t, []string{"o-aino", "o-onni", "o-veikko"}, ids(got.Matches))
		require.EqualValues(t, 3, got.Total)
		for name, where := range map[string]search.Clause{
			"id": token("", "_id", "", "o-eino"), "code": token("", "code", "", "bp-eino"), "reference": refers("subject", "Patient", "eino"),
			"not":   {Param: pCode, Modifier: "not", Values: []search.Value{{Code: "bp-aino"}, {Code: "bp-onni"}, {Code: "bp-veikko"}}},
			"chain": chain("subject", "Patient", search.Clause{Param: pName, Values: []search.Value{{Text: "eino"}}}),
		} {
			q := observations()
			q.Where = []search.Clause{where}
			got := find(t, s, q, g)
			require.Empty(t, got.Matches, name)
			require.Zero(t, got.Total, name)
		}
		// Chains and reverse chains look at permitted rows only, though the row searched is permitted.
		onlyPatients := &guard{reach: store.Reach{All: true}, decide: deny(func(c consent.Class) bool { return c.Type == "Patient" && hidden(c) })}
		q := observations()
		q.Where = []search.Clause{chain("subject", "Patient", search.Clause{Param: pName, Values: []search.Value{{Text: "eino"}}})}
		require.Empty(t, find(t, s, q, onlyPatients).Matches)
		require.Equal(t, []string{"o-eino"}, ids(find(t, s, q, everything()).Matches))
		has := func(code string) *search.Query {
			return &search.Query{Type: "Patient", Count: 10, Total: true, Where: []search.Clause{
				{Has: &search.Has{Type: "Observation", Param: pSubject, Where: token("", "code", "", code)}},
			}}
		}
		onlyObservations := &guard{reach: store.Reach{All: true}, decide: deny(func(c consent.Class) bool { return c.Type == "Observation" && hidden(c) })}
		require.Equal(t, []string{"eino"}, ids(find(t, s, has("bp-eino"), everything()).Matches))
		got = find(t, s, has("bp-eino"), onlyObservations)
		require.Empty(t, got.Matches)
		require.Zero(t, got.Total)
		// Includes.
		q = observations()
		q.Includes = []search.Include{{Type: "Observation", Params: []*search.Param{pSubject}}}
		require.ElementsMatch(t, []string{"aino", "onni", "veikko"}, ids(find(t, s, q, onlyPatients).Includes))
		back := &search.Query{Type: "Patient", Count: 10, Includes: []search.Include{{Reverse: true, Type: "Observation", Params: []*search.Param{pSubject}}}}
		require.ElementsMatch(t, []string{"o-aino", "o-onni", "o-veikko"}, ids(find(t, s, back, onlyObservations).Includes))
		// Paging and sorting: pages are full, and links end where the permitted rows end.
		var paged []string
		q = &search.Query{Type: "Observation", Count: 1, Sort: []search.SortKey{sortBy("code", true)}}
		for {
			got := find(t, s, q, g)
			require.Len(t, got.Matches, 1)
			paged = append(paged, ids(got.Matches)...)
			if q.Cursor = got.Next; q.Cursor == "" {
				break
			}
		}
		require.Equal(t, []string{"o-veikko", "o-onni", "o-aino"}, paged)
	})
	t.Run("gives rows of the permitted recording dates only", func(t *testing.T) {
		s := open(t, e)
		for i, at := range []time.Time{day(1), day(2), day(3), day(4)} {
			r := row(class("Observation", "aino"), fmt.Sprint(i+1), 1, search.Index{References: subject("aino")})
			r.Recorded = at
			commit(t, s, store.Change{Put: []store.Row{r}})
		}
		r := row(class("Observation", "onni"), "other", 1, search.Index{})
		r.Recorded = day(1)
		commit(t, s, store.Change{Put: []store.Row{r}})
		for _, c := range []struct {
			recorded []consent.Period
			want     []string
		}{
			{nil, []string{"1", "2", "3", "4", "other"}},
			{[]consent.Period{{From: day(2), To: day(4)}}, []string{"2", "3", "other"}},
			{[]consent.Period{{To: day(2)}, {From: day(4)}}, []string{"1", "4", "other"}},
			{[]consent.Period{{From: day(5)}}, []string{"other"}},
			{[]consent.Period{{}}, []string{"1", "2", "3", "4", "other"}},
		} {
			g := &guard{reach: store.Reach{All: true}, decide: func(class consent.Class) consent.Decision {
				d := consent.Decision{Outcome: consent.Permitted}
				if class.Clients[0] == "aino" {
					d.Recorded = c.recorded
				}
				return d
			}}
			got := find(t, s, &search.Query{Type: "Observation", Count: 10, Total: true}, g)
			require.ElementsMatch(t, c.want, ids(got.Matches))
			require.EqualValues(t, len(c.want), got.Total)
		}
	})
	t.Run("leaves out banned documents of the class that bans them", func(t *testing.T) {
		g := &guard{reach: store.Reach{All: true}, decide: func(c consent.Class) consent.Decision {
			d := consent.Decision{Outcome: consent.Permitted}
			if c.Clients[0] == "aino" {
				d.Exclude = []string{"Observation/o-aino", "Observation/o-onni", "Observation/absent"}
			}
			return d
		}}
		got := find(t, s, observations(), g)
		require.Equal(t, []string{"o-eino", "o-onni", "o-veikko"}, ids(got.Matches))
		require.EqualValues(t, 3, got.Total)
	})
	t.Run("leaves each row with its decision and class", func(t *testing.T) {
		g := &guard{reach: store.Reach{All: true}, decide: func(c consent.Class) consent.Decision {
			return consent.Decision{Outcome: consent.Permitted, Bases: []consent.Basis{{ID: "for " + c.Clients[0]}}}
		}}
		q := observations()
		q.Includes = []search.Include{{Type: "Observation", Params: []*search.Param{pSubject}}}
		got := find(t, s, q, g)
		for _, f := range append(got.Matches, got.Includes...) {
			require.Equal(t, class(f.Type, f.Class.Clients...), f.Class)
			require.Equal(t, "for "+f.Class.Clients[0], f.Decision.Bases[0].ID)
		}
		require.Len(t, got.Includes, 4)
	})
	t.Run("that fails gives nothing", func(t *testing.T) {
		n := snapshot(t, s)
		_, err := n.Search(t.Context(), observations(), &failing{err: errors.New("no decision")})
		require.ErrorContains(t, err, "no decision")
		_, err = n.Search(t.Context(), observations(), &failing{short: true})
		require.Error(t, err, "a decision for each class, or none counts")
	})
	t.Run("needs a human, and the data stay", func(t *testing.T) {
		g := &guard{reach: store.Reach{All: true}, decide: func(consent.Class) consent.Decision { return consent.Decision{Outcome: consent.NeedsHuman} }}
		got := find(t, s, observations(), g)
		require.Empty(t, got.Matches)
		require.Zero(t, got.Total)
	})
	t.Run("forgets classes without current rows", func(t *testing.T) {
		s := open(t, e)
		one := row(class("Task", "aino"), "1", 1, search.Index{})
		commit(t, s, store.Change{Put: []store.Row{one, row(class("Task", "onni"), "2", 1, search.Index{})}})
		commit(t, s, store.Change{Put: []store.Row{deletion(one), row(class("Task", "eino"), "2", 2, search.Index{})}})
		g := everything()
		require.Equal(t, []string{"2"}, ids(find(t, s, &search.Query{Type: "Task", Count: 10}, g).Matches))
		require.Equal(t, []consent.Class{class("Task", "eino")}, g.asked)
	})
	t.Run("is too costly beyond its classes, within reach only", func(t *testing.T) {
		s := open(t, e)
		var rows []store.Row
		for i := range store.MaxClasses + 1 {
			rows = append(rows, row(class("Observation", fmt.Sprintf("c%05d", i)), fmt.Sprint(i), 1, search.Index{}))
		}
		for len(rows) > 0 {
			n := min(len(rows), 2000)
			commit(t, s, store.Change{Put: rows[:n]})
			rows = rows[n:]
		}
		n := snapshot(t, s)
		_, err := n.Search(t.Context(), observations(), everything())
		require.ErrorIs(t, err, store.ErrTooCostly)
		got, err := n.Search(t.Context(), observations(), &guard{reach: store.Reach{All: true, Only: []string{"c00007"}}})
		require.NoError(t, err)
		require.Equal(t, []string{"7"}, ids(got.Matches))
		clients := make([]string, store.MaxClasses)
		for i := range clients {
			clients[i] = fmt.Sprintf("c%05d", i)
		}
		got, err = n.Search(t.Context(), observations(), &guard{reach: store.Reach{Clients: clients}})
		require.NoError(t, err)
		require.EqualValues(t, store.MaxClasses, got.Total)
	})
}

// chain is the clause name:Type.where.
func chain(name, typ string, where search.Clause) search.Clause {
	return search.Clause{Param: params[name], Chain: &search.Chain{Types: []string{typ}, Branches: map[string]search.Clause{typ: where}}}
}

// failing is a guard that does not answer as it should.
type failing struct {
	err   error
	short bool
}

func (failing) Reach() store.Reach { return store.Reach{All: true} }

func (f failing) Permit(_ context.Context, classes []consent.Class, _ map[string]*consent.Facts) ([]consent.Decision, error) {
	if f.short {
		return []consent.Decision{{Outcome: consent.Permitted}}, nil
	}
	return nil, f.err
}
