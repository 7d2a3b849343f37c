package exchange_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/gateway/exchange"
)

// answer is what a caller can see of an exchange, and what of its record everybody may compare: not the true reason.
type answer struct {
	Kind    exchange.ErrorKind
	Text    string
	Issue   string
	Commits int
	Records int
	Outcome string
	Moved   int
}

func (w *world) answerOf(id string, f func() error) answer {
	var err error
	commits := w.records(func() { err = f() })
	a := answer{Kind: kind(err), Commits: len(commits), Records: len(flat(commits))}
	if err != nil {
		a.Text = replaceID(err.Error(), id)
		var refusal *exchange.Error
		require.ErrorAs(w.t, err, &refusal)
		a.Issue = refusal.Issues[0].Code + " " + refusal.Issues[0].Severity + " " + replaceID(refusal.Issues[0].Expression, id)
	}
	for _, rec := range flat(commits) {
		a.Outcome = rec.Outcome
		a.Moved += len(rec.Entities)
		require.NotEmpty(w.t, rec.Reason, "the ledger knows the true reason")
	}
	return a
}

func replaceID(text, id string) string {
	out := ""
	for i := 0; i < len(text); {
		if len(text)-i >= len(id) && text[i:i+len(id)] == id {
			out += "ID"
			i += len(id)
			continue
		}
		out += text[i : i+1]
		i++
	}
	return out
}

// everyWay is each method of the Desk that could tell of one row, with what it asks of it.
func (w *world) everyWay(c exchange.Caller, typ string) map[string]func(id string) error {
	body := map[string]string{"Observation": observation("aino", "2026-02-01"), "Practitioner": `{"resourceType":"Practitioner"}`}[typ]
	return map[string]func(id string) error{
		"read":    func(id string) error { _, err := w.Read(w.ctx, c, typ, id); return err },
		"vread":   func(id string) error { _, err := w.VRead(w.ctx, c, typ, id, 1); return err },
		"history": func(id string) error { _, _, err := w.History(w.ctx, c, typ, id, exchange.Past{Count: 10}); return err },
		"update": func(id string) error {
			_, err := w.Transact(w.ctx, c, []exchange.Op{update(w.t, id, body)})
			return err
		},
		"update if current": func(id string) error {
			op := update(w.t, id, body)
			op.IfMatch = 7
			_, err := w.Transact(w.ctx, c, []exchange.Op{op})
			return err
		},
		"delete": func(id string) error {
			out, err := w.Transact(w.ctx, c, []exchange.Op{remove(typ, id)})
			if err == nil {
				require.Equal(w.t, int64(0), out[0].Version)
			}
			return err
		},
		"transaction": func(id string) error {
			_, err := w.Transact(w.ctx, c, []exchange.Op{create(w.t, observation("onni", "2026-02-02")), update(w.t, id, body)})
			return err
		},
		"push": func(id string) error {
			out, err := w.Gather(w.ctx, c, typ+"/"+id)
			if err == nil {
				require.Equal(w.t, []*exchange.Resource{nil}, out)
			}
			return err
		},
	}
}

// A denied row and one that does not exist are told apart by nothing: not by the kind or the text of the answer, nor by
// how many commits and records it takes (law 2).
func TestDeniedLooksLikeAbsent(t *testing.T) {
	w := newWorld(t)
	theirs := w.put(nurse, observation("aino", "2026-01-10"))
	gone := w.put(nurse, observation("aino", "2026-01-11"))
	_, err := w.Transact(w.ctx, as(nurse), []exchange.Op{remove("Observation", gone.ID)})
	require.NoError(t, err)
	// A row of a type of the directory that is about a person is that person's.
	personal := w.put(nurse, `{"resourceType":"Practitioner","extension":[{"url":"https://example.org/is","valueReference":{"reference":"Patient/aino"}}]}`)

	for _, who := range []string{worker, physician, "county-social", "private-clinic", "lumi@omaks", "lumi-guardian@omaks", "auditor", "operator"} {
		c := as(who)
		for name, way := range w.everyWay(c, "Observation") {
			if name == "push" { // a push of what is not there moves nothing and is no exchange
				continue
			}
			absent := w.answerOf("no-such-row", func() error { return way("no-such-row") })
			require.Equal(t, absent, w.answerOf(theirs.ID, func() error { return way(theirs.ID) }), "%s: %s of a denied row", who, name)
			require.Equal(t, absent, w.answerOf(gone.ID, func() error { return way(gone.ID) }), "%s: %s of a deleted row", who, name)
			require.Equal(t, 1, absent.Commits, "%s: %s", who, name)
			require.Zero(t, absent.Moved)
		}
		for name, way := range w.everyWay(c, "Practitioner") {
			if name == "push" {
				continue
			}
			absent := w.answerOf("no-such-row", func() error { return way("no-such-row") })
			require.Equal(t, absent, w.answerOf(personal.ID, func() error { return way(personal.ID) }), "%s: %s of a denied Practitioner", who, name)
		}
	}
}

// Whoever has no basis gets nothing, whichever way they ask (law 1): a stranger's answers are those of an empty county.
func TestNoBasisNoData(t *testing.T) {
	w := newWorld(t)
	row := w.put(nurse, observation("aino", "2026-01-10"))
	for _, who := range []string{worker, counsel, physician, "private-clinic", "omaks", "lumi@omaks", "operator", "auditor"} {
		for name, way := range w.everyWay(as(who), "Observation") {
			before := w.row("Observation", row.ID)
			err := way(row.ID)
			if name != "delete" && name != "push" {
				require.NotZero(t, kind(err), "%s: %s", who, name)
			}
			require.Equal(t, before.Version, w.row("Observation", row.ID).Version, "%s: %s changes nothing", who, name)
		}
		for _, params := range []string{
			"", "patient=aino", "subject=Patient/aino", "subject:Patient.name=aino", "_id=" + row.ID, "date=ge2000", "_summary=count",
			"patient=aino&_include=Observation:subject",
		} {
			page, err := w.Search(w.ctx, as(who), query(t, "Observation", params))
			require.NoError(t, err)
			require.NotContains(t, refs(page.Matches), "Observation/"+row.ID, "%s: %s", who, params)
			require.NotContains(t, refs(page.Includes), "Patient/aino", "%s: %s", who, params)
			if params == "_summary=count" || params == "patient=aino" {
				require.Empty(t, page.Next)
			}
		}
		page, err := w.Search(w.ctx, as(who), query(t, "Patient", "_id=aino&_has:Observation:patient:code=x&_revinclude=Observation:patient"))
		require.NoError(t, err)
		require.Empty(t, page.Matches)
		require.Empty(t, page.Includes)
	}
	// A conditional create does not see what its caller cannot: the answer is a new row, not the other's.
	op := create(t, observation("aino", "2026-02-03"))
	op.IfNoneExist = query(t, "Observation", "_id="+row.ID)
	out, err := w.Transact(w.ctx, as(worker), []exchange.Op{op})
	require.NoError(t, err)
	require.True(t, out[0].Created)
	require.NotEqual(t, row.ID, out[0].ID)
}

// The token's scopes bound every way as well, and refusing by scope says nothing of any client: it is the same for all.
func TestScopesBoundEveryWay(t *testing.T) {
	w := newWorld(t)
	row := w.put(nurse, observation("aino", "2026-01-10"))
	narrow := as(nurse, func(c *exchange.Caller) {
		c.Allows = func(typ string, _ exchange.Interaction) bool { return typ == "Patient" }
	})
	for name, way := range w.everyWay(narrow, "Observation") {
		if name == "push" {
			require.NoError(t, way(row.ID))
			continue
		}
		commits := w.records(func() { require.Equal(t, exchange.Forbidden, kind(way(row.ID)), name) })
		require.Empty(t, commits, name)
	}
	page, err := w.Search(w.ctx, narrow, query(t, "Patient", "_id=aino&_revinclude=Observation:patient&_has:Observation:patient:_id="+row.ID))
	require.NoError(t, err)
	require.Empty(t, page.Matches, "a condition on what the token may not read")
	page, err = w.Search(w.ctx, narrow, query(t, "Patient", "_id=aino&_revinclude=Observation:patient"))
	require.NoError(t, err)
	require.Equal(t, []string{"Patient/aino"}, refs(page.Matches))
	require.Empty(t, page.Includes)
	pushed, err := w.Gather(w.ctx, as("jukola-ehr", func(c *exchange.Caller) { c.Allows = narrow.Allows }), "Observation/"+row.ID)
	require.NoError(t, err)
	require.Nil(t, pushed[0], "a receiver gets what its scopes allow")
	pushed, err = w.Gather(w.ctx, as("jukola-ehr"), "Observation/"+row.ID)
	require.NoError(t, err)
	require.NotNil(t, pushed[0])
	none := narrow
	none.Allows = nil
	_, err = w.Read(w.ctx, none, "Patient", "aino")
	require.Equal(t, exchange.Forbidden, kind(err))
}

// Nothing that only a search of the directory shows leaves without a record: conditions on persons are recorded.
func TestDirectorySearchesAreRecordedWhenTheyAskAboutPersons(t *testing.T) {
	w := newWorld(t)
	commits := w.records(func() { require.NotEmpty(t, w.found(nurse, "Practitioner", "")) })
	require.Empty(t, commits, "directory data are the access log's")
	commits = w.records(func() { w.found(nurse, "Organization", "_has:EpisodeOfCare:organization:patient=aino") })
	require.Len(t, flat(commits), 1)
	require.Equal(t, "Organization", flat(commits)[0].Target)
	read := w.records(func() {
		_, err := w.Read(w.ctx, as(nurse), "Organization", "county")
		require.NoError(t, err)
	})
	require.Empty(t, read)
}
