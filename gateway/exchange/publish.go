package exchange

import (
	"context"
	"errors"
	"strconv"

	"sotesilta/consent"
	"sotesilta/consent/ledger"
	"sotesilta/gateway/search"
	"sotesilta/gateway/store"
	"sotesilta/internal/fhir"
	"sotesilta/internal/terms"
)

// Publish takes in what the operator publishes: clients' identities from population data (register identity) and the
// county's directory and definitions (register directory). Each resource keeps its own id, and one that is there
// already with the same content is left alone. It answers how many were new or changed.
//
// It is the operator's command of main, not an interaction of any wire: no token reaches it.
func (d *Desk) Publish(ctx context.Context, operator consent.Actor, docs []*fhir.Value) (int, error) {
	c := complete(Caller{Actor: operator})
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
		typ, id := fhir.ResourceType(doc), fhir.ID(doc)
		if issues := failing(fhir.Validate(doc)); len(issues) > 0 {
			return 0, &Error{Kind: Invalid, Entry: i, Issues: issues}
		}
		row := store.Row{
			Type: typ, ID: id, Version: 1, Recorded: at, Updated: at, Method: "PUT",
			Class: consent.Class{Type: typ, Register: consent.Directory, Controller: operator.Controller, Author: operator.App},
		}
		if typ == "Patient" {
			row.Class = consent.Class{Type: typ, Register: consent.Identity, Clients: []string{id}, Author: operator.App}
		}
		before, err := snap.Get(ctx, typ, id)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return 0, unrecorded(err)
		}
		if err == nil {
			row.Version, row.Recorded = before.Version+1, before.Recorded
			if same(doc.Clone(), row, before) {
				continue
			}
		}
		row.Body = bodyOf(doc, row)
		row.Index = search.Extract(doc, d.bases...)
		change.Put = append(change.Put, row)
		change.Expect = append(change.Expect, store.Expect{Type: typ, ID: id, Version: row.Version - 1})
		change.Events = append(change.Events, store.Event{
			Type: typ, ID: id, Version: row.Version, Interaction: string(Update), Time: at, Record: directory.ID,
		})
		if typ != "Patient" {
			directory.Entities = append(directory.Entities, ledger.Entity{What: versioned(row), Role: "updated"})
			continue
		}
		facts, err := snap.Facts(ctx, id)
		if err != nil {
			return 0, unrecorded(err)
		}
		derived, err := derive(c, &Item{Type: typ, ID: id, Doc: doc, Class: row.Class}, row.Version, facts)
		if err != nil {
			return 0, err
		}
		for client, next := range derived {
			numbered := *next
			numbered.Version++
			change.Expect = append(change.Expect, store.Expect{Client: client, Version: next.Version})
			change.Facts = append(change.Facts, &numbered)
		}
		rec := follow(directory)
		rec.Client, rec.Register, rec.Target = id, consent.Identity, row.Type+"/"+row.ID
		rec.Bases, rec.Outcome, rec.Success = directory.Bases, "permit", true
		rec.Entities = []ledger.Entity{{What: versioned(row), Role: "updated"}}
		change.Records = append(change.Records, rec)
	}
	if len(change.Put) == 0 {
		return 0, nil
	}
	change.Records = append([]ledger.Record{directory}, change.Records...)
	snap.Close()
	if err := d.store.Commit(ctx, change); err != nil {
		return 0, d.failed(err)
	}
	return len(change.Put), nil
}

// bodyOf is the JSON of a published resource.
func bodyOf(doc *fhir.Value, row store.Row) []byte {
	fhir.SetMeta(doc, fhir.Meta{
		ID: row.ID, VersionID: strconv.FormatInt(row.Version, 10), LastUpdated: row.Updated,
		Systems: []string{terms.Register}, Security: labels(row.Class),
	})
	return doc.AppendJSON(nil)
}

// same says whether a published resource is as it was: under the same version and time, byte for byte.
func same(doc *fhir.Value, row, before store.Row) bool {
	if before.Deleted {
		return false
	}
	row.Version, row.Updated = before.Version, before.Updated
	return string(bodyOf(doc, row)) == string(before.Body)
}
