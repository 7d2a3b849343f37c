package exchange

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"sotesilta/consent"
	"sotesilta/consent/ledger"
	"sotesilta/gateway/search"
	"sotesilta/gateway/store"
	"sotesilta/internal/fhir"
	"sotesilta/internal/terms"
)

// What was obtained about a client without their consent, from elsewhere, is told to the client (812/2000 § 12.2: "mistä
// muualta ja mitä häntä koskevia tietoja voidaan suostumuksesta riippumatta hankkia"). A basis that owes it (@obligations
// inform) makes a Task inform-client for the unit that obtained the data, in that unit's own register and in the
// transaction of the record; one for a client, a source and a basis each day.

// namespace makes the ids of such Tasks, so that the same duty is one Task.
var namespace = uuid.NewSHA1(uuid.NameSpaceURL, []byte(terms.HumanAct+"#"+terms.ActInform))

// debt is a duty to tell a client.
type debt struct {
	client, controller, unit   string           // who is told, by which unit of which controller
	register                   consent.Register // that the unit works in
	sourceController, sourceOf string           // whose data were obtained
	bases                      []consent.Basis
	at                         time.Time
}

func (o *debt) id() string {
	key := []string{o.client, o.unit, o.sourceController, o.sourceOf, consent.FinnishDay(o.at).Format(time.DateOnly)}
	for _, basis := range o.bases {
		key = append(key, basis.ID)
	}
	return uuid.NewSHA1(namespace, []byte(strings.Join(key, "\x00"))).String()
}

func (o *debt) class() consent.Class {
	return consent.Class{
		Type: "Task", Clients: []string{o.client}, Controller: o.controller, Register: o.register, Unit: o.unit, Process: "Task/" + o.id(),
	}
}

// task is the Task as the unit reads it.
func (o *debt) task() *fhir.Value {
	inputs := fhir.NewArray()
	var told []string
	for _, basis := range o.bases {
		inputs.Append(fhir.NewObject(
			fhir.Member{Name: "type", Value: fhir.NewObject(fhir.Member{Name: "coding", Value: fhir.NewArray(
				fhir.Coding{System: terms.ActInput, Code: terms.InputGround}.Value())})},
			fhir.Member{Name: "valueCode", Value: fhir.NewString(basis.ID)},
		))
		told = append(told, basis.TitleFi+" ("+basis.Citation+")")
	}
	source := map[string]string{
		string(consent.Health): "potilasrekisteri", string(consent.Social): "sosiaalihuollon asiakasrekisteri",
	}[o.sourceOf]
	reference := func(to string) *fhir.Value {
		return fhir.NewObject(fhir.Member{Name: "reference", Value: fhir.NewString(to)})
	}
	return fhir.NewObject(
		fhir.Member{Name: "resourceType", Value: fhir.NewString("Task")},
		fhir.Member{Name: "status", Value: fhir.NewString("requested")},
		fhir.Member{Name: "intent", Value: fhir.NewString("order")},
		fhir.Member{Name: "code", Value: fhir.NewObject(fhir.Member{Name: "coding", Value: fhir.NewArray(
			fhir.Coding{System: terms.HumanAct, Code: terms.ActInform}.Value())})},
		fhir.Member{Name: "description", Value: fhir.NewString("Kerro asiakkaalle, mistä ja mitä tietoja hänestä on hankittu (812/2000 12 § 2 mom.): " +
			source + ", " + o.sourceController + ". Peruste: " + strings.Join(told, "; ") + ".")},
		fhir.Member{Name: "for", Value: reference("Patient/" + o.client)},
		fhir.Member{Name: "authoredOn", Value: fhir.NewString(fhir.Instant(o.at))},
		fhir.Member{Name: "lastModified", Value: fhir.NewString(fhir.Instant(o.at))},
		fhir.Member{Name: "owner", Value: reference(o.unit)},
		fhir.Member{Name: "input", Value: inputs},
	)
}

// owes is the duty that a record of data that left makes, or nil.
func owes(rec *ledger.Record) *debt {
	if !rec.Disclosure || !rec.Success || rec.Client == "" || rec.Actor.Kind != consent.Professional || rec.Actor.Unit == "" ||
		len(rec.Entities) == 0 || !slices.Contains(rec.Obligations, consent.Inform) {
		return nil
	}
	return &debt{
		client: rec.Client, controller: rec.Actor.Controller, unit: rec.Actor.Unit, register: rec.Actor.Register,
		sourceController: rec.Controller, sourceOf: string(rec.Register), bases: rec.Bases, at: rec.Time,
	}
}

// owed is the change of a read: its records, and the Tasks that they make and that are not there yet.
func (d *Desk) owed(ctx context.Context, records []ledger.Record) (store.Change, error) {
	change := store.Change{Records: records}
	for i := range records {
		o := owes(&records[i])
		if o == nil {
			continue
		}
		id := o.id()
		if slices.ContainsFunc(change.Put, func(r store.Row) bool { return r.ID == id }) {
			continue
		}
		there, err := d.there(ctx, id)
		if err != nil {
			return change, err
		}
		if there {
			continue
		}
		row := store.Row{Type: "Task", ID: id, Version: 1, Class: o.class(), Recorded: o.at, Updated: o.at, Method: "POST"}
		doc := o.task()
		setMeta(doc, row)
		row.Body = doc.AppendJSON(nil)
		row.Index = search.Extract(doc, d.bases...)
		change.Put = append(change.Put, row)
		change.Expect = append(change.Expect, store.Expect{Type: row.Type, ID: row.ID})
		change.Events = append(change.Events, store.Event{
			Type: row.Type, ID: row.ID, Version: 1, Interaction: string(Create), Time: o.at, Record: records[i].ID,
		})
		change.Records = slices.Clone(change.Records)
		change.Records[i].Entities = append(slices.Clone(records[i].Entities), ledger.Entity{What: versioned(row), Role: "created"})
	}
	return change, nil
}

// there says whether a Task is there already.
func (d *Desk) there(ctx context.Context, id string) (bool, error) {
	snap, err := d.open(ctx)
	if err != nil {
		return false, err
	}
	defer snap.Close()
	_, err = snap.Get(ctx, "Task", id)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil, unrecordedIf(err)
}
