package exchange

import (
	"context"
	"errors"
	"slices"
	"strings"

	"sotesilta/consent"
	"sotesilta/consent/ledger"
	"sotesilta/gateway/search"
	"sotesilta/gateway/store"
	"sotesilta/internal/fhir"
)

// publishBatch is how many resources are published in one transaction.
const publishBatch = 500

// Publish takes in what the operator publishes: clients' identities from population data (register identity) and the
// county's directory and definitions (register directory). Each resource keeps its own id, and one that is there
// already with the same content is left alone. It answers how many were new or changed. What is neither, names clients
// in a directory, or has the id of what an API client wrote, is Invalid. Each batch of 500 is one transaction: after an
// error, publish again.
//
// It is the operator's command of main, not an interaction of any wire: no token reaches it.
func (d *Desk) Publish(ctx context.Context, operator consent.Actor, docs []*fhir.Value) (int, error) {
	if operator.Kind != consent.Operator {
		return 0, Refuse(Forbidden, "forbidden", "", "Only the operator publishes.")
	}
	published := 0
	for batch := range slices.Chunk(docs, publishBatch) {
		n, err := 0, error(store.ErrStale)
		for range attempts {
			if n, err = d.publish(ctx, operator, batch); !errors.Is(err, store.ErrStale) {
				break
			}
		}
		if err != nil {
			return published, d.failed(err)
		}
		published += n
	}
	return published, nil
}

func (d *Desk) publish(ctx context.Context, operator consent.Actor, docs []*fhir.Value) (int, error) {
	c := d.complete(Caller{Actor: operator})
	snap, err := d.open(ctx)
	if err != nil {
		return 0, err
	}
	defer snap.Close()
	var change store.Change
	at := d.clock()
	directory := d.record(c, "publish", "")
	directory.Outcome, directory.Success = "permit", true
	directory.Bases = []consent.Basis{{ID: "ATL-9-ICT", Citation: "457/2024 § 22"}}
	for i, doc := range docs {
		class, err := d.publishable(operator, doc)
		if err != nil {
			return 0, entry(err, i)
		}
		row := store.Row{
			Type: class.Type, ID: fhir.ID(doc), Version: 1, Recorded: at, Updated: at, Method: "PUT", Class: class,
		}
		before, err := snap.Get(ctx, row.Type, row.ID)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return 0, unrecorded(err)
		}
		if err == nil {
			if before.Class.Register != class.Register || before.Class.Author != class.Author {
				return 0, entry(Refuse(Invalid, "duplicate", row.Type, row.Type+"/"+row.ID+" is not the operator's."), i)
			}
			row.Version, row.Recorded = before.Version+1, before.Recorded
			if same(doc.Clone(), row, before) {
				continue
			}
		}
		doc = doc.Clone() // the attempt may be repeated
		setMeta(doc, row)
		row.Body = doc.AppendJSON(nil)
		if row.Index = search.Extract(doc, d.bases...); row.Index.Over {
			return 0, entry(overIndexed(row.Type), i)
		}
		change.Put = append(change.Put, row)
		change.Expect = append(change.Expect, store.Expect{Type: row.Type, ID: row.ID, Version: row.Version - 1})
		change.Events = append(change.Events, store.Event{
			Type: row.Type, ID: row.ID, Version: row.Version, Interaction: string(Update), Time: at, Record: directory.ID,
		})
		if row.Class.Register != consent.Identity {
			directory.Entities = append(directory.Entities, ledger.Entity{What: versioned(row), Role: "updated"})
			if slices.Contains(ledger.VouchedTypes, row.Type) {
				directory.Entities = append(directory.Entities, contentOf(&row))
			}
			continue
		}
		facts, err := snap.Facts(ctx, row.ID)
		if err != nil {
			return 0, unrecorded(err)
		}
		derived, err := derive(c, &Item{Type: row.Type, ID: row.ID, Doc: doc, Class: row.Class}, row.Version, facts)
		if err != nil {
			return 0, err
		}
		for client, next := range derived {
			numbered := *next
			numbered.Version++
			change.Expect = append(change.Expect, store.Expect{Client: client, Version: next.Version})
			change.Facts = append(change.Facts, &numbered)
		}
		rec := about(follow(directory), row.ID, facts)
		rec.Register, rec.Target, rec.Bases, rec.Outcome, rec.Success = consent.Identity, row.Type+"/"+row.ID, directory.Bases, "permit", true
		rec.Entities = []ledger.Entity{{What: versioned(row), Role: "updated"}}
		change.Records = append(change.Records, rec)
	}
	if len(change.Put) == 0 {
		return 0, nil
	}
	change.Records = append([]ledger.Record{directory}, change.Records...)
	snap.Close()
	if err := d.put(ctx, change); err != nil {
		return 0, err
	}
	return len(change.Put), nil
}

// publishable is the label of a resource that the operator publishes, or why it may not be published.
func (d *Desk) publishable(operator consent.Actor, doc *fhir.Value) (consent.Class, error) {
	if err := d.unsound(doc); err != nil {
		return consent.Class{}, err
	}
	typ, id := fhir.ResourceType(doc), fhir.ID(doc)
	switch {
	case !fhir.ValidID(id):
		return consent.Class{}, Refuse(Invalid, "required", typ+".id", "What is published has its own id.")
	case typ == "Patient":
		return consent.Class{Type: typ, Register: consent.Identity, Clients: []string{id}, Author: operator.App}, nil
	case !impersonalType(typ):
		return consent.Class{}, Refuse(Invalid, "business-rule", typ, "Only Patients of population data and the types of the directory are published: "+
			strings.Join(directoryNames(), ", ")+".")
	case !d.impersonal(typ, id, doc):
		return consent.Class{}, Refuse(Invalid, "business-rule", typ, "A resource of the directory names no client.")
	}
	return consent.Class{Type: typ, Register: consent.Directory, Controller: operator.Controller, Author: operator.App}, nil
}

// same says whether a published resource is as it was: under the same version and time, byte for byte.
func same(doc *fhir.Value, row, before store.Row) bool {
	if before.Deleted {
		return false
	}
	row.Version, row.Updated = before.Version, before.Updated
	setMeta(doc, row)
	return string(doc.AppendJSON(nil)) == string(before.Body)
}
