package exchange_test

import (
	"errors"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sotesilta/consent/ledger"
	"sotesilta/gateway/exchange"
	"sotesilta/gateway/search"
	"sotesilta/gateway/store"
	"sotesilta/internal/fhir"
)

// All of a transaction is one commit: rows, facts, events and one record per client. A denial in the middle leaves
// nothing but its own record (law 9).
func TestOneWriteOneTransaction(t *testing.T) {
	w := newWorld(t)
	var change store.Change
	w.store.failing(func(c store.Change) error { change = c; return nil })
	commits := w.records(func() {
		_, err := w.Transact(w.ctx, as(nurse), []exchange.Op{
			create(t, observation("aino", "2026-01-01")), create(t, observation("onni", "2026-01-01")),
			create(t, encounter("aino", "", "in-progress")), create(t, `{"resourceType":"Location","name":"Huone"}`),
		})
		require.NoError(t, err)
	})
	require.Len(t, commits, 1)
	require.Len(t, change.Put, 4)
	require.Len(t, change.Events, 4)
	require.Len(t, change.Facts, 1)
	require.Equal(t, "aino", change.Facts[0].Client)
	byClient := map[string]ledger.Record{}
	for _, rec := range commits[0] {
		require.Equal(t, "transaction", rec.Interaction)
		require.Equal(t, "permit", rec.Outcome)
		require.True(t, rec.Success)
		byClient[rec.Client] = rec
	}
	require.Len(t, byClient, 3)
	require.Len(t, byClient["aino"].Entities, 2)
	require.Len(t, byClient["onni"].Entities, 1)
	require.Len(t, byClient[""].Entities, 1)
	require.Equal(t, []string{"ATL-4.3-H"}, ids(byClient["aino"].Bases))

	theirs := w.put(worker, observation("aino", "2026-01-01"))
	w.store.failing(func(c store.Change) error { change = c; return nil })
	commits = w.records(func() {
		_, err := w.Transact(w.ctx, as(nurse), []exchange.Op{
			create(t, observation("aino", "2026-01-02")), update(t, theirs.ID, observation("aino", "2026-01-03")), create(t, observation("onni", "2026-01-02")),
		})
		require.Equal(t, exchange.NotAllowed, kind(err))
		var refusal *exchange.Error
		require.ErrorAs(t, err, &refusal)
		require.Equal(t, 1, refusal.Entry)
	})
	require.Len(t, flat(commits), 1)
	require.Equal(t, "deny", flat(commits)[0].Outcome)
	require.Empty(t, change.Put)
	require.Empty(t, change.Events)
	require.Empty(t, change.Facts)
}

// References between the entries of a transaction are resolved, and each resource is changed once.
func TestReferencesWithinATransaction(t *testing.T) {
	w := newWorld(t)
	out, err := w.Transact(w.ctx, as(nurse), []exchange.Op{
		create(t, strings.Replace(observation("aino", "2026-01-01"), `"status"`, `"hasMember":[{"reference":"urn:uuid:b"}],"status"`, 1), "urn:uuid:a"),
		create(t, observation("aino", "2026-01-01"), "urn:uuid:b"),
	})
	require.NoError(t, err)
	require.Equal(t, "Observation/"+out[1].ID, doc(t, string(out[0].Body)).Text("hasMember", "reference"))
	for name, ops := range map[string][]exchange.Op{
		"one fullUrl twice":      {create(t, observation("aino", "2026-01-01"), "urn:uuid:a"), create(t, observation("aino", "2026-01-01"), "urn:uuid:a")},
		"one resource twice":     {update(t, out[0].ID, observation("aino", "2026-01-01")), remove("Observation", out[0].ID)},
		"a reference to all":     {create(t, strings.Replace(observation("aino", "2026-01-01"), "Patient/aino", "Patient?_count=1", 1))},
		"an id and a condition":  {{Interaction: exchange.Delete, Type: "Observation", ID: "x", Where: query(t, "Observation", "patient=aino")}},
		"neither":                {{Interaction: exchange.Delete, Type: "Observation"}},
		"another type":           {{Interaction: exchange.Create, Type: "Condition", Doc: doc(t, observation("aino", "2026-01-01"))}},
		"an invalid resource":    {create(t, `{"resourceType":"Observation","nonsense":1}`)},
		"a condition on another": {{Interaction: exchange.Create, Type: "Observation", Doc: doc(t, observation("aino", "2026-01-01")), IfNoneExist: query(t, "Condition", "patient=aino")}},
	} {
		_, err := w.Transact(w.ctx, as(nurse), ops)
		require.Equal(t, exchange.Invalid, kind(err), name)
	}
	member := func(to string) string {
		return strings.Replace(observation("aino", "2026-01-01"), `"status"`, `"hasMember":[{"reference":"`+to+`"}],"status"`, 1)
	}
	const of = "https://other.example/fhir/Observation/"
	for name, c := range map[string]struct{ from, reference, want string }{
		"its URL":                             {of + "a", of + "b", "Observation/NEW"},
		"its URL, from an entry without one":  {"", of + "b", "Observation/NEW"},
		"of the same server":                  {of + "a", "Observation/b", "Observation/NEW"},
		"of a version":                        {of + "a", "Observation/b/_history/7", "Observation/NEW/_history/1"},
		"its URL, of a version":               {"urn:uuid:a", of + "b/_history/7", "Observation/NEW/_history/1"},
		"of this server, as the entry has no": {"", "Observation/b", "Observation/b"},
		"of this server, as the entry's URN":  {"urn:uuid:a", "Observation/b", "Observation/b"},
		"of a third server":                   {of + "a", "https://third.example/fhir/Observation/b", "https://third.example/fhir/Observation/b"},
		"another of the same server":          {of + "a", "Observation/c", "Observation/c"},
		"what it contains":                    {of + "a", of + "b#c", of + "b#c"},
	} {
		ops := []exchange.Op{create(t, member(c.reference), c.from), create(t, observation("aino", "2026-01-01"), of+"b")}
		out, err := w.Transact(w.ctx, as(nurse), ops)
		require.NoError(t, err, name)
		require.Equal(t, strings.Replace(c.want, "NEW", out[1].ID, 1), doc(t, string(out[0].Body)).Text("hasMember", "reference"), name)
	}
	_, err = w.Transact(w.ctx, as(nurse), []exchange.Op{create(t, member(of+"b"), of+"b"), create(t, member(of+"b"), of+"b")})
	require.Equal(t, exchange.Invalid, kind(err), "one fullUrl twice")
	linked := create(t, strings.Replace(observation("aino", "2026-01-01"), `"status"`, `"extension":[{"url":"https://x.example/e","valueUri":"urn:uuid:b"}],"status"`, 1))
	out, err = w.Transact(w.ctx, as(nurse), []exchange.Op{linked, create(t, observation("aino", "2026-01-01"), "urn:uuid:b")})
	require.NoError(t, err)
	require.Equal(t, "Observation/"+out[1].ID, doc(t, string(out[0].Body)).Text("extension", "valueUri"))

	for name, ops := range map[string][]exchange.Op{
		"no such fullUrl":       {create(t, observation("aino", "2026-01-01"), "urn:uuid:a"), create(t, member("urn:uuid:c"))},
		"an entry of no Bundle": {create(t, observation("aino", "2026-01-01")), create(t, member("urn:oid:1.2"))},
	} {
		_, err := w.Transact(w.ctx, as(nurse), ops)
		require.Equal(t, exchange.Unprocessable, kind(err), name)
		var refusal *exchange.Error
		require.ErrorAs(t, err, &refusal)
		require.Equal(t, 1, refusal.Entry, name)
		require.Equal(t, "Observation.hasMember[0].reference", refusal.Issues[0].Expression, name)
	}
	_, err = w.Transact(w.ctx, as(nurse), []exchange.Op{{Interaction: exchange.Create, Type: "AuditEvent", Doc: doc(t, `{"resourceType":"AuditEvent"}`)}})
	require.Equal(t, exchange.NotAllowed, kind(err))
}

// What changes the meaning of a resource in a way that nobody here knows is refused where the gateway acts on it, and
// kept where it only carries it.
func TestUnknownModifiersAreNotActedOn(t *testing.T) {
	w := newWorld(t)
	with := func(text, member string) string {
		return strings.Replace(text, `"resourceType"`, member+`,"resourceType"`, 1)
	}
	const rules = `"implicitRules":"https://vendor.example/rules"`
	const negated = `"modifierExtension":[{"url":"https://vendor.example/refuted","valueBoolean":true}]`
	for place, text := range map[string]string{
		"Observation.implicitRules":          with(observation("aino", "2026-01-01"), rules),
		"EpisodeOfCare.implicitRules":        with(episode("aino", "", "active"), rules),
		"EpisodeOfCare.modifierExtension[0]": with(episode("aino", "", "active"), negated),
	} {
		_, err := w.Transact(w.ctx, as(nurse), []exchange.Op{create(t, text)})
		require.Equal(t, exchange.Unprocessable, kind(err), place)
		var refusal *exchange.Error
		require.ErrorAs(t, err, &refusal)
		require.Equal(t, place, refusal.Issues[0].Expression)
	}
	kept := w.put(nurse, with(observation("aino", "2026-01-01"), negated))
	require.Contains(t, string(kept.Body), negated)
	add := exchange.Op{Interaction: exchange.Patch, Type: "Observation", ID: kept.ID, Patch: func(doc *fhir.Value) (*fhir.Value, error) {
		doc.Set("implicitRules", fhir.NewString("https://vendor.example/rules"))
		return doc, nil
	}}
	_, err := w.Transact(w.ctx, as(nurse), []exchange.Op{add})
	require.Equal(t, exchange.Unprocessable, kind(err))
}

// A refusal that tells of a row the caller may see is recorded as that sight of it: a version conflict, a rule.
func TestRefusalsThatTellOfRowsAreRecorded(t *testing.T) {
	w := newWorld(t)
	row := w.put(nurse, observation("aino", "2026-01-01"))
	stale := update(t, row.ID, observation("aino", "2026-01-02"))
	stale.IfMatch = 4
	ambiguous := create(t, observation("aino", "2026-01-02"))
	ambiguous.IfNoneExist = query(t, "Observation", "patient=aino")
	w.put(nurse, observation("aino", "2026-01-03"))
	for want, op := range map[exchange.ErrorKind]exchange.Op{
		exchange.Stale: stale, exchange.NotAllowed: update(t, "aino", `{"resourceType":"Patient"}`), exchange.Ambiguous: ambiguous,
	} {
		commits := w.records(func() {
			_, err := w.Transact(w.ctx, as(nurse), []exchange.Op{op})
			require.Equal(t, want, kind(err))
		})
		require.Len(t, flat(commits), 1)
		rec := flat(commits)[0]
		require.False(t, rec.Success)
		require.Contains(t, rec.Reason, "refused: ")
		require.Empty(t, rec.Entities)
		if want != exchange.Ambiguous {
			require.Equal(t, "aino", rec.Client)
			require.Equal(t, "permit", rec.Outcome)
		}
	}
}

// Of twenty creates under one condition at once, one creates and nineteen find what it made.
func TestAConditionalCreateMakesOne(t *testing.T) {
	w := newWorld(t)
	condition := func() exchange.Op {
		op := create(t, strings.Replace(observation("aino", "2026-01-01"), `"status"`, `"identifier":[{"system":"urn:x","value":"1"}],"status"`, 1))
		op.IfNoneExist = query(t, "Observation", "identifier=urn:x|1")
		return op
	}
	var made, existing, busy atomic.Int64
	idsMade := sync.Map{}
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			for {
				out, err := w.Transact(w.ctx, as(nurse), []exchange.Op{condition()})
				if exchange.IsRefusal(err, exchange.Conflict) {
					busy.Add(1)
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				idsMade.Store(out[0].ID, true)
				if out[0].Created {
					made.Add(1)
				} else if out[0].Existing {
					existing.Add(1)
				}
				return
			}
		})
	}
	all.Wait()
	require.Equal(t, int64(1), made.Load())
	require.Equal(t, int64(19), existing.Load())
	n := 0
	idsMade.Range(func(any, any) bool { n++; return true })
	require.Equal(t, 1, n)
	require.Len(t, w.found(nurse, "Observation", "identifier=urn:x|1"), 1)
}

// A change that others overtook is decided anew on what they left: the outcome is that of the last attempt alone, its
// records are not doubled and keep the request's id. Overtaken again and again, it is a conflict.
func TestOvertakenChangesAreDecidedAnew(t *testing.T) {
	w := newWorld(t)
	times := 3
	w.store.failing(func(store.Change) error {
		if times--; times >= 0 {
			return store.ErrStale
		}
		return nil
	})
	id := ledger.NewID()
	commits := w.records(func() {
		out, err := w.Transact(w.ctx, as(nurse, func(c *exchange.Caller) { c.RequestID = id }),
			[]exchange.Op{remove("Observation", "absent"), create(t, observation("aino", "2026-01-01"))})
		require.NoError(t, err)
		require.True(t, out[1].Created)
		require.Equal(t, int64(1), out[1].Version)
		require.Equal(t, exchange.Resource{Type: "Observation", ID: "absent", Deleted: true}, out[0].Resource)
	})
	require.Len(t, commits, 1)
	require.Len(t, commits[0], 2)
	require.Equal(t, id, commits[0][0].ID)
	require.NotEqual(t, id, commits[0][1].ID)
	outcomes := []string{commits[0][0].Outcome, commits[0][1].Outcome}
	require.ElementsMatch(t, []string{"deny", "permit"}, outcomes)

	w.store.failing(func(store.Change) error { return store.ErrStale })
	w.store.tried = 0
	_, err := w.Transact(w.ctx, as(nurse), []exchange.Op{create(t, observation("aino", "2026-01-01"))})
	require.Equal(t, exchange.Conflict, kind(err))
	require.Less(t, w.store.tried, 20, "not for ever")
}

// A change that was permitted when it was asked for is denied when the relationship ended before it commits.
func TestAnOvertakenChangeIsDecidedOnTheNewFacts(t *testing.T) {
	w := newWorld(t)
	care := w.put(worker, episode("veikko", "", "active"))
	row := w.put(worker, observation("veikko", "2026-01-01"))
	once := sync.Once{}
	w.store.failing(func(c store.Change) error {
		if len(c.Put) == 1 && c.Put[0].ID == row.ID {
			var err error
			once.Do(func() {
				_, err = w.Transact(w.ctx, as(counsel), []exchange.Op{update(t, care.ID, episode("veikko", "", "finished"))})
			})
			return err
		}
		return nil
	})
	_, err := w.Transact(w.ctx, as(worker), []exchange.Op{update(t, row.ID, observation("veikko", "2026-01-02"))})
	require.Equal(t, exchange.NotAllowed, kind(err), "as if it were absent")
	require.Equal(t, int64(1), w.row("Observation", row.ID).Version)
}

// Deleting what is not there, what is denied and what was deleted are alike; a deletion ends the row for who could see it.
func TestDeletes(t *testing.T) {
	w := newWorld(t)
	row := w.put(nurse, observation("aino", "2026-01-01"))
	out, err := w.Transact(w.ctx, as(nurse), []exchange.Op{remove("Observation", row.ID)})
	require.NoError(t, err)
	require.Equal(t, int64(2), out[0].Version)
	_, err = w.Read(w.ctx, as(nurse), "Observation", row.ID)
	require.Equal(t, exchange.Gone, kind(err))
	_, err = w.Read(w.ctx, as(worker), "Observation", row.ID)
	require.Equal(t, exchange.Absent, kind(err))
	got, err := w.VRead(w.ctx, as(nurse), "Observation", row.ID, 1)
	require.NoError(t, err)
	require.NotEmpty(t, got.Body)
	versions, _, err := w.History(w.ctx, as(nurse), "Observation", row.ID, exchange.Past{Count: 10})
	require.NoError(t, err)
	require.Len(t, versions, 2)
	require.True(t, versions[0].Deleted)
	require.Empty(t, w.found(nurse, "Observation", "_id="+row.ID))
	var refusal *exchange.Error
	_, err = w.Transact(w.ctx, as(nurse), []exchange.Op{update(t, row.ID, observation("aino", "2026-01-01"))})
	require.True(t, errors.As(err, &refusal))
	require.Equal(t, exchange.NotAllowed, refusal.Kind)
}

// Everything is bounded: changes of a transaction, clients of a resource, resources of a message, pages of a history.
func TestEverythingIsBounded(t *testing.T) {
	w := newWorld(t)
	_, err := w.Transact(w.ctx, as(nurse), nil)
	require.Equal(t, exchange.TooCostly, kind(err))
	_, err = w.Transact(w.ctx, as(nurse), make([]exchange.Op, 1001))
	require.Equal(t, exchange.TooCostly, kind(err))
	var many strings.Builder
	for i := range 51 {
		many.WriteString(`,{"reference":"Patient/p` + strings.Repeat("x", i) + `"}`)
	}
	crowd := strings.Replace(observation("aino", "2026-01-01"), `"status"`, `"focus":[`+many.String()[1:]+`],"status"`, 1)
	_, err = w.Transact(w.ctx, as(nurse), []exchange.Op{create(t, crowd)})
	require.Equal(t, exchange.Unprocessable, kind(err))
	require.Contains(t, err.Error(), "at most 50")
	referring := strings.Replace(observation("aino", "2026-01-01"), `"status"`, `"derivedFrom":[`+strings.Repeat(`{"reference":"Observation/x"},`, fhir.MaxReferences)+`{"reference":"Observation/x"}],"status"`, 1)
	_, err = w.Transact(w.ctx, as(nurse), []exchange.Op{create(t, referring)})
	require.Equal(t, exchange.Invalid, kind(err))
	require.Contains(t, err.Error(), "at most 2000 references")
	coded := strings.Replace(observation("aino", "2026-01-01"), `"status"`, `"category":[{"coding":[`+strings.Repeat(`{"code":"x"},`, search.MaxEntries)+`{"code":"x"}]}],"status"`, 1)
	_, err = w.Transact(w.ctx, as(nurse), []exchange.Op{create(t, coded)})
	require.Equal(t, exchange.TooCostly, kind(err))
	require.Contains(t, err.Error(), "at most 10000 values")
	_, err = w.Gather(w.ctx, as("jukola-ehr"), make([]string, 101)...)
	require.Equal(t, exchange.TooCostly, kind(err))

	row := w.put(nurse, observation("aino", "2026-01-01"))
	for i := range 4 {
		_, err = w.Transact(w.ctx, as(nurse), []exchange.Op{update(t, row.ID, observation("aino", "2026-01-0"+strconv.Itoa(i+2)))})
		require.NoError(t, err)
	}
	var seen []int64
	for before := int64(0); ; {
		page, next, err := w.History(w.ctx, as(nurse), "Observation", row.ID, exchange.Past{Before: before, Count: 2})
		require.NoError(t, err)
		require.LessOrEqual(t, len(page), 2)
		for _, v := range page {
			seen = append(seen, v.Version)
		}
		if before = next; next == 0 {
			break
		}
	}
	require.Equal(t, []int64{5, 4, 3, 2, 1}, seen)
	lease := exchange.Lease{Name: "somebody", Holder: "this node", Life: time.Minute}
	from, err := w.Position(w.ctx, "somebody")
	require.NoError(t, err)
	events, err := w.Events(w.ctx, from, 0)
	require.NoError(t, err)
	require.Len(t, events, 1)
	taken, err := w.TakeLease(w.ctx, lease)
	require.NoError(t, err)
	require.True(t, taken)
	require.NoError(t, w.Advance(w.ctx, lease, from, events[0].Seq))
	next, err := w.Events(w.ctx, events[0].Seq, 1)
	require.NoError(t, err)
	require.Greater(t, next[0].Seq, events[0].Seq)

	lease.Holder = "another node"
	taken, err = w.TakeLease(w.ctx, lease)
	require.NoError(t, err)
	require.False(t, taken)
	require.Equal(t, exchange.Conflict, kind(w.Advance(w.ctx, lease, events[0].Seq, next[0].Seq)))
	at, err := w.Position(w.ctx, "somebody")
	require.NoError(t, err)
	require.Equal(t, events[0].Seq, at)
}
