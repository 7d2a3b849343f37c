// Package report renders the log report of one client (lokitiedot) as a FHIR document, and checks one offline.
//
// There are two forms: own-view, which the client's own app shows (703/2023 § 74: use and disclosure without the persons
// who received data), and section-11, which the controller's clerk makes of one register on the client's written request
// (§ 11). A report is a Bundle of type document: a Composition with a table in Finnish, the organisations that it names,
// and for each line its AuditEvent and a Binary with the proof that this is what the ledger holds (C2SP tlog-proof: the
// record's bytes, its salt, its place, the way to the root, a signed checkpoint). Everything but the proofs and a few
// headings follows from the records, so Check makes the document anew from its proofs and compares: what was changed,
// added or left without proof is named.
//
// The package is pure: it asks nobody and decides nothing. gateway/exchange decides, records and fills a Report.
package report

import (
	"encoding/base64"
	"errors"
	"maps"
	"slices"
	"strconv"
	"time"

	"sotesilta/consent"
	"sotesilta/consent/ledger"
	"sotesilta/internal/fhir"
	"sotesilta/internal/terms"
)

// Form is a form of the report, a code of terms.ReportForm.
type Form string

// The forms.
const (
	OwnView   Form = "own-view"   // § 74
	Section11 Form = "section-11" // § 11
)

// Report is one page of the log report of one client.
type Report struct {
	Form       Form
	ID         string            // of the ledger record of the report itself
	Client     string            // Patient id
	Controller string            // section-11: Organization/… whose register it is of
	Register   consent.Register  // section-11
	From, To   time.Time         // what was asked for; zero is open
	Made       time.Time         // UTC
	Withheld   int               // lines on this page that a person decided not to give (§ 11)
	Next       string            // cursor of the next page; "" on the last
	Counted    *Count            // of the first page: how many lines there are on all pages; nil when they were not counted
	Names      map[string]string // names of Organization/…, from the directory
	Lines      []Line            // newest first
}

// Count is how many lines of a report, on all its pages and with those that are withheld, have their places in a tree of
// the ledger of a size. Who has the ledger counts again.
type Count struct {
	Size  int64                      // entries of the tree
	Lines map[consent.Register]int64 // by the register that their records tell of; "" where one tells of none
}

// all is the number of lines of every register.
func (c *Count) all() int64 {
	var n int64
	for _, lines := range c.Lines {
		n += lines
	}
	return n
}

// extension is the count in the Composition.
func (c *Count) extension() *fhir.Value {
	parts := fhir.NewArray(object("url", text("size"), "valueDecimal", fhir.NewNumber(strconv.FormatInt(c.Size, 10))))
	for _, register := range slices.Sorted(maps.Keys(c.Lines)) {
		lines := fhir.NewArray()
		if register != "" {
			lines.Append(object("url", text("register"), "valueCode", text(string(register))))
		}
		lines.Append(object("url", text("count"), "valueUnsignedInt", fhir.NewNumber(strconv.FormatInt(c.Lines[register], 10))))
		parts.Append(object("url", text("lines"), "extension", lines))
	}
	return object("url", text(extensionCounted), "extension", parts)
}

// readCount reads what extension wrote.
func readCount(ext *fhir.Value) (*Count, error) {
	c := &Count{Lines: map[consent.Register]int64{}}
	bad := errors.New("report: a count of lines that is not as reports write it")
	number := func(v *fhir.Value) (int64, error) {
		if v == nil {
			return 0, bad
		}
		n, err := strconv.ParseInt(v.Str(), 10, 64)
		if err != nil || n < 0 {
			return 0, bad
		}
		return n, nil
	}
	for _, part := range ext.Get("extension").Items() {
		var err error
		switch part.Text("url") {
		case "size":
			c.Size, err = number(part.Get("valueDecimal"))
		case "lines":
			var register consent.Register
			var n int64
			for _, p := range part.Get("extension").Items() {
				switch p.Text("url") {
				case "register":
					register = consent.Register(p.Text("valueCode"))
				case "count":
					n, err = number(p.Get("valueUnsignedInt"))
				}
			}
			c.Lines[register] += n
		}
		if err != nil {
			return nil, err
		}
	}
	return c, nil
}

// Line is one use or disclosure.
type Line struct {
	Record *ledger.Record // of own-view its open members only
	Proof  *ledger.Proof  // nil while the record has no place in the tree
}

// The extensions of the Composition.
const (
	extensionWithheld = terms.Base + "StructureDefinition/report-withheld"
	extensionNext     = terms.Base + "StructureDefinition/report-next"
	extensionCounted  = terms.Base + "StructureDefinition/report-counted"
)

// proofType is the contentType of a Binary with a proof.
const proofType = "text/plain"

// Bundle is the report as a FHIR document.
func (r *Report) Bundle() *fhir.Value {
	entries := fhir.NewArray(r.entry(r.composition()))
	for _, ref := range r.organisations() {
		entries.Append(r.entry(object(
			"resourceType", text("Organization"), "id", text(ref[len("Organization/"):]), "name", text(r.Names[ref]),
		)))
	}
	for i := range r.Lines {
		entries.Append(r.entry(r.Lines[i].event()))
		if proof := r.Lines[i].binary(); proof != nil {
			entries.Append(r.entry(proof))
		}
	}
	return object(
		"resourceType", text("Bundle"),
		"identifier", object("system", text("urn:ietf:rfc:3986"), "value", text("urn:uuid:"+r.ID)),
		"type", text("document"),
		"timestamp", text(instant(r.Made)),
		"entry", entries,
	)
}

// entry is a resource in the document. References within it are relative to our canonical base, which no server answers
// at: a report is read from paper or file.
func (r *Report) entry(resource *fhir.Value) *fhir.Value {
	return object("fullUrl", text(terms.Base+fhir.ResourceType(resource)+"/"+fhir.ID(resource)), "resource", resource)
}

func (r *Report) composition() *fhir.Value {
	refs := fhir.NewArray()
	for i := range r.Lines {
		refs.Append(object("reference", text("AuditEvent/"+r.Lines[i].Record.ID)))
		if r.Lines[i].Proof != nil {
			refs.Append(object("reference", text("Binary/"+r.Lines[i].Record.ID)))
		}
	}
	if len(r.Lines) == 0 {
		refs = nil
	}
	extensions := fhir.NewArray()
	if r.Withheld > 0 {
		extensions.Append(object("url", text(extensionWithheld), "valueUnsignedInt", fhir.NewNumber(strconv.Itoa(r.Withheld))))
	}
	if r.Counted != nil {
		extensions.Append(r.Counted.extension())
	}
	if r.Next != "" {
		extensions.Append(object("url", text(extensionNext), "valueString", text(r.Next)))
	}
	if len(extensions.Items()) == 0 {
		extensions = nil
	}
	var category, custodian, period *fhir.Value
	author := object("display", text("Sotesilta"))
	if r.Form == Section11 {
		category = fhir.NewArray(object("coding", fhir.NewArray(coding(terms.Register, string(r.Register)))))
		custodian = object("reference", text(r.Controller), "display", text(r.Names[r.Controller]))
		author = custodian
	}
	if !r.From.IsZero() || !r.To.IsZero() {
		period = object("start", text(instant(r.From)), "end", text(instant(r.To)))
		period = fhir.NewArray(object("period", period))
	}
	return object(
		"resourceType", text("Composition"),
		"id", text(r.ID),
		"language", text("fi"),
		"extension", extensions,
		"status", text("final"),
		"type", object("coding", fhir.NewArray(coding(terms.ReportForm, string(r.Form))), "text", text("Lokitiedot")),
		"category", category,
		"subject", object("reference", text("Patient/"+r.Client)),
		"date", text(instant(r.Made)),
		"author", fhir.NewArray(author),
		"title", text(r.title()),
		"custodian", custodian,
		"event", period,
		"section", fhir.NewArray(object(
			"title", text("Käyttö ja luovutukset"),
			"text", object("status", text("generated"), "div", fhir.NewString(r.narrative())),
			"entry", refs,
		)),
	)
}

// event is a line's AuditEvent.
func (l *Line) event() *fhir.Value {
	seq := int64(-1)
	if l.Proof != nil {
		seq = l.Proof.Seq
	}
	event, err := fhir.Parse(l.Record.AuditEvent(seq), fhir.DefaultLimits)
	if err != nil {
		panic("report: an AuditEvent of ours that cannot be read: " + err.Error())
	}
	return event
}

// binary is a line's proof, or nil.
func (l *Line) binary() *fhir.Value {
	if l.Proof == nil {
		return nil
	}
	return Binary(l.Record.ID, l.Proof)
}

// Binary is the proof of one record as a resource.
func Binary(id string, proof *ledger.Proof) *fhir.Value {
	return object(
		"resourceType", text("Binary"), "id", text(id), "contentType", text(proofType),
		"data", text(base64.StdEncoding.EncodeToString(proof.Text())),
	)
}

func instant(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}

// The rest builds FHIR values: what is empty is left out (FHIR R4 § 2.6.2).

func object(members ...any) *fhir.Value {
	list := make([]fhir.Member, 0, len(members)/2)
	for i := 0; i < len(members); i += 2 {
		if value := members[i+1].(*fhir.Value); value != nil {
			list = append(list, fhir.Member{Name: members[i].(string), Value: value})
		}
	}
	return fhir.NewObject(list...)
}

func text(s string) *fhir.Value {
	if s == "" {
		return nil
	}
	return fhir.NewString(s)
}

func coding(system, code string) *fhir.Value {
	return object("system", text(system), "code", text(code))
}
