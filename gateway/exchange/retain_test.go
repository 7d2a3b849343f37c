package exchange_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sotesilta/consent"
	"sotesilta/consent/ledger"
	"sotesilta/gateway/exchange"
	"sotesilta/gateway/store"
)

// aged is a world whose clock may be set on by years.
type aged struct {
	*world
	key *ledger.Key
	log *ledger.Log
}

var operatorOf = consent.Actor{Kind: consent.Operator, App: "operator", Controller: "Organization/county"}

func newAged(t *testing.T, terms ...string) *aged {
	w := &aged{world: newWorld(t)}
	var err error
	w.key, err = ledger.NewKey(ledger.Origin)
	require.NoError(t, err)
	w.log = ledger.NewLog(w.key)
	w.keep(t, terms...)
	return w
}

func (w *aged) keep(t *testing.T, terms ...string) {
	parsed, err := ledger.ParseTerms(terms)
	require.NoError(t, err)
	_, err = w.KeepTerms(w.ctx, operatorOf, parsed)
	require.NoError(t, err)
}

// place gives all records their places.
func (w *aged) place(t *testing.T) {
	for {
		n, err := w.store.Sequence(w.ctx, "one", 500, w.log.Seal)
		require.NoError(t, err)
		if n == 0 {
			return
		}
	}
}

// in is the desk in so many years from now.
func (w *aged) in(t *testing.T, years int) *exchange.Desk {
	desk, err := newDesk(w.store, exchange.Config{Now: func() time.Time { return time.Now().AddDate(years, 0, 1) }})
	require.NoError(t, err)
	return desk
}

// left are the records whose content is there, by class.
func (w *aged) left(t *testing.T) map[string][]ledger.Record {
	out := map[string][]ledger.Record{}
	for entry, err := range w.store.Ledger().Entries(w.ctx, 0) {
		require.NoError(t, err)
		if entry.Canonical != nil {
			rec, err := ledger.ParseRecord(entry.Canonical)
			require.NoError(t, err)
			out[rec.Retention()] = append(out[rec.Retention()], *rec)
		}
	}
	return out
}

func (w *aged) verified(t *testing.T) *ledger.Report {
	w.place(t)
	report, err := ledger.Verify(w.ctx, w.store.Ledger(), w.key.Verifier(), ledger.Options{})
	require.NoError(t, err)
	require.Empty(t, report.Findings)
	return report
}

// Log data are kept twelve years from the event (703/2023, annex), then their content goes, on record.
func TestRecordsOverTheirRetentionTimeAreErased(t *testing.T) {
	w := newAged(t)
	w.place(t)
	n, err := w.Retainer().Erase(w.ctx, exchange.EraseAll, nil)
	require.NoError(t, err)
	require.Zero(t, n, "nothing is that old")

	later := w.in(t, ledger.RetentionYears)
	before := 0
	for _, err := range w.store.Ledger().Entries(w.ctx, 0) {
		require.NoError(t, err)
		before++
	}
	told := 0
	made := w.records(func() {
		n, err = later.Retainer().Erase(w.ctx, exchange.EraseAll, func(erased int) { told = erased })
	})
	require.NoError(t, err)
	require.Equal(t, before, n)
	require.Equal(t, n, told)
	for _, records := range made {
		require.Len(t, records, 1)
		require.Equal(t, ledger.Erase, records[0].Interaction)
		require.NotEmpty(t, records[0].Entities)
		require.Equal(t, "operator", records[0].Actor.App)
		require.Equal(t, "Organization/county", records[0].Actor.Controller, "its auditor sees it")
		require.Contains(t, records[0].Reason, " use (12 years)")
		require.Equal(t, []consent.Basis{{
			ID: "ATL-24", Citation: "703/2023 § 24, annex", TitleFi: "Säilytysajan päättyminen", TitleEn: "The retention time is over",
		}}, records[0].Bases, "as consent/bases/none.yaml writes it")
	}
	require.EqualValues(t, before, w.verified(t).Erased)

	// The records of erasures stay, however old they become.
	n, err = w.in(t, 3*ledger.RetentionYears).Retainer().Erase(w.ctx, exchange.EraseAll, nil)
	require.NoError(t, err)
	require.Zero(t, n)
}

// A controller may keep a class longer than the law: it stays until then, and what is kept beside it goes in its time.
func TestAClassThatIsKeptLonger(t *testing.T) {
	w := newAged(t, "disclosure=15", "notice=15")
	id := w.put("jukola-ehr", observation("onni", "2026-01-10")).ID
	for range 3 {
		_, err := w.Read(w.ctx, as(worker), "Observation", id)
		require.NoError(t, err)
		_, err = w.Read(w.ctx, as(nurse), "Observation", id)
		require.NoError(t, err)
	}
	w.place(t)
	disclosed := len(w.left(t)[ledger.KeptDisclosure])
	require.GreaterOrEqual(t, disclosed, 3)
	counted, err := w.in(t, 12).Retained(w.ctx, nil)
	require.NoError(t, err)
	for _, c := range counted.Classes {
		switch c.Class {
		case ledger.KeptDisclosure:
			require.EqualValues(t, disclosed, c.Records)
			require.Zero(t, c.Over)
			require.Equal(t, 15, c.Years)
			require.Equal(t, 12, c.Least)
			require.WithinDuration(t, time.Now().AddDate(15, 0, 0), c.Next, time.Minute)
			require.WithinDuration(t, time.Now(), c.Oldest, time.Minute)
		case ledger.KeptUse, ledger.KeptAdministration:
			require.Positive(t, c.Records)
			require.Equal(t, c.Records, c.Over)
			require.Zero(t, c.Next)
		}
	}
	retainer := w.in(t, 12).Retainer()
	n, err := retainer.Erase(w.ctx, exchange.EraseAll, nil)
	require.NoError(t, err)
	require.EqualValues(t, counted.Over(), n)
	left := w.left(t)
	require.Len(t, left[ledger.KeptDisclosure], disclosed)
	require.Empty(t, left[ledger.KeptUse])
	n, err = retainer.Erase(w.ctx, exchange.EraseAll, nil)
	require.NoError(t, err)
	require.Zero(t, n, "nothing more is due, and it is not looked for from the beginning")
	w.verified(t)
	_, err = w.in(t, 15).Retainer().Erase(w.ctx, exchange.EraseAll, nil)
	require.NoError(t, err)
	require.Empty(t, w.left(t)[ledger.KeptDisclosure])
	w.verified(t)

	// As they were set, so they are kept for whoever erases, until somebody sets them otherwise.
	changed, err := w.KeepTerms(w.ctx, operatorOf, ledger.Terms{ledger.KeptDisclosure: 15, ledger.KeptNotice: 15})
	require.NoError(t, err)
	require.False(t, changed)
	records := flat(w.records(func() { w.keep(t) }))
	require.Len(t, records, 1)
	require.Equal(t, "every class as long as the law says", records[0].Reason)
}

// The records of a client are held back while a dispute runs: a person decides, on record, and a person ends it.
func TestALegalHold(t *testing.T) {
	w := newAged(t)
	id := w.put("jukola-ehr", observation("onni", "2026-01-10")).ID
	_, err := w.Read(w.ctx, as(nurse), "Observation", id)
	require.NoError(t, err)
	w.put("jukola-ehr", observation("aino", "2026-01-10"))
	_, err = w.Search(w.ctx, as(nurse), query(t, "Observation", "patient=Patient/onni"))
	require.NoError(t, err)
	var hold exchange.LegalHold
	records := flat(w.records(func() {
		hold, err = w.HoldBack(w.ctx, "onni", "Maija Virtanen, asiakirjahallinto", "hallinto-oikeus 123/2038")
	}))
	require.NoError(t, err)
	require.Len(t, records, 1)
	require.Equal(t, ledger.Hold, records[0].Interaction)
	require.Equal(t, "onni", records[0].Client)
	require.Equal(t, "Maija Virtanen, asiakirjahallinto", records[0].Actor.Name)
	require.Equal(t, "hallinto-oikeus 123/2038", records[0].Assertion.Reason)
	require.Equal(t, []string{"ATL-24"}, ids(records[0].Bases))
	require.Equal(t, ledger.KeptAdministration, records[0].Retention())
	w.place(t)
	for _, who := range []string{nurse, worker} {
		_, err = w.Read(w.ctx, as(who), "Basic", hold.ID)
		require.Equal(t, exchange.Absent, kind(err))
	}

	later := w.in(t, 12)
	retainer := later.Retainer()
	_, err = retainer.Erase(w.ctx, exchange.EraseAll, nil)
	require.NoError(t, err)
	asked := false
	for _, records := range w.left(t) {
		for _, rec := range records {
			asked = asked || slices.Contains(rec.Bound, "onni")
			require.True(t, rec.Client == "onni" || rec.Interaction == ledger.Erase || slices.Contains(rec.Bound, "onni"), "%s %s", rec.Interaction, rec.Client)
		}
	}
	require.True(t, asked, "that somebody searched for the client stays too")
	counted, err := later.Retained(w.ctx, nil)
	require.NoError(t, err)
	require.Equal(t, []exchange.LegalHold{hold}, counted.Holds)
	require.Zero(t, counted.Over())
	held := int64(0)
	for _, c := range counted.Classes {
		held += c.Held
	}
	require.Greater(t, held, int64(2))
	w.verified(t)

	for _, bad := range [][3]string{{"nobody", "Maija", "dispute"}, {"onni", " ", "dispute"}, {"onni", "Maija", ""}, {"onni", strings.Repeat("x", 2000), "dispute"}} {
		_, err := w.HoldBack(w.ctx, bad[0], bad[1], bad[2])
		require.Equal(t, exchange.Invalid, kind(err), bad)
	}
	_, err = w.ReleaseHold(w.ctx, "nothing", "Maija", "over")
	require.Equal(t, exchange.Invalid, kind(err))
	records = flat(w.records(func() { _, err = later.ReleaseHold(w.ctx, hold.ID, "Maija Virtanen", "ratkaistu") }))
	require.NoError(t, err)
	require.Equal(t, ledger.Release, records[0].Interaction)
	_, err = w.ReleaseHold(w.ctx, hold.ID, "Maija", "again")
	require.Equal(t, exchange.Invalid, kind(err))
	w.place(t)
	n, err := retainer.Erase(w.ctx, exchange.EraseAll, nil)
	require.NoError(t, err)
	require.EqualValues(t, held, n, "the same one goes back to what was held")
	w.verified(t)
}

// A hold that is decided while records are erased counts: the erasure is made anew with it.
func TestAHoldThatIsDecidedWhileRecordsAreErased(t *testing.T) {
	w := newAged(t)
	w.put("jukola-ehr", observation("onni", "2026-01-10"))
	w.place(t)
	racing := &raced{Store: w.store, before: func() {
		_, err := w.HoldBack(w.ctx, "onni", "Maija Virtanen", "dispute")
		require.NoError(t, err)
	}}
	desk, err := newDesk(racing, exchange.Config{Now: func() time.Time { return time.Now().AddDate(12, 0, 1) }})
	require.NoError(t, err)
	n, err := desk.Retainer().Erase(w.ctx, exchange.EraseAll, nil)
	require.NoError(t, err)
	require.Positive(t, n)
	require.Nil(t, racing.before, "it was")
	onni := 0
	for _, records := range w.left(t) {
		for _, rec := range records {
			if rec.Client == "onni" {
				onni++
			}
		}
	}
	require.Positive(t, onni)
}

// raced does something right before the first commit.
type raced struct {
	store.Store
	before func()
}

func (r *raced) Commit(ctx context.Context, c store.Change) error {
	if before := r.before; before != nil {
		r.before = nil
		before()
	}
	return r.Store.Commit(ctx, c)
}

// Where no gateway said how long it keeps its records, nothing is erased: they might be kept longer.
func TestNothingIsErasedWithoutTerms(t *testing.T) {
	w := newWorld(t)
	later, err := newDesk(w.store, exchange.Config{Now: func() time.Time { return time.Now().AddDate(13, 0, 0) }})
	require.NoError(t, err)
	_, err = later.Retainer().Erase(w.ctx, exchange.EraseAll, nil)
	require.ErrorContains(t, err, "is not known")
	_, err = later.HoldBack(w.ctx, "onni", "Maija", "dispute")
	require.ErrorContains(t, err, "is not known")
	var refusal *exchange.Error
	_, err = later.KeepTerms(w.ctx, as(nurse).Actor, nil)
	require.True(t, errors.As(err, &refusal))
	require.Equal(t, exchange.Forbidden, refusal.Kind)
}

// A legal hold is read by nobody over any wire: not by the client, not by those who treat them, not by who supervises; and
// no question about many rows lists it.
func TestALegalHoldIsServedToNobody(t *testing.T) {
	w := newAged(t)
	hold, err := w.HoldBack(w.ctx, "lumi", "Maija Virtanen", "hallinto-oikeus 123/2038")
	require.NoError(t, err)
	for _, who := range []string{nurse, worker, "lumi@omaks", "auditor", "jukola-ehr", "county-social"} {
		for _, id := range []string{hold.ID, "retention-terms"} {
			_, err := w.Read(w.ctx, as(who), "Basic", id)
			require.Error(t, err, who)
		}
		for what, ask := range map[string]func() (*exchange.Page, error){
			"everything": func() (*exchange.Page, error) {
				return w.Everything(w.ctx, as(who), "Patient", "lumi", exchange.Gathering{Count: 1000})
			},
			"history": func() (*exchange.Page, error) {
				return w.Histories(w.ctx, as(who), "", exchange.Past{Count: 1000})
			},
		} {
			page, err := ask()
			if err != nil {
				continue
			}
			for _, m := range page.Matches {
				require.NotEqual(t, "Basic", m.Type, "%s of %s", what, who)
			}
		}
	}
}

// Disputes outlive what they are about: the records of a client whose Patient is deleted are held back as others are.
func TestRecordsOfADeletedClientAreHeldBack(t *testing.T) {
	w := newAged(t)
	patient, err := w.store.Snapshot(w.ctx)
	require.NoError(t, err)
	row, err := patient.Get(w.ctx, "Patient", "onni")
	patient.Close()
	require.NoError(t, err)
	row.Version, row.Deleted, row.Body, row.Method = row.Version+1, true, nil, "DELETE"
	require.NoError(t, w.store.Commit(w.ctx, store.Change{
		Expect: []store.Expect{{Type: row.Type, ID: row.ID, Version: row.Version - 1}}, Put: []store.Row{row},
		Records: []ledger.Record{{ID: ledger.NewID(), Interaction: "delete", Time: time.Now(), Outcome: "permit", Success: true, Client: "onni"}},
	}))
	hold, err := w.HoldBack(w.ctx, "onni", "Maija Virtanen", "hallinto-oikeus 123/2038")
	require.NoError(t, err)
	require.Equal(t, "onni", hold.Client)
	_, err = w.HoldBack(w.ctx, "nobody", "Maija Virtanen", "hallinto-oikeus 123/2038")
	require.Error(t, err)
}
