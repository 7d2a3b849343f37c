package ledger

import (
	"html"
	"slices"
	"strings"

	"sotesilta/consent"
	"sotesilta/internal/fhir"
	"sotesilta/internal/terms"
)

const (
	systemParticipant = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"

	// BasisExtension, on Provenance.entity, tells the basis on which this one of the targets was disclosed: a valueCoding of
	// the table of legal bases, whose display is the citation and the Finnish title.
	BasisExtension = terms.Base + "StructureDefinition/disclosure-basis"
	// OnwardDuty is the row of the duty of 703/2023 § 48, in Provenance.policy beside the basis.
	OnwardDuty = "ATL-48-ONWARD"
)

// Owed says whether the record is of a disclosure whose recipient records where the data came from (703/2023 § 39) and
// keeps them for that purpose alone (§ 48): what Provenance tells of. What was used of one's own register is none, nor
// what a human disclosed or the gateway sent, which have a Provenance or a record of their own.
func (r *Record) Owed() bool {
	return r.Disclosure && r.Success && r.Outcome == permitted && r.Recipient == "" && len(r.disclosed()) > 0 &&
		(slices.Contains(r.Obligations, consent.Source) || slices.Contains(r.Obligations, consent.Onward))
}

// disclosed are the entities that left, without what the exchange made.
func (r *Record) disclosed() []Entity {
	out := make([]Entity, 0, len(r.Entities))
	for _, e := range r.Entities {
		if e.Role == "match" || e.Role == "include" {
			out = append(out, e)
		}
	}
	return out
}

// Provenance is what the recipient of an exchange is told of it, as a FHIR R4 Provenance without id and meta: of the
// records of one exchange that are Owed, at least one. It holds nothing but what the recipient was given and who it is.
//
//	target    what was disclosed, with its version
//	recorded  when
//	policy    the bases, and OnwardDuty
//	reason    the purpose
//	agent     who received, for which unit; whose data they were: controller (custodian) and register (role)
//	entity    for each target: its source, with the controller, the register and the basis (BasisExtension)
//	text      the same in Finnish, with the duties of 703/2023 §§ 39 and 48
func Provenance(records []Record) *fhir.Value {
	first := &records[0]
	targets, entities, policies := fhir.NewArray(), fhir.NewArray(), fhir.NewArray()
	agents := fhir.NewArray(first.recipient())
	seen := map[string]bool{}
	once := func(list *fhir.Value, key string, v *fhir.Value) {
		if !seen[key] {
			seen[key] = true
			list.Append(v)
		}
	}
	for i := range records {
		r := &records[i]
		for _, b := range r.Bases {
			policy := terms.LegalBasisPolicy(b.ID)
			once(policies, policy, text(policy))
		}
		if r.Controller != "" {
			once(agents, r.Controller+"|"+string(r.Register), r.custodian())
		}
		for _, e := range r.disclosed() {
			once(targets, e.What, reference(e.What))
			once(entities, e.What+"|"+r.Controller+"|"+string(r.Register), r.origin(e))
		}
	}
	policies.Append(text(terms.LegalBasisPolicy(OnwardDuty)))
	at := fhir.NewString(first.Time.UTC().Format(timeForm))
	return object(
		"resourceType", text("Provenance"),
		"text", object("status", text("generated"), "div", fhir.NewString(told(records))),
		"target", targets,
		"occurredDateTime", at,
		"recorded", at,
		"policy", policies,
		"reason", first.purposes(),
		"activity", concept(systemLifecycle, "disclose", "Disclose Record Lifecycle Event"),
		"agent", agents,
		"entity", entities,
	)
}

// recipient is who received: the person, or without one the system, for the unit.
func (r *Record) recipient() *fhir.Value {
	who := object("reference", text(r.Actor.Person), "display", text(r.Actor.Name))
	switch {
	case r.Actor.Person != "":
	case r.Actor.User != "":
		who = object("identifier", object("value", text(r.Actor.User)), "display", text(r.Actor.Name))
	default:
		who = client(r.Actor.App)
	}
	behalf := r.Actor.Unit
	if behalf == "" {
		behalf = r.Actor.Controller
	}
	agent := object("type", concept(systemPart, "IRCP", "information recipient"), "who", who)
	if behalf != "" {
		agent.Set("onBehalfOf", reference(behalf))
	}
	return agent
}

// custodian is the controller and the register whose data they were.
func (r *Record) custodian() *fhir.Value {
	return object(
		"type", concept(systemParticipant, "custodian", "Custodian"),
		"role", fhir.NewArray(concept(terms.Register, string(r.Register), "")),
		"who", reference(r.Controller),
	)
}

// origin is the source of one target.
func (r *Record) origin(e Entity) *fhir.Value {
	bases := fhir.NewArray()
	for _, b := range r.Bases {
		bases.Append(object("url", text(BasisExtension), "valueCoding",
			coding(terms.LegalBasis, b.ID, strings.TrimSpace(b.Citation+" "+b.TitleFi))))
	}
	var agents *fhir.Value
	if r.Controller != "" {
		agents = fhir.NewArray(r.custodian())
	}
	return object("extension", filled(bases), "role", text("source"), "what", reference(e.What), "agent", agents)
}

// registers are the registers' names in Finnish.
var registers = map[consent.Register]string{consent.Health: "potilasrekisteri", consent.Social: "sosiaalihuollon asiakasrekisteri"}

// told is the Provenance in Finnish, as XHTML.
func told(records []Record) string {
	var b strings.Builder
	put := func(s string) { b.WriteString(html.EscapeString(s)) }
	b.WriteString(`<div xmlns="http://www.w3.org/1999/xhtml" lang="fi" xml:lang="fi"><p>`)
	put("Luovutetut tiedot, " + records[0].Time.UTC().Format("2.1.2006 15.04") + " UTC.")
	b.WriteString("</p><ul>")
	for i := range records {
		r := &records[i]
		var bases, what []string
		for _, basis := range r.Bases {
			bases = append(bases, basis.Citation+" "+basis.TitleFi)
		}
		for _, e := range r.disclosed() {
			ref, _, _ := strings.Cut(e.What, "/_history/")
			what = append(what, ref)
		}
		source := registers[r.Register]
		if source == "" {
			source = string(r.Register)
		}
		b.WriteString("<li>")
		put(strings.Join(what, ", ") + ". Lähde: " + source + ", " + r.Controller + ". Peruste: " + strings.Join(bases, "; ") + ".")
		b.WriteString("</li>")
	}
	b.WriteString("</ul><p>")
	put("Vastaanottaja kirjaa, mitä tietoja se on saanut, mistä, milloin ja millä perusteella (703/2023 39 §), pitää ne salassa " +
		"ja käyttää niitä vain siihen tarkoitukseen, johon ne on luovutettu (703/2023 48 §).")
	b.WriteString("</p></div>")
	return b.String()
}
