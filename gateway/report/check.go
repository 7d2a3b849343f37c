package report

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"sotesilta/consent"
	"sotesilta/consent/ledger"
	"sotesilta/internal/fhir"
	"sotesilta/internal/terms"
)

// MaxBytes bounds a report that Check reads.
const MaxBytes = 16 << 20

// Checked is what Check found of a report.
type Checked struct {
	Report   *Report
	Size     int64    // entries of the ledger that the newest of its checkpoints signs
	Problems []string // each in a sentence that names the line; empty: all is as the ledger holds it
}

// Check makes a report anew from its proofs, each verified against a pinned key (the text of ledger.pub), and names what
// differs from the one given. The error says that it is no report.
func Check(doc *fhir.Value, verifier string) (*Checked, error) {
	if fhir.ResourceType(doc) != "Bundle" || doc.Text("type") != "document" {
		return nil, errors.New("report: not a Bundle of type document")
	}
	byRef := map[string]*fhir.Value{}
	var order []string // AuditEvents, as they come
	out := &Checked{}
	problem := func(form string, args ...any) { out.Problems = append(out.Problems, fmt.Sprintf(form, args...)) }
	for _, entry := range doc.Get("entry").Items() {
		resource := entry.Get("resource")
		ref := fhir.ResourceType(resource) + "/" + fhir.ID(resource)
		if byRef[ref] != nil {
			problem("%s comes twice", ref)
		}
		byRef[ref] = resource
		if fhir.ResourceType(resource) == "AuditEvent" {
			order = append(order, fhir.ID(resource))
		}
	}
	composition := doc.First("entry", "resource")
	r, err := headings(composition)
	if err != nil {
		return nil, err
	}
	out.Report = r
	for ref, resource := range byRef {
		if strings.HasPrefix(ref, "Organization/") {
			r.Names[ref] = resource.Text("name")
		}
	}
	for i, id := range order {
		line := fmt.Sprintf("line %d (AuditEvent/%s)", i+1, id)
		proof, rec, err := proved(byRef["Binary/"+id], verifier)
		switch {
		case errors.Is(err, ledger.ErrWrongKey):
			problem("%s: wrong-key: its checkpoint is not signed by the pinned key", line)
			continue
		case err != nil:
			problem("%s: not proved: %v", line, err)
			continue
		case rec.ID != id:
			problem("%s: edited: its proof is of another record, %s", line, rec.ID)
			continue
		case rec.Client != r.Client:
			problem("%s: inserted: it is about another client", line)
		case r.Form == Section11 && !r.Belongs(rec):
			problem("%s: inserted: it is of another register", line)
		case r.Form == OwnView && proof.Whole():
			problem("%s: it shows the whole record, with persons: a client's own view does not", line)
		}
		l := Line{Record: rec, Proof: proof}
		r.Lines = append(r.Lines, l)
		if !bytes.Equal(l.event().JSON(), byRef["AuditEvent/"+id].JSON()) {
			problem("%s: edited: the line does not say what was recorded", line)
		}
		if c, err := ledger.ReadCheckpoint(proof.Checkpoint); err == nil {
			out.Size = max(out.Size, c.Size)
		}
	}
	if len(r.Lines) < len(order) {
		return out, nil // the rest cannot be made anew
	}
	if r.Counted != nil {
		switch lines := int64(len(r.Lines) + r.Withheld); {
		case r.Next == "" && lines != r.Counted.all():
			problem("incomplete: it counts %d lines in the ledger and holds or withholds %d", r.Counted.all(), lines)
		case lines > r.Counted.all():
			problem("edited: it counts %d lines in the ledger and holds or withholds %d", r.Counted.all(), lines)
		case len(r.Lines) > 0 && r.Counted.Size != out.Size:
			problem("edited: its lines are counted in a tree of %d entries and proved in one of %d", r.Counted.Size, out.Size)
		}
	}
	if !slices.IsSortedFunc(r.Lines, func(a, b Line) int { return b.Record.Time.Compare(a.Record.Time) }) {
		problem("reordered: the lines are not in the order of time")
	}
	if !bytes.Equal(r.composition().JSON(), composition.JSON()) {
		problem("edited: the headings or the table do not say what the lines say")
	}
	if len(out.Problems) == 0 && !bytes.Equal(r.Bundle().JSON(), doc.JSON()) {
		problem("edited: the document holds something beside its lines, or in another order")
	}
	return out, nil
}

// Belongs says whether a record is one of the register that a section-11 report is of: a joint document that its
// controller keeps in both (703/2023 §§ 46–47) is one of each.
func (r *Report) Belongs(rec *ledger.Record) bool {
	if rec.Controller != r.Controller {
		return false
	}
	return rec.Register == r.Register || slices.ContainsFunc(rec.Classes, func(c consent.Class) bool {
		return c.Controller == r.Controller && c.In(r.Register)
	})
}

// proved verifies the proof in a Binary.
func proved(binary *fhir.Value, verifier string) (*ledger.Proof, *ledger.Record, error) {
	if binary == nil {
		return nil, nil, errors.New("there is no proof of it: it had no place in the ledger yet, or the proof was taken away")
	}
	proof, err := ReadBinary(binary)
	if err != nil {
		return nil, nil, err
	}
	rec, err := proof.Verify(verifier)
	return proof, rec, err
}

// ReadBinary reads what Binary made.
func ReadBinary(binary *fhir.Value) (*ledger.Proof, error) {
	content, err := base64.StdEncoding.Strict().DecodeString(binary.Text("data"))
	if err != nil {
		return nil, errors.New("report: the Binary's data are not base64")
	}
	return ledger.ParseProof(content)
}

// headings reads what does not follow from the lines.
func headings(c *fhir.Value) (*Report, error) {
	if fhir.ResourceType(c) != "Composition" {
		return nil, errors.New("report: the document does not begin with a Composition")
	}
	r := &Report{ID: fhir.ID(c), Names: map[string]string{}}
	for _, coding := range c.All("type", "coding") {
		if coding.Text("system") == terms.ReportForm {
			r.Form = Form(coding.Text("code"))
		}
	}
	if r.Form != OwnView && r.Form != Section11 {
		return nil, errors.New("report: of no known form")
	}
	r.Client, _ = strings.CutPrefix(c.Text("subject", "reference"), "Patient/")
	r.Register = consent.Register(c.Text("category", "coding", "code"))
	r.Controller = c.Text("custodian", "reference")
	for _, ext := range c.Get("extension").Items() {
		switch ext.Text("url") {
		case extensionWithheld:
			r.Withheld, _ = strconv.Atoi(ext.Get("valueUnsignedInt").Str())
		case extensionNext:
			r.Next = ext.Text("valueString")
		case extensionCounted:
			var err error
			if r.Counted, err = readCount(ext); err != nil {
				return nil, err
			}
		}
	}
	var err error
	for _, t := range []struct {
		into *time.Time
		text string
	}{{&r.Made, c.Text("date")}, {&r.From, c.Text("event", "period", "start")}, {&r.To, c.Text("event", "period", "end")}} {
		if t.text == "" {
			continue
		}
		if *t.into, err = time.Parse("2006-01-02T15:04:05.000Z", t.text); err != nil {
			return nil, errors.New("report: a time that is not as reports write it")
		}
	}
	return r, nil
}
