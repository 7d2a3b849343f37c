package storetest

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"sotesilta/consent"
	"sotesilta/consent/ledger"
	"sotesilta/gateway/search"
	"sotesilta/gateway/store"
)

// Bench measures what a gateway does most: recorded reads, creates of 3 KB with 16 index rows, and searches of ten rows
// in a hundred thousand. Goroutines stand for connections.
func Bench(b *testing.B, e Engine) {
	for _, n := range []int{1, 8, 32} {
		b.Run(fmt.Sprintf("recorded-read/%d", n), func(b *testing.B) { benchRead(b, e, n) })
		b.Run(fmt.Sprintf("create/%d", n), func(b *testing.B) { benchCreate(b, e, n) })
	}
	benchSearch(b, e)
}

// parallel runs f b.N times from n goroutines.
func parallel(b *testing.B, n int, f func(i int64) error) {
	b.SetParallelism(max(1, n/runtime.GOMAXPROCS(0)))
	if n == 1 {
		b.ResetTimer()
		for i := range b.N {
			if err := f(int64(i)); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "op/s")
		return
	}
	var next atomic.Int64
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := f(next.Add(1)); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "op/s")
}

// benchTask is a row of 3 KB with 16 index rows.
func benchTask(id string, client string, i int64) store.Row {
	ref := func(param, typ, id string) search.ReferenceEntry {
		return search.ReferenceEntry{Param: param, Type: typ, ID: id}
	}
	status := "requested"
	if i%2 == 0 {
		status = "completed" // half of all rows have one status
	}
	at := noon.Add(time.Duration(i%100_000) * time.Minute)
	r := row(class("Task", client), id, 1, search.Index{
		Tokens: []search.TokenEntry{
			{Param: "status", System: "http://hl7.org/fhir/task-status", Code: status},
			{Param: "code", System: "https://example/step", Code: "assess"},
			{Param: "intent", Code: "order"},
			{Param: "priority", Code: "routine"},
			{Param: "identifier", System: "urn:x", Code: id},
			{Param: "_security", System: "https://example/register", Code: "health"},
			{Param: "business-status", Code: "open"},
		},
		References: []search.ReferenceEntry{
			ref("subject", "Patient", client), ref("patient", "Patient", client), ref("owner", "Practitioner", fmt.Sprint(i%1000)),
			ref("requester", "Practitioner", "nurse"), ref("based-on", "CarePlan", client), ref("encounter", "Encounter", id),
		},
		Dates:   []search.DateEntry{{Param: "authored-on", From: at, To: at.Add(time.Second)}, {Param: "modified", From: at, To: at.Add(time.Second)}},
		Strings: []search.StringEntry{{Param: "description", Folded: "arvio " + id, Exact: "Arvio " + id}},
	})
	r.Body = append(bytes.TrimSuffix(r.Body, []byte("}")), `,"note":[{"text":"`+string(bytes.Repeat([]byte("muistiinpano "), 225))+`"}]}`...)
	return r
}

func benchRead(b *testing.B, e Engine, n int) {
	s := open(b, e)
	for i := range int64(100) {
		client := fmt.Sprint("c", i)
		commit(b, s, store.Change{Put: []store.Row{benchTask(fmt.Sprint(i), client, i)}, Facts: []*consent.Facts{{Client: client, Version: 1}}})
	}
	parallel(b, n, func(i int64) error {
		ctx := context.Background()
		id, client := fmt.Sprint(i%100), fmt.Sprint("c", i%100)
		snap, err := s.Snapshot(ctx)
		if err != nil {
			return err
		}
		r, err := snap.Get(ctx, "Task", id)
		if err == nil {
			_, err = snap.Facts(ctx, client)
		}
		if closing := snap.Close(); err == nil {
			err = closing
		}
		if err != nil {
			return err
		}
		rec := record()
		rec.Classes = []consent.Class{r.Class}
		return s.Commit(ctx, store.Change{
			Expect: []store.Expect{{Type: "Task", ID: id, Version: 1}, {Client: client, Version: 1}}, Records: []ledger.Record{rec},
		})
	})
}

func benchCreate(b *testing.B, e Engine, n int) {
	s := open(b, e)
	parallel(b, n, func(i int64) error {
		id, client := fmt.Sprint("n", i), fmt.Sprint("c", i%500)
		r := record()
		return s.Commit(context.Background(), store.Change{
			Expect: []store.Expect{{Client: client, Version: 0}, {Type: "Task", ID: id}}, Put: []store.Row{benchTask(id, client, i)},
			Records: []ledger.Record{r}, Events: []store.Event{{Type: "Task", ID: id, Version: 1, Interaction: "create", Time: noon, Record: r.ID}},
		})
	})
}

func benchSearch(b *testing.B, e Engine) {
	var s store.Store
	const rows, clients = 100_000, 5000
	load := func(b *testing.B) {
		if s != nil {
			return
		}
		var err error
		if s, err = e.Open(context.Background(), e.Fresh(b)); err != nil {
			b.Fatal(err)
		}
		for i := int64(0); i < rows; {
			c := store.Change{Records: []ledger.Record{record()}}
			for range 500 {
				client := fmt.Sprint("c", i%clients)
				if i < clients {
					c.Facts = append(c.Facts, &consent.Facts{Client: client, Version: 1, Relationships: []consent.Relationship{
						{Kind: consent.InCare, Unit: fmt.Sprint("Organization/", i%5), Evidence: "EpisodeOfCare/1"},
					}})
				}
				c.Put = append(c.Put, benchTask(fmt.Sprintf("%06d", i), client, i))
				i++
			}
			if err := s.Commit(context.Background(), c); err != nil {
				b.Fatal(err)
			}
		}
		b.Cleanup(func() { s.Close() })
	}
	task := func(name string) *search.Param { return &search.Param{Name: name, Type: search.Reference} }
	code := func(name string) *search.Param { return &search.Param{Name: name, Type: search.Token} }
	b.Run("search", func(b *testing.B) {
		load(b)
		for _, c := range []struct {
			name  string
			reach func(i int64) store.Reach
			query func(i int64) *search.Query
			found int
		}{
			{"of-one-client", func(i int64) store.Reach {
				return store.Reach{Units: []string{fmt.Sprint("Organization/", i%5)}, Only: []string{fmt.Sprint("c", i%clients)}}
			}, func(i int64) *search.Query {
				return &search.Query{Type: "Task", Count: 10, Where: []search.Clause{
					{Param: task("subject"), Values: []search.Value{{RefType: "Patient", RefID: fmt.Sprint("c", i%clients)}}},
					{Param: code("status"), Values: []search.Value{{Code: map[bool]string{true: "completed", false: "requested"}[i%2 == 0]}}},
				}}
			}, 10},
			{"of-a-unit-by-owner", func(i int64) store.Reach { return store.Reach{Units: []string{fmt.Sprint("Organization/", i%5)}} }, func(i int64) *search.Query {
				return &search.Query{Type: "Task", Count: 10, Sort: []search.SortKey{{Name: "_lastUpdated", Param: pUpdated, Desc: true}}, Where: []search.Clause{
					{Param: task("owner"), Values: []search.Value{{RefType: "Practitioner", RefID: fmt.Sprint(i % 1000)}}},
					{Param: code("code"), Values: []search.Value{{Code: "assess"}}},
				}}
			}, 10},
			{"of-a-unit-newest", func(i int64) store.Reach { return store.Reach{Units: []string{fmt.Sprint("Organization/", i%5)}} }, func(i int64) *search.Query {
				return &search.Query{Type: "Task", Count: 10, Sort: []search.SortKey{{Name: "_lastUpdated", Param: pUpdated, Desc: true}}, Where: []search.Clause{
					{Param: code("status"), Values: []search.Value{{Code: "completed"}}},
				}}
			}, 10},
		} {
			for _, n := range []int{1, 8} {
				b.Run(fmt.Sprintf("%s/%d", c.name, n), func(b *testing.B) {
					parallel(b, n, func(i int64) error {
						snap, err := s.Snapshot(context.Background())
						if err != nil {
							return err
						}
						got, err := snap.Search(context.Background(), c.query(i), &guard{reach: c.reach(i)})
						if err == nil && len(got.Matches) != c.found {
							err = fmt.Errorf("found %d", len(got.Matches))
						}
						if closing := snap.Close(); err == nil {
							err = closing
						}
						return err
					})
				})
			}
		}
	})
}
