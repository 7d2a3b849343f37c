package exchange_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sotesilta/consent"
	"sotesilta/consent/ledger"
	"sotesilta/gateway/exchange"
	"sotesilta/gateway/report"
	"sotesilta/gateway/store"
)

// The auditor of a controller sees every exchange of its data and by its people, and no other controller's own.
func TestTheAuditorSeesTheControllersExchanges(t *testing.T) {
	w := newWorld(t)
	record := func(f func()) []string {
		var out []string
		for _, rec := range flat(w.records(f)) {
			out = append(out, "AuditEvent/"+rec.ID)
		}
		return out
	}
	seen := func(params string) []string {
		t.Helper()
		page, err := w.Search(w.ctx, as("auditor"), query(t, "AuditEvent", params))
		require.NoError(t, err)
		return refs(page.Matches)
	}
	mine := w.put(nurse, observation("onni", "2026-01-01"))
	var theirs exchange.Resource
	own := record(func() {
		w.put(physician, episode("onni", "", "active"))
		theirs = w.put(physician, observation("onni", "2026-01-01"))
		_, err := w.Read(w.ctx, as(physician), "Observation", theirs.ID)
		require.NoError(t, err)
	})
	require.Len(t, own, 3)
	denied := record(func() {
		_, err := w.Read(w.ctx, as(physician), "Observation", mine.ID)
		require.Equal(t, exchange.Absent, kind(err))
	})
	w.give(physician, "onni", `{"resourceType":"Consent","status":"active","scope":{"coding":[{"code":"patient-privacy"}]},"category":[{"coding":[{"system":"https://sotesilta.example/fhir/CodeSystem/permit-direction","code":"3"}]}],"patient":{"reference":"Patient/onni"},"policyRule":{"text":"lupa"},"provision":{"type":"permit"}}`)
	var page *exchange.Page
	searched := flat(w.records(func() {
		var err error
		page, err = w.Search(w.ctx, as(physician), query(t, "Observation", "patient=onni"))
		require.NoError(t, err)
	}))
	require.Contains(t, refs(page.Matches), "Observation/"+mine.ID)
	require.Contains(t, refs(page.Matches), "Observation/"+theirs.ID)
	require.Len(t, searched, 3, "the query, and each controller whose data left")

	all := seen("_count=200")
	for _, ref := range own {
		require.NotContains(t, all, ref, "the clinic's own exchange")
		_, err := w.Read(w.ctx, as("auditor"), "AuditEvent", ref[len("AuditEvent/"):])
		require.Equal(t, exchange.Absent, kind(err))
	}
	require.Subset(t, all, denied, "an attempt on the county's data")
	for _, rec := range searched[1:] {
		if rec.Controller == "Organization/county" {
			require.Contains(t, all, "AuditEvent/"+rec.ID, "the county's data left to the clinic")
			require.NotContains(t, string(rec.Canonical()), theirs.ID)
		} else {
			require.NotContains(t, all, "AuditEvent/"+rec.ID)
			require.NotContains(t, string(rec.Canonical()), mine.ID)
		}
	}
	require.Subset(t, seen("entity=Observation/"+mine.ID), denied)
	require.NotEmpty(t, seen("patient=onni&outcome=4"))
	require.NotEmpty(t, seen("altid=nurse"))
	require.Empty(t, seen("altid=nobody"))
	require.Equal(t, seen("altid=nurse&patient=onni"), seen("agent:identifier=https://sotesilta.example/fhir/NamingSystem/api-client|jukola-ehr&altid=nurse&patient=onni"))
	require.Empty(t, seen("agent:identifier=county-social&altid=nurse"))
	require.NotEmpty(t, seen("policy=https://sotesilta.example/fhir/CodeSystem/legal-basis#ATL-4.3-H"))
	require.Empty(t, seen("outcome=8"))
	require.Empty(t, seen("date=lt2020"))
}

// Reading the ledger is recorded; to all but the auditor it is absent; what a search cannot narrow by it refuses.
func TestReadingTheLedger(t *testing.T) {
	w := newWorld(t)
	written := flat(w.records(func() { w.put(nurse, observation("aino", "2026-01-01")) }))[0]
	commits := w.records(func() {
		got, err := w.Read(w.ctx, as("auditor"), "AuditEvent", written.ID)
		require.NoError(t, err)
		require.Equal(t, written.ID, got.ID)
		versions, next, err := w.History(w.ctx, as("auditor"), "AuditEvent", written.ID, exchange.Past{Count: 10})
		require.NoError(t, err)
		require.Zero(t, next)
		require.Equal(t, got.Body, versions[0].Body)
		got, err = w.VRead(w.ctx, as("auditor"), "AuditEvent", written.ID, 1)
		require.NoError(t, err)
		require.NotNil(t, got)
		_, err = w.VRead(w.ctx, as("auditor"), "AuditEvent", written.ID, 2)
		require.Equal(t, exchange.Absent, kind(err))
	})
	require.Len(t, flat(commits), 4)
	for _, rec := range flat(commits) {
		require.Equal(t, []string{"ATL-10"}, ids(rec.Bases))
	}
	for _, who := range []string{nurse, worker, aino, "jukola-ehr", "operator"} {
		one := w.answerOf(written.ID, func() error { _, err := w.Read(w.ctx, as(who), "AuditEvent", written.ID); return err })
		other := w.answerOf("nothing", func() error { _, err := w.Read(w.ctx, as(who), "AuditEvent", "nothing"); return err })
		require.Equal(t, other, one, who)
		require.Equal(t, exchange.Absent, one.Kind)
		page, err := w.Search(w.ctx, as(who), query(t, "AuditEvent", "_total=accurate"))
		require.NoError(t, err)
		require.Empty(t, page.Matches)
		require.Zero(t, page.Total)
		require.Empty(t, page.Next)
	}
	for _, params := range []string{
		"patient=aino&patient=onni", "date=2024,2025", "date=ne2024", "patient.name=x", "_include=AuditEvent:patient", "_sort=action",
		"agent-name=x", "patient:missing=true", "entity:missing=false", "agent=https://elsewhere.example/Practitioner/1", "_tag=x",
		"agent=Organization/county-social", "agent=PractitionerRole/nurse", "outcome=denied", // nothing would be found, which is not so
	} {
		commits := w.records(func() {
			_, err := w.Search(w.ctx, as("auditor"), query(t, "AuditEvent", params))
			require.Equal(t, exchange.Invalid, kind(err), params)
		})
		require.Empty(t, commits)
	}
	junk := query(t, "AuditEvent", "")
	junk.Cursor = "junk"
	_, err := w.Search(w.ctx, as("auditor"), junk)
	require.Equal(t, exchange.Invalid, kind(err))
}

// A subtype finds the records that show it: disclosures among them, and what FHIR calls an operation.
func TestTheSubtypeOfARecordIsSearched(t *testing.T) {
	w := newWorld(t)
	theirs := w.put("jukola-ehr", observation("onni", "2026-01-10")).ID
	hidden := w.put("jukola-ehr", observation("eino", "2026-01-10")).ID
	var disclosed []string
	for _, rec := range flat(w.records(func() {
		_, _ = w.Read(w.ctx, as(worker), "Observation", theirs)
		_, _ = w.Read(w.ctx, as(worker), "Observation", hidden)
		_, _ = w.Read(w.ctx, as(nurse), "Observation", theirs)
		w.found(worker, "Observation", "patient=Patient/onni")
		w.found(worker, "Observation", "patient=Patient/eino")
	})) {
		if rec.Disclosed() {
			disclosed = append(disclosed, "AuditEvent/"+rec.ID)
		}
	}
	require.Len(t, disclosed, 2, "a read and the rows of a search")
	slices.Reverse(disclosed) // the newest first
	const lifecycle, rest = "http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle", "http://hl7.org/fhir/restful-interaction"
	since := time.Now().Add(-time.Hour).UTC().Format("2006-01-02T15:04:05Z")
	for params, want := range map[string][]string{
		"subtype=disclose": disclosed, "subtype=" + lifecycle + "|disclose": disclosed,
		"subtype=disclose&outcome=4": {}, "subtype=disclose&patient=Patient/eino": {},
		"subtype=" + rest + "|disclose": {}, "subtype=|disclose": {}, "subtype=https://elsewhere.example|read": {},
	} {
		require.Equal(t, want, w.found("auditor", "AuditEvent", params+"&date=ge"+since), params)
	}
	q := query(t, "AuditEvent", "subtype=disclose&_count=1")
	page, err := w.Search(w.ctx, as("auditor"), q)
	require.NoError(t, err)
	require.Equal(t, disclosed[:1], refs(page.Matches))
	q.Cursor = page.Next
	page, err = w.Search(w.ctx, as("auditor"), q)
	require.NoError(t, err)
	require.Equal(t, disclosed[1:], refs(page.Matches))
	for _, params := range []string{"subtype=disclose,read", "subtype=disclose&_total=accurate", "subtype=disclose&_summary=count"} {
		_, err := w.Search(w.ctx, as("auditor"), query(t, "AuditEvent", params))
		require.Equal(t, exchange.Invalid, kind(err), params)
	}
	operations := w.found("auditor", "AuditEvent", "subtype="+rest+"|operation&_count=200")
	require.ElementsMatch(t, operations, w.found("auditor", "AuditEvent", "subtype=match,apply,everything,export,disclosure-report&_count=200"))
}

// An auditor finds the records of a class of retention, and no two classes have one.
func TestTheRetentionClassOfARecordIsSearched(t *testing.T) {
	w := newWorld(t)
	theirs := w.put("jukola-ehr", observation("onni", "2026-01-10")).ID
	_, err := w.Read(w.ctx, as(worker), "Observation", theirs)
	require.NoError(t, err)
	seen := map[string]string{}
	for _, class := range []string{"use", "disclosure", "notice", "administration", "erasure"} {
		for _, ref := range w.found("auditor", "AuditEvent", "retention="+class+"&_count=1000") {
			require.Empty(t, seen[ref], ref)
			seen[ref] = class
			got, err := w.Read(w.ctx, as("auditor"), "AuditEvent", ref[len("AuditEvent/"):])
			require.NoError(t, err)
			require.Contains(t, string(got.Body), `"type":"retention","valueString":"`+class+`"`)
		}
	}
	require.Contains(t, seen, w.found("auditor", "AuditEvent", "subtype=disclose")[0])
	require.Len(t, w.found("auditor", "AuditEvent", "retention=disclosure,notice&patient=Patient/onni"), 1)
	for _, bad := range []string{"retention=other", "retention=https://elsewhere.example|use", "retention=use&_total=accurate", "retention=use&retention=notice"} {
		_, err := w.Search(w.ctx, as("auditor"), query(t, "AuditEvent", bad))
		require.Equal(t, exchange.Invalid, kind(err), bad)
	}
}

// A record is opened by its number in the ledger: what the sandbox prints behind #, and the AuditEvent says.
func TestARecordIsOpenedByItsLedgerNumber(t *testing.T) {
	w := newWorld(t)
	w.put(nurse, observation("aino", "2026-01-01"))
	waiting := flat(w.records(func() { w.put(nurse, observation("onni", "2026-01-01")) }))[0]
	key, err := ledger.NewKey(ledger.Origin)
	require.NoError(t, err)
	_, err = w.store.Sequence(w.ctx, "one", 500, ledger.NewLog(key).Seal)
	require.NoError(t, err)
	at := int64(-1)
	for entry, err := range w.store.Ledger().Entries(w.ctx, 0) {
		require.NoError(t, err)
		if rec, err := ledger.ParseRecord(entry.Canonical); err == nil && rec.ID == waiting.ID {
			at = entry.Seq
		}
	}
	require.Positive(t, at)
	number := strconv.FormatInt(at, 10)
	page, err := w.Search(w.ctx, as("auditor"), query(t, "AuditEvent", "ledger="+number))
	require.NoError(t, err)
	require.Equal(t, []string{"AuditEvent/" + waiting.ID}, refs(page.Matches))
	require.Contains(t, string(page.Matches[0].Body), `"type":"ledger","valueString":"`+number+`"`)
	require.Zero(t, page.Since, "an index leads to it")
	require.Len(t, w.found("auditor", "AuditEvent", "ledger="+number+",0"), 2)
	require.Empty(t, w.found("auditor", "AuditEvent", "ledger=100000"))
	require.Empty(t, w.found("auditor", "AuditEvent", "ledger="+number+"&patient=Patient/eino"))
	require.Empty(t, w.found(nurse, "AuditEvent", "ledger="+number), "to all but the auditor there is none")
	for _, bad := range []string{"ge1", "1.5", "-1", "1e20", "ne7"} {
		_, err := w.Search(w.ctx, as("auditor"), query(t, "AuditEvent", "ledger="+bad))
		require.Equal(t, exchange.Invalid, kind(err), bad)
	}
}

// A page of long records ends where their views are as many bytes as a page may have, and the next goes on with what follows.
func TestPagesOfLongRecordsAreBoundedInBytes(t *testing.T) {
	w := newWorld(t)
	long := ledger.Record{
		Time: time.Now().UTC().Truncate(time.Millisecond), Interaction: "search-type", Outcome: "permit", Success: true, Client: "aino",
		Actor: as(nurse).Actor, Controller: "Organization/county", Register: consent.Health, Target: "Observation",
		Ruled: true, // made by hand: there is nothing to repeat
	}
	for range 1000 {
		long.Entities = append(long.Entities, ledger.Entity{What: "Observation/" + ledger.NewID() + "/_history/1", Role: "match"})
	}
	const all = 60
	for range all {
		long.ID = ledger.NewID()
		long.Exchange = long.ID
		require.NoError(t, w.store.Commit(w.ctx, store.Change{Records: []ledger.Record{long}}))
	}
	seen := map[string]bool{}
	pages := 0
	for cursor := ""; ; pages++ {
		q := query(t, "AuditEvent", "patient=aino&subtype=search-type&_count=1000")
		q.Cursor = cursor
		page, err := w.Search(w.ctx, as("auditor"), q)
		require.NoError(t, err)
		size := 0
		for _, row := range page.Matches {
			require.False(t, seen[row.ID])
			seen[row.ID] = true
			size += len(row.Body)
		}
		require.Less(t, size, exchange.PageBytes+1<<20)
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	require.GreaterOrEqual(t, len(seen), all)
	require.Positive(t, pages)
}

// The pages of the ledger come in order, each entry once, although reading adds to it.
func TestPagesOfTheLedger(t *testing.T) {
	w := newWorld(t)
	for range 7 {
		w.put(nurse, observation("aino", "2026-01-01"))
	}
	seen := map[string]bool{}
	cursor := ""
	for pages := 0; ; pages++ {
		require.Less(t, pages, 200)
		q := query(t, "AuditEvent", "patient=aino&_count=3")
		q.Cursor = cursor
		page, err := w.Search(w.ctx, as("auditor"), q)
		require.NoError(t, err)
		for _, row := range page.Matches {
			require.False(t, seen[row.ID])
			seen[row.ID] = true
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	require.GreaterOrEqual(t, len(seen), 8)
}

// A search that no index leads to looks a bounded time back and says so; one that would walk along years is refused.
func TestSearchesOfTheLedgerAreBoundedInTime(t *testing.T) {
	var ahead atomic.Int64 // of the clock, in nanoseconds
	w := newWorldWith(t, exchange.Config{Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }})
	for range 4 {
		w.put(nurse, observation("aino", "2026-01-01"))
	}
	for _, params := range []string{
		"policy=ATL-4.3-H&altid=nurse", "policy=ATL-4.3-H&_total=accurate", "policy=ATL-4.3-H&outcome=4", "entity=Observation/x", "agent:identifier=jukola-ehr", "subtype=create", "outcome=4", "altid=nurse", "_total=accurate",
	} {
		page, err := w.Search(w.ctx, as("auditor"), query(t, "AuditEvent", params))
		require.NoError(t, err, params)
		require.WithinDuration(t, time.Now().AddDate(0, 0, -31), page.Since, time.Minute, params)
		if params[0] == '_' {
			params = "subtype=create&" + params
		}
		_, err = w.Search(w.ctx, as("auditor"), query(t, "AuditEvent", params+"&date=ge2020"))
		require.Equal(t, exchange.Invalid, kind(err), params)
		require.ErrorContains(t, err, "366 days", params)
		_, err = w.Search(w.ctx, as("auditor"), query(t, "AuditEvent", params+"&date=2024"))
		require.NoError(t, err, params)
	}
	mine := "entity=Observation/" + w.put(nurse, observation("aino", "2026-01-01")).ID
	for _, params := range []string{
		"policy=ATL-4.3-H", "policy=ATL-4.3-H&date=ge2014", "policy=ATL-53.2,ATL-53.3&subtype=disclose&date=ge2014", "policy=ATL-99",
		"entity=Patient/aino&date=ge2014", mine + "&date=ge2014", mine + "&_total=accurate&altid=nurse",
		"", "patient=aino&policy=ATL-4.3-H", "ledger=3&outcome=4", "patient=aino&_total=accurate", "_id=x", "date=ge2020",
	} {
		page, err := w.Search(w.ctx, as("auditor"), query(t, "AuditEvent", params))
		require.NoError(t, err, params)
		require.Zero(t, page.Since, params)
	}
	// Pages look as far back as the first.
	q := query(t, "AuditEvent", "subtype=create&_count=1")
	first, err := w.Search(w.ctx, as("auditor"), q)
	require.NoError(t, err)
	ahead.Store(int64(1100 * time.Millisecond)) // less than an answer may take, by the store's clock
	q = query(t, "AuditEvent", "subtype=create&_count=1")
	q.Cursor = first.Next
	second, err := w.Search(w.ctx, as("auditor"), q)
	require.NoError(t, err)
	require.Equal(t, first.Since, second.Since)
	require.NotEqual(t, first.Matches[0].ID, second.Matches[0].ID)
	q = query(t, "AuditEvent", "subtype=create&_count=1")
	q.Cursor = "x." + first.Next
	_, err = w.Search(w.ctx, as("auditor"), q)
	require.Equal(t, exchange.Invalid, kind(err))
}

// What the record of an exchange names finds it, over all years: among its clients' records, among those of nobody, and
// among attempts on what is another's. Another controller's auditor cannot tell the row from one that is not there.
func TestARecordIsFoundByWhateverItNames(t *testing.T) {
	w := newWorld(t)
	first := w.put(nurse, observation("aino", "2026-01-01"))
	second := w.put(nurse, observation("onni", "2026-01-02"))
	for _, who := range []string{nurse, worker, physician, aino} {
		ways := w.everyWay(as(who), "Observation")
		for _, name := range slices.Sorted(maps.Keys(ways)) {
			if (who == nurse || who == aino) && (name == "delete" || name == "push") {
				continue // these say themselves what becomes of them when they are denied
			}
			for _, id := range []string{first.ID, second.ID, "nothing"} {
				_ = ways[name](id)
			}
		}
	}
	for _, way := range w.releases(w.put(nurse, observation("aino", "2026-01-03"))) {
		_, _ = way()
	}
	for range 3 {
		_, err := w.Search(w.ctx, as("auditor"), query(t, "AuditEvent", "_count=3"))
		require.NoError(t, err)
	}
	snap, err := w.store.Snapshot(w.ctx)
	require.NoError(t, err)
	page, err := snap.Entries(w.ctx, store.EntryQuery{Controllers: []string{"Organization/county"}, Limit: 1000})
	require.NoError(t, snap.Close())
	require.NoError(t, err)
	found := map[string][]string{}
	tried := 0
	for _, entry := range page.Entries {
		rec, err := ledger.ParseRecord(entry.Canonical)
		require.NoError(t, err)
		for _, column := range entry.Columns {
			if column.Name != ledger.ColumnTarget {
				continue
			}
			if found[column.Value] == nil {
				page, err := w.Search(w.ctx, as("auditor"), query(t, "AuditEvent", "_count=1000&entity="+column.Value))
				require.NoError(t, err)
				led := column.Value == "Observation/"+first.ID || column.Value == "Observation/"+second.ID || column.Value == "Patient/aino"
				require.True(t, !led || page.Since.IsZero(), "%s: by index", column.Value)
				found[column.Value] = refs(page.Matches)
			}
			tried++
			require.Contains(t, found[column.Value], "AuditEvent/"+rec.ID, "%s by %s, of %q", column.Value, rec.Interaction, rec.Client)
		}
	}
	require.Greater(t, tried, 40)
}

// What a ban stopped, and what a permit opened, is asked by the directive: beside what was done to it, the records that it
// weighed in, over all years, permitted and denied apart.
func TestTheAuditorAsksWhatADirectiveStoppedAndOpened(t *testing.T) {
	w := newWorld(t)
	seen := w.put(nurse, observation("onni", "2026-01-01"))
	other := w.put(nurse, observation("aino", "2026-01-01"))
	read := func(id string) []string {
		var out []string
		for _, rec := range flat(w.records(func() { _, _ = w.Read(w.ctx, as(worker), "Observation", id) })) {
			out = append(out, "AuditEvent/"+rec.ID)
		}
		require.Len(t, out, 1)
		return out
	}
	permit := w.give(nurse, "onni", `{"resourceType":"Consent","status":"active","scope":{"coding":[{"code":"patient-privacy"}]},"category":[{"coding":[{"system":"https://sotesilta.example/fhir/CodeSystem/permit-direction","code":"1"}]}],"patient":{"reference":"Patient/onni"},"policyRule":{"text":"lupa"},"provision":{"type":"permit"}}`)
	opened := read(seen.ID)
	ban := w.give(nurse, "onni", fmt.Sprintf(countyBan, "onni"))
	stopped := read(seen.ID)
	elsewhere := read(other.ID)
	ask := func(params string) []string {
		t.Helper()
		page, err := w.Search(w.ctx, as("auditor"), query(t, "AuditEvent", params))
		require.NoError(t, err)
		require.Zero(t, page.Since, params)
		return refs(page.Matches)
	}
	require.Equal(t, stopped, ask("outcome=4&entity=Consent/"+ban))
	require.Subset(t, ask("entity=Consent/"+permit), slices.Concat(opened, stopped))
	require.NotContains(t, ask("outcome=4&entity=Consent/"+permit), opened[0])
	require.Len(t, ask("subtype=create&entity=Consent/"+ban), 0)
	require.NotContains(t, ask("entity=Consent/"+ban), elsewhere[0])
	require.NotContains(t, ask("entity=Consent/"+ban), opened[0])
	require.Equal(t, stopped, ask("patient=onni&outcome=4&entity=Consent/"+ban))
	require.Empty(t, ask("patient=aino&outcome=4&entity=Consent/"+ban))
	_, err := w.Search(w.ctx, as("auditor"), query(t, "AuditEvent", "_summary=count&entity=Consent/"+ban))
	require.Equal(t, exchange.Invalid, kind(err), "looked through, not counted")
}

// A reference to one version finds who wrote that version and who got it, and nothing of the others (FHIR R4 § 2.3.0.1).
func TestTheAuditorAsksAboutOneVersion(t *testing.T) {
	w := newWorld(t)
	of := func(f func()) string {
		list := flat(w.records(f))
		require.Len(t, list, 1)
		return "AuditEvent/" + list[0].ID
	}
	var row exchange.Resource
	created := of(func() { row = w.put(nurse, observation("aino", "2026-01-01")) })
	read := func() {
		_, err := w.Read(w.ctx, as(nurse), "Observation", row.ID)
		require.NoError(t, err)
	}
	firstRead := of(read)
	updated := of(func() {
		_, err := w.Transact(w.ctx, as(nurse), []exchange.Op{update(t, row.ID, observation("aino", "2026-01-02"))})
		require.NoError(t, err)
	})
	secondRead := of(read)
	unseen := of(func() { _, _ = w.Read(w.ctx, as(worker), "Observation", row.ID) })
	ref := "entity=Observation/" + row.ID
	for params, want := range map[string][]string{
		ref:                 {created, firstRead, updated, secondRead, unseen},
		ref + "/_history/1": {created, firstRead},
		ref + "/_history/2": {updated, secondRead},
		ref + "/_history/3": nil,
		ref + "/_history/2&outcome=0&subtype=update":              {updated},
		ref + "/_history/1,Observation/" + row.ID + "/_history/2": {created, firstRead, updated, secondRead},
		ref + "/_history/1,Observation/" + row.ID:                 {created, firstRead, updated, secondRead, unseen},
	} {
		page, err := w.Search(w.ctx, as("auditor"), query(t, "AuditEvent", params))
		require.NoError(t, err, params)
		require.ElementsMatch(t, want, refs(page.Matches), params)
	}
	_, err := w.Search(w.ctx, as("auditor"), query(t, "AuditEvent", ref+"/_history/1&_total=accurate"))
	require.Equal(t, exchange.Invalid, kind(err), "looked through, not counted")
}

// ledgerOf is a store with pending entries of several nodes.
type ledgerOf struct {
	store.Store
	pending []ledger.Entry
	err     error
}

func (l *ledgerOf) Ledger() ledger.Source { return l }

func (l *ledgerOf) Sequence(ctx context.Context, _ string, _ int, _ store.Seal) (int, error) {
	<-ctx.Done() // the sequencer's work hangs
	return 0, ctx.Err()
}

func (l *ledgerOf) Entries(context.Context, int64) iter.Seq2[ledger.Entry, error] {
	return func(func(ledger.Entry, error) bool) {}
}

func (l *ledgerOf) Checkpoints(context.Context) iter.Seq2[ledger.Signed, error] {
	return func(func(ledger.Signed, error) bool) {}
}

// timed are the columns of a record of a time.
func timed(t time.Time) []ledger.Column {
	return ledger.Columns(&ledger.Record{Time: t})
}

func (l *ledgerOf) Pending(context.Context) iter.Seq2[ledger.Entry, error] {
	return func(yield func(ledger.Entry, error) bool) {
		for _, e := range l.pending {
			if !yield(e, nil) {
				return
			}
		}
		if l.err != nil {
			yield(ledger.Entry{}, l.err)
		}
	}
}

// A record of any node that has waited for more than ten seconds stops the exchanges, even while the work itself hangs.
func TestTheSequencerTellsOfItsLag(t *testing.T) {
	now := time.Now()
	for name, c := range map[string]struct {
		l    *ledgerOf
		lags bool
	}{
		"nothing waits":              {&ledgerOf{}, false},
		"young records wait":         {&ledgerOf{pending: []ledger.Entry{{Node: "a", Columns: timed(now)}, {Node: "b", Columns: timed(now)}}}, false},
		"the second node's is old":   {&ledgerOf{pending: []ledger.Entry{{Node: "a", Columns: timed(now)}, {Node: "b", Columns: timed(now.Add(-11 * time.Second))}}}, true},
		"what waits cannot be read":  {&ledgerOf{err: errors.New("broken")}, true},
		"when it was cannot be told": {&ledgerOf{pending: []ledger.Entry{{Node: "a"}}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			s := exchange.NewSequencer(c.l, nil, "node", time.Millisecond, slog.New(slog.DiscardHandler), nil)
			require.NoError(t, s.Err())
			done := make(chan struct{})
			go func() { s.Run(ctx); close(done) }()
			if c.lags {
				require.Eventually(t, func() bool { return s.Err() != nil }, 3*time.Second, 5*time.Millisecond)
			} else {
				time.Sleep(50 * time.Millisecond)
				require.NoError(t, s.Err())
			}
			cancel()
			<-done
		})
	}
}

// Records that waited while no gateway ran get their places before anything else, and are no lag of the one that starts.
func TestAGatewayThatStartsCatchesUp(t *testing.T) {
	l := &caught{ledgerOf: ledgerOf{pending: []ledger.Entry{{Node: "a", Columns: timed(time.Now().Add(-time.Hour))}}}, lease: 3}
	s := exchange.NewSequencer(l, nil, "node", time.Millisecond, slog.New(slog.DiscardHandler), nil)
	require.NoError(t, s.CatchUp(t.Context()))
	require.Empty(t, l.pending)
}

// caught places what is pending once another's lease has run out.
type caught struct {
	ledgerOf
	lease int
}

func (c *caught) Sequence(context.Context, string, int, store.Seal) (int, error) {
	if c.lease--; c.lease > 0 {
		return 0, nil
	}
	n := len(c.pending)
	c.pending = nil
	return n, nil
}

// What nobody can know yet is refused, not told as what is so today.
func TestTheFutureIsNotReported(t *testing.T) {
	w := newWorld(t)
	tomorrow := time.Now().Add(48 * time.Hour)
	recs := w.records(func() {
		_, err := w.Rights(w.ctx, as("auditor"), exchange.RightsRequest{From: tomorrow, To: tomorrow.Add(24 * time.Hour)})
		require.Equal(t, exchange.Invalid, kind(err))
		_, err = w.Report(w.ctx, as("auditor"), exchange.ReportRequest{
			Form: report.Section11, Client: "aino", Register: consent.Health, Asked: tomorrow.Format("2006-01-02"),
		})
		require.Equal(t, exchange.Invalid, kind(err))
	})
	require.Empty(t, recs)
	_, err := w.Report(w.ctx, as("auditor"), exchange.ReportRequest{
		Form: report.Section11, Client: "aino", Register: consent.Health, Asked: time.Now().Add(-24 * time.Hour).Format("2006-01-02"),
	})
	require.NotEqual(t, exchange.Invalid, kind(err), "yesterday's request")
}

// Hundreds of rows or bases in one search of the ledger are refused before any record is looked at.
func TestAnAuditorNamesFewRowsAtATime(t *testing.T) {
	w := newWorld(t)
	for param, value := range map[string]string{"entity": "Observation/x", "policy": "ATL-x"} {
		many := param + "=" + value
		for i := range 20 {
			many += fmt.Sprint(",", value, i)
		}
		commits := w.records(func() {
			_, err := w.Search(w.ctx, as("auditor"), query(t, "AuditEvent", many))
			require.Equal(t, exchange.Invalid, kind(err), param)
		})
		require.Empty(t, commits)
	}
}
