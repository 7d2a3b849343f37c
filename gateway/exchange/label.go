package exchange

import (
	"slices"
	"strconv"
	"strings"

	"sotesilta/consent"
	"sotesilta/gateway/store"
	"sotesilta/internal/fhir"
	"sotesilta/internal/finland"
	"sotesilta/internal/terms"
)

// label is the controller, register and clients of a new version (law 6): from the authenticated actor and the
// content, never by the sender's word. A row that exists keeps the register it began in, its author and its unit.
func (d *Desk) label(c Caller, typ, id string, doc *fhir.Value, before *Current) consent.Class {
	class := consent.Class{
		Type: typ, Controller: c.Actor.Controller, Register: c.Actor.Register, Author: c.Actor.App, Unit: c.Actor.Unit,
	}
	if before != nil {
		class = before.Class
	}
	class.Clients = d.clientsOf(typ, id, doc)
	if before != nil && class.Process != "" {
		// A document of the process is many parties'; one of them may not label it out of the others' sight.
		return class
	}
	tags := doc.Get("meta").Get("security")
	class.ServiceTask = tag(tags, terms.ServiceTask, class.ServiceTask)
	class.DataClass = tag(tags, terms.DataClass, class.DataClass)
	class.Protection = tag(tags, terms.Protection, class.Protection)
	class.ServiceEvent = d.serviceEvent(typ, id, doc)
	if before != nil {
		if class.Register == consent.Directory && !d.impersonal(typ, id, doc) {
			class.Register = "" // unlabelled: a directory does not become somebody's care
		}
		return class
	}
	switch {
	case typ == "Consent":
		class.Register = consent.Directive
	case d.impersonal(typ, id, doc):
		class.Register = consent.Directory
	}
	return class
}

// labelSystems are the code systems of meta.security that the gateway sets in every resource.
var labelSystems = []string{terms.Register, terms.ServiceTask, terms.DataClass, terms.Protection}

// labels are the codings that show a class in meta.security.
func labels(class consent.Class) []fhir.Coding {
	var out []fhir.Coding
	for _, label := range []fhir.Coding{
		{System: terms.ServiceTask, Code: class.ServiceTask},
		{System: terms.DataClass, Code: class.DataClass},
		{System: terms.Protection, Code: class.Protection},
	} {
		if label.Code != "" {
			out = append(out, label)
		}
	}
	if class.Joint {
		return append(out, fhir.Coding{System: terms.Register, Code: string(consent.Health)}, fhir.Coding{System: terms.Register, Code: string(consent.Social)})
	}
	return append(out, fhir.Coding{System: terms.Register, Code: string(class.Register)})
}

// impersonal says whether a resource is directory data: of a type of the directory, naming no client, by no identity code
// either, pointing to no person data here, and holding nothing of another type within it. What only looks like a directory
// stays in its sender's register.
func (d *Desk) impersonal(typ, id string, doc *fhir.Value) bool {
	if !impersonalType(typ) || len(d.clientsOf(typ, id, doc)) > 0 {
		return false
	}
	for ref := range fhir.References(doc) {
		if to := ref.Parse(); to.Type != "" && !impersonalType(to.Type) && d.here(to) {
			return false
		}
	}
	if slices.ContainsFunc(doc.Get("contained").Items(), func(c *fhir.Value) bool { return !impersonalType(fhir.ResourceType(c)) }) {
		return false
	}
	return !identifies(doc)
}

// identifies says whether something within a value tells who a client is without a reference that we could follow: a
// personal identity code, wherever it stands, or a Patient meant by an identifier. Telephone numbers are not looked at:
// some look like codes.
func identifies(v *fhir.Value) bool {
	switch v.Kind() {
	case fhir.String:
		return finland.FindIdentityCode(v.Str())
	case fhir.Array:
		return slices.ContainsFunc(v.Items(), identifies)
	case fhir.Object:
		if v.Text("type") == "Patient" && v.Get("identifier") != nil {
			return true
		}
		return slices.ContainsFunc(v.Members(), func(m fhir.Member) bool { return m.Name != "telecom" && identifies(m.Value) })
	}
	return false
}

// setMeta gives a resource the id, the version and the labels of its row.
func setMeta(doc *fhir.Value, row store.Row) {
	fhir.SetMeta(doc, fhir.Meta{
		ID: row.ID, VersionID: strconv.FormatInt(row.Version, 10), LastUpdated: row.Updated,
		Systems: labelSystems, Security: labels(row.Class),
	})
}

// clientsOf is the sorted Patient ids that a resource is about: every Patient it refers to here, by a relative
// reference or by an absolute one to this gateway. A Patient is about itself.
func (d *Desk) clientsOf(typ, id string, doc *fhir.Value) []string {
	var clients []string
	for ref := range fhir.References(doc) {
		if to := ref.Parse(); to.Type == "Patient" && d.here(to) {
			clients = append(clients, to.ID)
		}
	}
	if typ == "Patient" {
		clients = append(clients, id)
	}
	slices.Sort(clients)
	return slices.Compact(clients)
}

// here says whether a reference points to a resource of this gateway, however its scheme and host are spelt: they have no
// case (RFC 3986 § 6.2.2.1), and a reference that only looks foreign would take a row out of its client's label.
func (d *Desk) here(ref fhir.Reference) bool {
	if ref.Local() || ref.Kind != fhir.AbsoluteReference || ref.ID == "" {
		return ref.Local()
	}
	_, at, _ := strings.Cut(strings.TrimRight(ref.URL, "/"), "://")
	return slices.ContainsFunc(d.bases, func(base string) bool {
		_, own, _ := strings.Cut(base, "://")
		return strings.EqualFold(at, own)
	})
}

// tag is the first code of a system in meta.security, or what the row had before.
func tag(codings *fhir.Value, system, before string) string {
	for _, coding := range codings.Items() {
		if coding.Text("system") == system && coding.Text("code") != "" {
			return coding.Text("code")
		}
	}
	return before
}

// serviceEvent is the Encounter (palvelutapahtuma) that a resource was recorded in; several are separated by commas, so
// that a ban of any of them reaches it.
func (d *Desk) serviceEvent(typ, id string, doc *fhir.Value) string {
	if typ == "Encounter" {
		return "Encounter/" + id
	}
	var events []string
	for _, path := range [][]string{{"encounter", "reference"}, {"context", "reference"}, {"context", "encounter", "reference"}} {
		for _, found := range doc.All(path...) {
			if ref := fhir.ParseReference(found.Str()); ref.Type == "Encounter" && d.here(ref) {
				events = union(events, []string{"Encounter/" + ref.ID})
			}
		}
	}
	slices.Sort(events)
	return strings.Join(events, ",")
}
