package exchange

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"sotesilta/consent"
	"sotesilta/consent/ledger"
	"sotesilta/gateway/store"
	"sotesilta/internal/fhir"
)

// DisclosureNotices is the export of disclosures for notices of disclosure (luovutusilmoitus); recorded by this name.
const DisclosureNotices Interaction = "disclosure-notices"

// Bounds of an export.
const (
	noticeCount = 100
	maxNotices  = 500
	noticeLook  = 5_000               // records looked at for one page
	noticeSpan  = 31 * 24 * time.Hour // asked for at once
)

// The register of social care as Kanta's notices name it (package kanta.sosiaalihuolto.r4).
const (
	registerType    = "https://gen.kanta.fi/fhir/StructureDefinition/extension/RegisterType"
	socialRegisters = "urn:oid:1.2.246.537.6.1264.201701"
)

// NoticesRequest is what an export is asked for.
type NoticesRequest struct {
	Register consent.Register // social
	From, To time.Time        // of the disclosures; both needed, 31 days at most
	Count    int              // of a page; 0: 100
	Cursor   string
}

// Notices exports what was disclosed of the social register of the caller's controller, oldest first, to who supervises
// it: a Bundle (collection) with an AuditEvent for each disclosure, whole in itself, from which a notice of disclosure
// (Kanta's SocialWelfareAuditEvent) is made. consent/ledger/README.md says what lies where. Next is the cursor of the next
// page, "" on the last; a page may hold fewer than asked for, or none. To all others it is empty. The export is recorded
// with what it told.
func (d *Desk) Notices(ctx context.Context, c Caller, q NoticesRequest) (_ *fhir.Value, next string, _ error) {
	c = d.complete(c)
	c.Interaction = ""
	if err := allowed(c, auditEvent, Search); err != nil {
		return nil, "", err
	}
	bad := func(code, what string) error { return Refuse(Invalid, code, "Parameters.parameter", what) }
	if q.Count == 0 {
		q.Count = noticeCount
	}
	switch {
	case q.Register != consent.Social:
		return nil, "", bad("required", "$disclosure-notices needs the parameter register: social.")
	case q.From.IsZero() || q.To.IsZero() || !q.From.Before(q.To) || q.To.Sub(q.From) > noticeSpan+2*time.Hour: // clocks change
		return nil, "", bad("required", "$disclosure-notices needs from and to, at most 31 days apart.")
	case q.Count < 1 || q.Count > maxNotices:
		return nil, "", bad("value", "count is 1 to "+strconv.Itoa(maxNotices)+".")
	}
	l, err := d.look(ctx, c, DisclosureNotices, auditEvent+"/$"+string(DisclosureNotices))
	if err != nil {
		return nil, "", err
	}
	defer l.Close()
	l.rec.Query = "register=social&from=" + stamp(q.From) + "&to=" + stamp(q.To)
	out := fhir.NewObject(
		fhir.Member{Name: "resourceType", Value: fhir.NewString("Bundle")}, fhir.Member{Name: "type", Value: fhir.NewString("collection")},
	)
	if !l.audits() {
		if err := l.commit(ctx, l.rec); err != nil {
			return nil, "", err
		}
		return out, "", nil
	}
	found, err := l.disclosures(ctx, c.Actor.Controller, q)
	if err != nil {
		return nil, "", err
	}
	list := fhir.NewArray()
	known := map[string]*fhir.Value{}
	for _, one := range found.kept {
		event, err := l.notice(ctx, one, known)
		if err != nil {
			return nil, "", err
		}
		id := fhir.ID(event)
		list.Append(fhir.NewObject(
			fhir.Member{Name: "fullUrl", Value: fhir.NewString("urn:uuid:" + id)}, fhir.Member{Name: "resource", Value: event},
		))
		l.saw(auditEvent + "/" + id)
	}
	if len(found.kept) > 0 {
		out.Set("entry", list)
	}
	l.rec.Success = true
	if err := l.commit(ctx, l.rec); err != nil {
		return nil, "", err
	}
	return out, found.next, nil
}

// disclosures are the records of a page.
func (l *look) disclosures(ctx context.Context, controller string, q NoticesRequest) (sifted, error) {
	query := store.EntryQuery{
		Controllers: []string{controller}, Outcome: []string{consent.Permitted.String()}, From: q.From, To: q.To, Ascending: true,
		After: q.Cursor, Limit: q.Count,
	}
	return l.sift(ctx, query, noticeLook, func(t *told) (bool, error) {
		social := t.rec.Register == q.Register || slices.ContainsFunc(t.rec.Classes, func(c consent.Class) bool {
			return c.Controller == controller && c.In(q.Register)
		})
		return t.rec.Disclosed() && t.rec.Controller == controller && social, nil
	})
}

// notice is a disclosure as an AuditEvent that names every organisation in itself.
func (l *look) notice(ctx context.Context, one told, known map[string]*fhir.Value) (*fhir.Value, error) {
	event, err := fhir.Parse(one.rec.AuditEvent(one.Seq), fhir.DefaultLimits)
	if err != nil {
		return nil, unrecorded(err)
	}
	contained := fhir.NewArray()
	within := map[string]bool{}
	for _, agent := range event.Get("agent").Items() {
		who := agent.Get("who")
		ref := who.Text("reference")
		id, ok := strings.CutPrefix(ref, "Organization/")
		if !ok {
			continue
		}
		custodian := ref == one.rec.Controller && agent.Text("type", "coding", "system") == ledger.CustodianSystem
		local := "org-" + id
		if custodian {
			local = "custodian-" + id
		}
		who.Set("reference", fhir.NewString("#"+local))
		if within[local] {
			continue
		}
		within[local] = true
		org, err := l.party(ctx, ref, known)
		if err != nil {
			return nil, err
		}
		org = org.Clone()
		org.Set("id", fhir.NewString(local))
		if custodian {
			org.Set("extension", fhir.NewArray(fhir.NewObject(
				fhir.Member{Name: "url", Value: fhir.NewString(registerType)},
				fhir.Member{Name: "valueCoding", Value: fhir.NewObject(
					fhir.Member{Name: "system", Value: fhir.NewString(socialRegisters)},
					fhir.Member{Name: "code", Value: fhir.NewString("1")},
					fhir.Member{Name: "display", Value: fhir.NewString("Sosiaalihuollon asiakasrekisteri")},
				)},
			)))
		}
		contained.Append(org)
	}
	if len(contained.Items()) > 0 {
		event.Set("contained", contained)
	}
	event.Set("period", fhir.NewObject(fhir.Member{Name: "start", Value: fhir.NewString(event.Text("recorded"))}))
	return event, nil
}

// party is what a notice says of Organization/…: its identifiers and its name; its reference as an identifier where
// the directory knows no other.
func (l *look) party(ctx context.Context, ref string, known map[string]*fhir.Value) (*fhir.Value, error) {
	if org := known[ref]; org != nil {
		return org, nil
	}
	doc, err := l.organisation(ctx, ref)
	if err != nil {
		return nil, err
	}
	org := fhir.NewObject(fhir.Member{Name: "resourceType", Value: fhir.NewString("Organization")}, fhir.Member{Name: "id", Value: fhir.NewString("")})
	for _, name := range []string{"identifier", "name"} {
		if value := doc.Get(name); value != nil {
			org.Set(name, value.Clone())
		}
	}
	if org.Get("identifier") == nil {
		org.Set("identifier", fhir.NewArray(fhir.NewObject(fhir.Member{Name: "value", Value: fhir.NewString(ref)})))
	}
	known[ref] = org
	return org, nil
}
