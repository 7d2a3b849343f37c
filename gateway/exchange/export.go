package exchange

import (
	"context"
	"slices"
	"strconv"
	"time"

	"sotesilta/consent/ledger"
	"sotesilta/gateway/store"
	"sotesilta/internal/fhir"
)

// Bounds of a bulk export.
const (
	maxMembers = 1000 // clients of a Group or a list
	exportPage = 200  // resources that leave on one decision
)

// Bulk is what a bulk export was asked for (FHIR Bulk Data Access 2.0). It gives no rights, and nothing is kept of it but
// that it was cancelled: every page of a file is searched, decided and recorded when it leaves.
type Bulk struct {
	ID      string    `json:"i"`
	Group   string    `json:"g,omitempty"` // id of the Group whose members are exported
	Clients []string  `json:"c,omitempty"` // only these clients; neither: all that the caller may see
	Types   []string  `json:"t"`
	Since   time.Time `json:"s,omitzero"`
	Asked   time.Time `json:"a"`
}

// about is the level that the export was asked at, as records name it.
func (b Bulk) about() string {
	if b.Group != "" {
		return "Group/" + b.Group
	}
	return "Patient"
}

// BeginBulk says whether the caller may ask for an export: absent when its Group is to it. Nothing leaves yet.
func (d *Desk) BeginBulk(ctx context.Context, c Caller, b Bulk) (err error) {
	c = d.complete(c)
	if err := allowed(c, "Patient", Export); err != nil {
		return err
	}
	asked := d.question(c, Export)
	defer func() {
		if err != nil {
			asked.wait(ctx)
		}
	}()
	_, err = d.members(ctx, c, b)
	return err
}

// CancelBulk ends an export: its files are absent from then on, on every node.
func (d *Desk) CancelBulk(ctx context.Context, c Caller, b Bulk) error {
	c = d.complete(c)
	rec := d.record(c, Export, b.about())
	rec.Outcome, rec.Success, rec.Reason = "permit", true, "the export was cancelled"
	if err := d.store.Commit(ctx, store.Change{Keys: []string{b.key()}, Records: []ledger.Record{rec}}); err != nil {
		return unrecorded(err)
	}
	return nil
}

// Cancelled says whether an export was cancelled.
func (d *Desk) Cancelled(ctx context.Context, b Bulk) (bool, error) {
	snap, err := d.open(ctx)
	if err != nil {
		return false, err
	}
	defer snap.Close()
	version, err := snap.Key(ctx, b.key())
	if err != nil {
		return false, unrecorded(err)
	}
	return version > 0, nil
}

func (b Bulk) key() string { return "bulk/" + b.ID }

// Bulk answers a page of the resources of one type of an export, current versions, the oldest first: those that name a
// client and that the caller may see now, whatever it could when it asked. One record for the page, and one per client
// whose data left. Absent when the export was cancelled, or its Group is not to be seen any more.
func (d *Desk) Bulk(ctx context.Context, c Caller, b Bulk, typ, cursor string) (page *Page, err error) {
	c = d.complete(c)
	if err := allowed(c, typ, Export); err != nil {
		return nil, err
	}
	asked := d.question(c, Export)
	defer func() {
		if err != nil || len(page.Matches) == 0 {
			asked.wait(ctx)
		}
	}()
	cancelled, err := d.Cancelled(ctx, b)
	if err != nil {
		return nil, err
	}
	if cancelled {
		return nil, absent("Patient", "$export")
	}
	clients, err := d.members(ctx, c, b)
	if err != nil {
		return nil, err
	}
	if clients != nil && len(clients) == 0 {
		return &Page{Total: -1}, nil
	}
	return d.versions(ctx, c, Export, b.about(), store.VersionQuery{
		Types: []string{typ}, Clients: clients, Personal: true, Current: true, Since: b.Since, Cursor: cursor, Limit: exportPage,
	})
}

// members are the clients that an export is about; nil is all. Those of a Group are its Patients as it stands, inactive
// ones left out, for who may see it.
func (d *Desk) members(ctx context.Context, c Caller, b Bulk) ([]string, error) {
	if b.Group == "" {
		return b.Clients, nil
	}
	c.Interaction = Export // what is refused here is recorded as that
	row, err := d.visible(ctx, c, "Group", b.Group)
	if err != nil {
		return nil, err
	}
	doc, err := fhir.Parse(row.Body, fhir.DefaultLimits)
	if err != nil {
		return nil, unrecorded(err)
	}
	clients := []string{}
	for _, member := range doc.All("member") {
		ref := fhir.ParseReference(member.Text("entity", "reference"))
		if member.Text("inactive") == "true" || ref.Type != "Patient" || !d.here(ref) ||
			len(b.Clients) > 0 && !slices.Contains(b.Clients, ref.ID) {
			continue
		}
		clients = append(clients, ref.ID)
	}
	slices.Sort(clients)
	if clients = slices.Compact(clients); len(clients) > maxMembers {
		return nil, Refuse(TooCostly, "too-costly", "", "More than "+strconv.Itoa(maxMembers)+" clients are in the Group: export parts of it.")
	}
	return clients, nil
}

// Exportable are the types that an export gives: those of data about persons.
func Exportable(typ string) bool {
	return !impersonalType(typ) && typ != auditEvent && rules[typ].name != ""
}
