package exchange_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sotesilta/consent"
	"sotesilta/consent/ledger"
	"sotesilta/gateway/exchange"
	"sotesilta/gateway/sandbox"
	"sotesilta/gateway/store"
	"sotesilta/internal/fhir"
)

// releases is each method that lets data out or in, and what it let out.
func (w *world) releases(row exchange.Resource) map[string]func() (any, error) {
	identification := exchange.Identification{IdentityCode: w.identityCode("aino"), Family: w.name("aino", "family"), Given: w.name("aino", "given")}
	return map[string]func() (any, error){
		"read": func() (any, error) { r, err := w.Read(w.ctx, as(nurse), "Observation", row.ID); return deref(r), err },
		"vread": func() (any, error) {
			r, err := w.VRead(w.ctx, as(nurse), "Observation", row.ID, 1)
			return deref(r), err
		},
		"history": func() (any, error) {
			r, _, err := w.History(w.ctx, as(nurse), "Observation", row.ID, exchange.Past{Count: 10})
			return r, err
		},
		"search": func() (any, error) {
			p, err := w.Search(w.ctx, as(nurse), query(w.t, "Observation", "patient=aino&_total=accurate"))
			if p == nil {
				return nil, err
			}
			return p.Matches, err
		},
		"match": func() (any, error) { r, err := w.Match(w.ctx, as(nurse), identification); return deref(r), err },
		"create": func() (any, error) {
			r, err := w.Transact(w.ctx, as(nurse), []exchange.Op{create(w.t, observation("aino", "2026-03-01"))})
			return r, err
		},
		"conditional create": func() (any, error) {
			op := create(w.t, observation("aino", "2026-03-01"))
			op.IfNoneExist = query(w.t, "Observation", "_id="+row.ID)
			r, err := w.Transact(w.ctx, as(nurse), []exchange.Op{op})
			return r, err
		},
		"update": func() (any, error) {
			r, err := w.Transact(w.ctx, as(nurse), []exchange.Op{update(w.t, row.ID, observation("aino", "2026-03-02"))})
			return r, err
		},
		"push": func() (any, error) {
			r, err := w.Gather(w.ctx, as("jukola-ehr"), "Observation/"+row.ID)
			if err != nil {
				return r, err
			}
			return deref(r[0]), nil
		},
		"audit read": func() (any, error) {
			p, err := w.Search(w.ctx, as("auditor"), query(w.t, "AuditEvent", "patient=aino"))
			if p == nil {
				return nil, err
			}
			return p.Matches, err
		},
		"rights": func() (any, error) {
			p, err := w.Rights(w.ctx, as("auditor"), exchange.RightsRequest{})
			if p == nil {
				return nil, err
			}
			return p, err
		},
		"denial": func() (any, error) { r, err := w.Read(w.ctx, as(worker), "Observation", row.ID); return deref(r), err },
		"refused write": func() (any, error) {
			r, err := w.Transact(w.ctx, as(worker), []exchange.Op{update(w.t, row.ID, observation("aino", "2026-03-02"))})
			return r, err
		},
		"stale write": func() (any, error) {
			op := update(w.t, row.ID, observation("aino", "2026-03-02"))
			op.IfMatch = 99
			r, err := w.Transact(w.ctx, as(nurse), []exchange.Op{op})
			return r, err
		},
		"publish": func() (any, error) {
			_, err := w.Publish(w.ctx, as("operator").Actor, []*fhir.Value{doc(w.t, `{"resourceType":"Organization","id":"new","name":"New"}`)})
			return nil, err
		},
	}
}

func deref(r *exchange.Resource) any {
	if r == nil {
		return nil
	}
	return *r
}

func (w *world) patient(id string) *fhir.Value { return doc(w.t, string(w.row("Patient", id).Body)) }

func (w *world) identityCode(id string) string { return w.patient(id).Text("identifier", "value") }

func (w *world) name(id, part string) string { return w.patient(id).Text("name", part) }

// When the record cannot be made durable, nothing leaves and nothing changes, and the answer is "try later" (law 3).
func TestRecordedBeforeReleased(t *testing.T) {
	w := newWorld(t)
	row := w.put(nurse, observation("aino", "2026-01-10"))
	broken := errors.New("the disk is full")
	for name, way := range w.releases(row) {
		version := w.row("Observation", row.ID).Version
		w.store.failing(func(c store.Change) error {
			require.NotEmpty(t, c.Records, "%s commits records", name)
			return broken
		})
		out, err := way()
		require.Equal(t, exchange.Unrecorded, kind(err), "%s", name)
		require.ErrorIs(t, err, broken)
		require.Empty(t, out, "%s lets nothing out", name)
		require.NotContains(t, err.Error(), "disk", "the cause is for the log only")
		w.store.failing(func(store.Change) error { return store.ErrBusy })
		out, err = way()
		require.Equal(t, exchange.Busy, kind(err), "%s", name)
		require.Empty(t, out)
		w.store.failing(nil)
		require.Equal(t, version, w.row("Observation", row.ID).Version, "%s changes nothing", name)
	}
}

// The ledger that lags too far behind stops every exchange before anything is looked at.
func TestNothingLeavesWhileTheLedgerLags(t *testing.T) {
	var lag error
	w := newWorldWith(t, exchange.Config{Sequencer: func() error { return lag }})
	row := w.put(nurse, observation("aino", "2026-01-10"))
	lag = errors.New("eleven seconds")
	require.Error(t, w.Ready(w.ctx))
	for name, way := range w.releases(row) {
		commits := w.records(func() {
			out, err := way()
			require.Equal(t, exchange.Unrecorded, kind(err), name)
			require.Empty(t, out, name)
		})
		require.Empty(t, commits, name)
	}
	_, err := w.Events(w.ctx, 0, 10)
	require.Equal(t, exchange.Unrecorded, kind(err))
	lag = nil
	require.NoError(t, w.Ready(w.ctx))
}

// An answer that took longer than a snapshot may live is thrown away: the facts may have changed meanwhile (law 4).
func TestASnapshotLivesTwoSeconds(t *testing.T) {
	late := false
	w := newWorldWith(t, exchange.Config{Now: func() time.Time {
		if late {
			return time.Now().Add(2*time.Second + 10*time.Millisecond)
		}
		return time.Now()
	}})
	row := w.put(nurse, observation("aino", "2026-01-10"))
	for name, way := range w.releases(row) {
		switch name {
		case "create", "conditional create", "update", "refused write", "stale write", "publish":
			continue // these commit on the facts they were decided on, or not at all
		}
		late = true
		out, err := way()
		late = false
		require.Equal(t, exchange.Busy, kind(err), name)
		require.Empty(t, out, name)
	}
}

// A record rests on what covers the row it tells of, not on all that covers something of the class.
func TestARecordRestsOnWhatCoversItsRow(t *testing.T) {
	w := newWorld(t)
	old := w.put(nurse, observation("aino", "2019-05-01"))
	young := w.put(nurse, observation("aino", "2026-05-01"))
	permit := w.give(nurse, "aino", sandbox.PermitToSocial("aino", sandbox.Period{From: "2026-01-01"}))

	assess := as(worker, needAssessment)
	record := func(id string) ledger.Record {
		commits := w.records(func() {
			_, err := w.Read(w.ctx, assess, "Observation", id)
			require.NoError(t, err)
		})
		require.Len(t, flat(commits), 1)
		return flat(commits)[0]
	}
	got := record(young.ID)
	require.ElementsMatch(t, []string{"ATL-53.2", "ATL-53.5b"}, ids(got.Bases))
	require.Equal(t, []string{"Consent/" + permit + "/_history/1"}, got.Directives)
	got = record(old.ID)
	require.Equal(t, []string{"ATL-53.5b"}, ids(got.Bases), "the permit does not reach back to 2019")
	require.Empty(t, got.Directives)

	// A search tells it per row, too: the one page holds both, and the record of the client names what each rests on.
	require.ElementsMatch(t, []string{"Observation/" + young.ID}, w.found(worker, "Observation", "patient=aino&_id="+young.ID+","+old.ID))

	// What the permit misses is told by name, with the range it misses.
	commits := w.records(func() {
		_, err := w.Read(w.ctx, as(worker), "Observation", old.ID)
		require.Equal(t, exchange.Absent, kind(err))
	})
	denied := flat(commits)[0]
	require.Equal(t, "deny", denied.Outcome)
	require.Contains(t, denied.Reason, "ATL-53.2: recorded 2019-05-01")
	require.Contains(t, denied.Reason, ", and Consent/"+permit)
	require.Contains(t, denied.Reason, " covers what was recorded from 20")
	require.Empty(t, denied.Bases)
}

// The ban of one document is told by name, and its neighbours leave on what covers them.
func TestABannedDocumentIsLeftOutAlone(t *testing.T) {
	w := newWorld(t)
	banned := w.put(nurse, observation("onni", "2026-05-01"))
	free := w.put(nurse, observation("onni", "2026-05-02"))
	require.Subset(t, w.found(worker, "Observation", "patient=onni"), []string{"Observation/" + banned.ID, "Observation/" + free.ID})
	w.give(nurse, "onni", `{"resourceType":"Consent","status":"active","scope":{"coding":[{"code":"patient-privacy"}]},"category":[{"coding":[{"system":"https://sotesilta.example/fhir/CodeSystem/directive","code":"ban"}]}],"patient":{"reference":"Patient/onni"},"policyRule":{"coding":[{"system":"https://sotesilta.example/fhir/CodeSystem/legal-basis","code":"ATL-59"}]},"provision":{"type":"deny","data":[{"meaning":"instance","reference":{"reference":"Observation/`+banned.ID+`"}}]}}`)
	found := w.found(worker, "Observation", "patient=onni")
	require.Contains(t, found, "Observation/"+free.ID)
	require.NotContains(t, found, "Observation/"+banned.ID)
	commits := w.records(func() {
		_, err := w.Read(w.ctx, as(worker), "Observation", banned.ID)
		require.Equal(t, exchange.Absent, kind(err))
	})
	require.Contains(t, flat(commits)[0].Reason, "a ban of this document (ATL-59)")
}

func ids(bases []consent.Basis) []string {
	out := []string{}
	for _, b := range bases {
		out = append(out, b.ID)
	}
	return out
}

// A search makes one record of the query and one per client whose data left; what was withheld is in none of them.
func TestASearchIsRecordedPerClientAndListsNothingWithheld(t *testing.T) {
	w := newWorld(t)
	hidden := w.put(nurse, observation("aino", "2026-01-10"))
	shown := w.put(nurse, observation("onni", "2026-01-11"))
	var page *exchange.Page
	commits := w.records(func() {
		var err error
		page, err = w.Search(w.ctx, as(worker), query(t, "Observation", "_total=accurate"))
		require.NoError(t, err)
	})
	require.Len(t, commits, 1)
	records := commits[0]
	require.Len(t, records, 2)
	ask, left := records[0], records[1]
	require.Equal(t, ask.ID, ask.Exchange)
	require.Equal(t, ask.ID, left.Exchange)
	require.Empty(t, ask.Client)
	require.Empty(t, ask.Entities)
	require.Empty(t, ask.Directives, "no directive of anybody whose data stayed")
	require.Equal(t, "permit", ask.Outcome)
	require.Equal(t, "onni", left.Client)
	require.Equal(t, w.facts("onni").Version, left.Facts)
	require.Equal(t, consent.Health, left.Register)
	require.Equal(t, "Organization/county", left.Controller)
	require.True(t, left.Disclosure)
	require.Len(t, left.Entities, len(page.Matches))
	require.Contains(t, left.Entities, ledger.Entity{What: "Observation/" + shown.ID + "/_history/1", Role: "match"})
	for _, rec := range records {
		require.NotContains(t, string(rec.Canonical()), hidden.ID)
		require.NotContains(t, string(rec.Canonical()), "aino")
	}

	// A look-up of one client of whom nothing is open is a denial with its reason; it takes as much for nobody.
	for client, known := range map[string]string{"aino": "aino", "nobody": "", "veikko": "veikko"} {
		commits = w.records(func() { require.Empty(t, w.found(worker, "Observation", "patient="+client)) })
		require.Len(t, flat(commits), 1)
		require.Equal(t, "deny", flat(commits)[0].Outcome, client)
		require.Equal(t, known, flat(commits)[0].Client)
		require.NotEmpty(t, flat(commits)[0].Reason)
		require.Empty(t, flat(commits)[0].Entities)
	}
}

// Data about several clients are in the log of each of them, read or found.
func TestDataAboutSeveralClientsAreInTheLogOfEach(t *testing.T) {
	w := newWorld(t)
	both := w.put(nurse, `{"resourceType":"Observation","status":"final","code":{"text":"family"},"subject":{"reference":"Patient/aino"},"focus":[{"reference":"`+base+`/Patient/onni"}]}`)
	require.Equal(t, []string{"aino", "onni"}, w.row("Observation", both.ID).Class.Clients)
	for name, way := range map[string]func() error{
		"read": func() error { _, err := w.Read(w.ctx, as(nurse), "Observation", both.ID); return err },
		"history": func() error {
			_, _, err := w.History(w.ctx, as(nurse), "Observation", both.ID, exchange.Past{Count: 5})
			return err
		},
		"push": func() error { _, err := w.Gather(w.ctx, as("jukola-ehr"), "Observation/"+both.ID); return err },
	} {
		commits := w.records(func() { require.NoError(t, way()) })
		var clients []string
		seen := map[string]bool{}
		for _, rec := range flat(commits) {
			clients = append(clients, rec.Client)
			require.Len(t, rec.Entities, 1)
			require.Equal(t, w.facts(rec.Client).Version, rec.Facts, name)
			require.False(t, seen[rec.ID], "ids are unique")
			seen[rec.ID] = true
		}
		require.ElementsMatch(t, []string{"aino", "onni"}, clients, name)
	}
	commits := w.records(func() { w.found(nurse, "Observation", "_id="+both.ID) })
	require.Len(t, flat(commits), 3, "the query and each client")

	// Each client's own basis is needed: onni's permit does not open what is about aino as well.
	_, err := w.Read(w.ctx, as(worker), "Observation", both.ID)
	require.Equal(t, exchange.Absent, kind(err))
	require.NotContains(t, w.found(worker, "Observation", "patient=onni"), "Observation/"+both.ID)
}

// A denial is recorded once, whatever it refuses, and a push that sends nothing of a client is a denial.
func TestADenialIsRecordedOnce(t *testing.T) {
	w := newWorld(t)
	theirs, others := w.put(nurse, observation("aino", "2026-01-10")), w.put(nurse, observation("aino", "2026-01-11"))
	for name, way := range map[string]func() error{
		"directive by a stranger": func() error {
			_, err := w.Transact(w.ctx, as(physician), directive(t, physician, "aino", sandbox.PermitToSocial("aino", sandbox.Period{From: "2026-01-01"})))
			return err
		},
		"two denied entries": func() error {
			_, err := w.Transact(w.ctx, as(worker), []exchange.Op{update(t, theirs.ID, observation("aino", "2026-03-02")), update(t, others.ID, observation("aino", "2026-03-02"))})
			return err
		},
		"unknown subject": func() error {
			_, err := w.Transact(w.ctx, as(nurse), []exchange.Op{create(t, observation("nobody", "2026-01-01"))})
			return err
		},
	} {
		commits := w.records(func() { require.Error(t, way(), name) })
		require.Len(t, flat(commits), 1, name)
		require.Equal(t, "deny", flat(commits)[0].Outcome, name)
		require.False(t, flat(commits)[0].Success)
	}
	commits := w.records(func() {
		out, err := w.Gather(w.ctx, as("county-social"), "Observation/"+theirs.ID)
		require.NoError(t, err)
		require.Nil(t, out[0])
	})
	require.Len(t, flat(commits), 1)
	require.Equal(t, "deny", flat(commits)[0].Outcome)
	require.Empty(t, flat(commits)[0].Bases)
	require.Equal(t, "county-social", flat(commits)[0].Recipient)
}

// The request's id is that of the first record, and of no other.
func TestTheFirstRecordHasTheRequestsID(t *testing.T) {
	w := newWorld(t)
	row := w.put(nurse, observation("onni", "2026-01-10"))
	for i, way := range []func(c exchange.Caller) error{
		func(c exchange.Caller) error { _, err := w.Read(w.ctx, c, "Observation", row.ID); return err },
		func(c exchange.Caller) error { _, err := w.Search(w.ctx, c, query(t, "Observation", "")); return err },
		func(c exchange.Caller) error { _, err := w.Read(w.ctx, c, "Observation", "nothing"); return err },
		func(c exchange.Caller) error {
			_, err := w.Transact(w.ctx, c, []exchange.Op{remove("Observation", "nothing"), create(t, observation("aino", "2026-01-01")), create(t, observation("onni", "2026-01-01")), remove("Observation", "nor this")})
			return err
		},
	} {
		id := ledger.NewID()
		commits := w.records(func() {
			require.NoError(t, ignoreAbsent(way(as(nurse, func(c *exchange.Caller) { c.RequestID = id }))))
		})
		require.Len(t, commits, 1, "all of exchange %d is one commit", i)
		seen := map[string]bool{}
		for j, rec := range flat(commits) {
			require.Equal(t, id, rec.Exchange)
			require.Equal(t, j == 0, rec.ID == id)
			require.False(t, seen[rec.ID])
			seen[rec.ID] = true
		}
	}
}

func ignoreAbsent(err error) error {
	if exchange.IsRefusal(err, exchange.Absent) {
		return nil
	}
	return err
}

// Identity codes are in bodies only: not in a record's target, not in its query (law 11).
func TestIdentityCodesStayOutOfTheLedger(t *testing.T) {
	w := newWorld(t)
	code := w.identityCode("aino")
	commits := w.records(func() {
		_, err := w.Read(w.ctx, as(nurse), "Patient", code)
		require.Error(t, err)
		_, err = w.Transact(w.ctx, as(nurse), []exchange.Op{update(t, code, observation("aino", "2026-01-01"))})
		require.Error(t, err)
		w.found(nurse, "Patient", "identifier=urn:oid:1.2.246.21|"+code)
		w.found(nurse, "Observation", "patient="+code)
		_, err = w.Match(w.ctx, as(nurse), exchange.Identification{IdentityCode: code, Family: "Wrong", Given: "Name"})
		require.Equal(t, exchange.Absent, kind(err))
	})
	require.Len(t, flat(commits), 6)
	for _, rec := range flat(commits) {
		require.NotContains(t, string(rec.Canonical()), code)
	}
}

// A cancelled request gets nothing.
func TestACancelledRequestGetsNothing(t *testing.T) {
	w := newWorld(t)
	row := w.put(nurse, observation("aino", "2026-01-10"))
	ways := w.releases(row)
	ctx, cancel := context.WithCancel(w.ctx)
	cancel()
	w.ctx = ctx
	for name, way := range ways {
		if name == "audit read" || name == "match" {
			continue
		}
		out, err := way()
		require.Error(t, err, name)
		require.Empty(t, out, name)
	}
	w.ctx = context.Background()
}
