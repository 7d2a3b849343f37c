// Package mappings translates between what regional systems send and FHIR R4, by lenses.
//
// A lens is data: a YAML file that relates places in a message to places in resources, read from left to right to
// translate a message that came in and from right to left to render one that goes out. It holds no expressions, only
// paths, a closed set of codecs, code maps, guards and constants, so that those who know the systems can review it:
//
//	message ─▶ Translate(lens) ─▶ client (for $match), resources, report
//	resources ─▶ Render(lens)  ─▶ message, report
//
// Nothing is lost in silence: every value of the source ends as mapped, as ignored for a reason that the lens states,
// or in the Report as lost, with its path and never its content.
//
// A lens never links anybody to a person: what a message says of its client is handed out apart from the resources,
// and Made.Link is for the caller who found a certain match (design: "Nobody is linked by guess").
package mappings

import (
	"fmt"

	"sotesilta/internal/fhir"
	"sotesilta/mappings/hl7v2"
)

// Setting is what a deployment adds to its lenses.
type Setting struct {
	// Tables hold code maps whose codes are the deployment's own, such as units: the system's code of a unit to the
	// registered Organization/…. A lens names such a map with from: setting.
	Tables map[string]map[string]string
}

// Result is what a message says.
type Result struct {
	// Client is a Patient as the message describes its client: identifiers, name, birth date. It is there for asking
	// Patient/$match and is never stored. nil when the lens reads none, and when there are several.
	Client *fhir.Value
	// Several: the message tells of more than one client (a second PID), and which of them each resource is about would
	// be a guess. Nobody may be linked.
	Several   bool
	Resources []Made
	// Replaces: the resources take the place of those with the same identity; otherwise those stay as they are, and
	// the message is a repeat.
	Replaces bool
	Report   Report
}

// Made is a resource made of a message. It refers to no client until it is linked.
type Made struct {
	Doc      *fhir.Value
	resource *resource
}

// Link makes the resource refer to its client, Patient/…. It changes Doc.
func (m Made) Link(client string) {
	if m.resource.client != nil {
		m.resource.client.set(m.Doc, fhir.NewObject(fhir.Member{Name: "reference", Value: fhir.NewString(client)}))
	}
}

// Identity is the identifier that the same message sent twice gives the same resource; ok is false when the lens
// names none or it has no system.
func (m Made) Identity() (system, value string, ok bool) {
	for _, id := range m.resource.identity.all(m.Doc) {
		if system, value = id.Text("system"), id.Text("value"); system != "" && value != "" {
			return system, value, true
		}
	}
	return "", "", false
}

// Refusal is why a lens cannot translate or render. It names the place and never a value.
type Refusal struct {
	Lens string
	Code string // of HL7 table 0357
	At   string // place in the message; "" when Element is told
	// Element is the place in the resources.
	Element string
	Why     string
}

func (r *Refusal) Error() string {
	place := r.At
	if place == "" {
		place = r.Element
	}
	return fmt.Sprintf("mappings: %s: %s: %s", r.Lens, place, r.Why)
}

// HL7 gives the refusal as an error of an acknowledgement.
func (r *Refusal) HL7() *hl7v2.Error {
	path, err := hl7v2.ParsePath(r.At)
	if err != nil && len(r.At) == 3 {
		path = hl7v2.Path{Segment: r.At}
	}
	return &hl7v2.Error{Code: r.Code, Path: path, Text: r.Why}
}

// SameClient says whether another version of the resource refers to the same client as this one was linked to.
func (m Made) SameClient(other *fhir.Value) bool {
	if m.resource.client == nil {
		return true
	}
	ref := m.resource.client.first(m.Doc).Text("reference")
	return ref != "" && m.resource.client.first(other).Text("reference") == ref
}
