package directive

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"sotesilta/consent"
	"sotesilta/internal/constraints"
	"sotesilta/internal/fhir"
	"sotesilta/internal/terms"
)

// Profiles are the shapes of the package comment as profiles of Consent and Provenance, made of the tables that Read and
// CheckProvenance go by. They say what can be said of a resource by itself: what Read accepts they accept, and what they
// refuse Read refuses.
func Profiles() []constraints.Shape {
	return []constraints.Shape{
		permitShape(), banShape(),
		{
			ID: "directive-denial", Type: "Consent", Title: "Alaikäisen kielto huoltajalle",
			Description: "A minor's denial of giving social care data to the guardian, for a weighty reason (703/2023 §§ 40 and 51.2).",
			Elements: append(whole("denial", consent.Denial, "ATL-51", denialParts),
				constraints.Element{Path: "provision", Min: 1}, constraints.Element{Path: "provision.type", Min: 1, Code: "deny"},
				rule("denial-reason", "The minor's weighty reason is recorded.", "extension.where(url = '"+WeightyReason+"').value.ofType(string).exists()"),
			),
		},
		assentShape(), provenanceShape(),
	}
}

// rule is an invariant of the resource itself.
func rule(key, human, expression string) constraints.Element {
	return constraints.Element{Rules: []constraints.Rule{{Key: key, Human: human, Expression: expression}}}
}

// coded are the codings of a path that are of a system.
func coded(path, system string) string { return path + ".where(system = '" + system + "')" }

// bases are the rows of the table of legal bases that a Consent names.
var bases = "(" + coded("policyRule.coding", terms.LegalBasis) + " | " + coded("category.coding", terms.LegalBasis) + ").code"

// whole is what a directive of every kind is: its client, its kind, its own row, and no part that is not acted on.
func whole(key string, kind consent.Will, row string, parts []string) []constraints.Element {
	kinds := map[consent.Will]string{consent.Permit: "permit", consent.Ban: "ban", consent.Denial: "denial", consent.Assent: "consent"}
	out := []constraints.Element{
		{Path: "implicitRules", Max: "0"},
		{Path: "modifierExtension", Max: "0"},
		{Path: "patient", Min: 1, Targets: []string{"Patient"}},
		rule(key+"-kind", "A directive is one permit, one ban, one denial or one consent.",
			coded("category.coding", terms.Directive)+".all(code = '"+kinds[kind]+"')"),
	}
	if kind == consent.Permit {
		out = append(out, rule(key+"-direction", "A permit has one direction: 1, 2, 3 or 4 of permit-direction.",
			fmt.Sprintf("%s.code.distinct().count() = 1 and %s.all(code in %s)", coded("category.coding", terms.PermitCategory),
				coded("category.coding", terms.PermitCategory), constraints.Among(slices.Sorted(maps.Keys(directions))...))))
	} else {
		out = append(out, rule(key+"-category", "Consent.category says which directive it is.",
			coded("category.coding", terms.Directive)+".exists() and "+coded("category.coding", terms.PermitCategory)+".empty()"))
	}
	if row != "" {
		out = append(out, rule(key+"-row", "The legal basis that the directive names is its own: "+row+".", bases+".all($this = '"+row+"')"))
	}
	return append(out, without("provision", parts)...)
}

// without are the elements of a provision that are not among its parts: each is left out.
func without(path string, parts []string) []constraints.Element {
	var out []constraints.Element
	provision := fhir.DefinitionOf("Consent").Members("provision")[0].Type
	for _, name := range provision.Names() {
		if name != "id" && name != "extension" && !slices.Contains(parts, name) {
			out = append(out, constraints.Element{Path: path + "." + name, Max: "0"})
		}
	}
	return out
}

func permitShape() constraints.Shape {
	const target = "provision.provision"
	elements := whole("permit", consent.Permit, "", permitParts)
	elements = append(elements, without(target, targetParts)...)
	for _, code := range slices.Sorted(maps.Keys(directions)) {
		d := directions[code]
		of := coded("category.coding", terms.PermitCategory) + ".where(code = '" + code + "').exists() implies "
		elements = append(elements, rule("permit-row-"+code, "The legal basis of a permit of direction "+code+" is "+d.row+".", of+bases+".all($this = '"+d.row+"')"))
		switch {
		case d.from == d.to:
			elements = append(elements, rule("permit-general-"+code, "A permit within a sector covers all data of the sector and has no target (703/2023 §§ 54.1 and 55.1).",
				of+target+".empty()"))
		case d.from == consent.Health:
			elements = append(elements, rule("permit-class-"+code, "A permit on patient data names patient-summary, service-event or statement (457/2024 § 25.1).",
				of+target+".class.all(code in "+constraints.Among(healthChoices...)+" and extension.empty())"))
		default:
			elements = append(elements, rule("permit-class-"+code, "A permit on social care data names its service tasks (703/2023 § 53.3; 457/2024 § 25).",
				fmt.Sprintf("%s(%s.class.extension.where(url = '%s').exists() and %s.class.all(code = '%s' and extension.all(url = '%s' and value.system = '%s' and value.code.exists())))",
					of, target, FunctionCode, target, SocialData, FunctionCode, terms.ServiceTask)))
		}
	}
	return constraints.Shape{
		ID: "directive-permit", Type: "Consent", Title: "Luovutuslupa",
		Description: "The client's specified permission for disclosure, in the shape of Kanta's SoTeConsent (703/2023 §§ 53–55; 457/2024 § 25).",
		Elements: append(
			elements,
			rule("permit-type", "A permit permits.", "provision.type.all($this = 'permit')"),
			constraints.Element{Path: target, Max: "1"},
			constraints.Element{Path: target + ".type", Min: 1, Code: "permit"},
			constraints.Element{Path: target + ".actor.reference", Targets: []string{"Organization"}},
			constraints.Element{Path: target + ".class", Max: fmt.Sprint(maxClasses), Rules: []constraints.Rule{{
				Key: "permit-class", Human: "The data of a permit are classes of " + terms.DataClass + ".", Expression: "system = '" + terms.DataClass + "'",
			}}},
		),
	}
}

func banShape() constraints.Shape {
	const register = "provision.class.where(system = '" + terms.Register + "')"
	one := func(exists string) string { return "iif(" + exists + ", 1, 0)" }
	kinds := []string{
		one(register + ".exists()"), one("provision.class.where(system = '" + terms.ServiceTask + "').exists()"),
		one("provision.data.reference.where(reference.startsWith('Encounter/')).exists()"),
		one("provision.data.reference.where(reference.startsWith('Encounter/').not()).exists()"),
	}
	return constraints.Shape{
		ID: "directive-ban", Type: "Consent", Title: "Luovutuskielto",
		Description: "The client's denial of disclosure, which names the source of the data (703/2023 § 59).",
		Elements: append(
			whole("ban", consent.Ban, "ATL-59", banParts),
			constraints.Element{Path: "provision", Min: 1},
			constraints.Element{Path: "provision.type", Min: 1, Code: "deny"},
			constraints.Element{Path: "provision.actor", Max: "1"},
			constraints.Element{Path: "provision.actor.reference", Targets: []string{"Organization"}},
			constraints.Element{Path: "provision.data.meaning", Code: "instance"},
			constraints.Element{Path: "provision.class", Rules: []constraints.Rule{{
				Key: "ban-class", Human: "A ban names a register (health, social) or a service task.",
				Expression: fmt.Sprintf("(system = '%s' and code in %s) or (system = '%s' and code.exists())",
					terms.Register, constraints.Among(string(consent.Health), string(consent.Social)), terms.ServiceTask),
			}}},
			rule("ban-target", "A ban has one kind of target: a register, service tasks, service events or documents.", strings.Join(kinds, " + ")+" = 1"),
			rule("ban-register", "A ban names one register; give one ban for each.", register+".count() <= 1"),
			rule("ban-controller", "A ban names a controller together with its register only, and a ban on a social care register names it (703/2023 § 59.1).",
				"(provision.actor.exists() implies "+register+".exists()) and ("+register+".where(code = '"+string(consent.Social)+"').exists() implies provision.actor.exists())"),
		),
	}
}

func assentShape() constraints.Shape {
	elements := append(
		whole("consent", consent.Assent, "", assentParts),
		rule("consent-type", "A consent permits.", "provision.type.all($this = 'permit')"),
		rule("consent-row", "A consent names the one provision that asks for it: "+strings.Join(assents, ", ")+".",
			bases+".distinct().count() = 1 and "+bases+".all($this in "+constraints.Among(assents...)+")"),
	)
	for _, row := range slices.Sorted(maps.Keys(agreed)) {
		elements = append(elements, rule("consent-agreed-"+strings.ToLower(row), "The client agrees on recipients: the consent names them ("+agreed[row]+").",
			bases+".where($this = '"+row+"').exists() implies provision.actor.exists()"))
	}
	return constraints.Shape{
		ID: "directive-consent", Type: "Consent", Title: "Suostumus",
		Description: "A consent where a statute asks for one, such as 1301/2014 § 35.", Elements: elements,
	}
}

func provenanceShape() constraints.Shape {
	in := func(path string) string { return coded(path+".coding", RoleCategory) }
	of := func(role string) string { // as RoleOf: by type, otherwise by role
		return fmt.Sprintf("agent.where(iif(%s.exists(), %s.first().code, %s.first().code) = '%s')", in("type"), in("type"), in("role"), role)
	}
	elements := []constraints.Element{
		rule("provenance-target", "The Provenance of a directive is about its Consent (TIP-PROV).",
			"target.reference.where(startsWith('Consent/') or contains('/Consent/') or startsWith('urn:uuid:')).exists()"),
		rule("provenance-unit", "A professional (2) is named with the service unit (7), and the unit with the professional (TIP-PROV).",
			of(RoleProfessional)+".exists() = "+of(RoleServiceUnit)+".exists()"),
		rule("provenance-giver", "Either the client (12) gave the directive or the legal representative (5) did (TIP-PROV).",
			"("+of(RoleClient)+".exists() and "+of(RoleRepresentative)+".exists()).not()"),
		rule("provenance-shown", "A directive shows who gave it, or the professional who received it: an agent with the role 12, 5 or 2.",
			of(RoleProfessional)+".exists() or "+of(RoleClient)+".exists() or "+of(RoleRepresentative)+".exists()"),
		rule("provenance-informed", "When the client was informed is a valueDateTime.", "extension.where(url = '"+Informed+"').all(value is dateTime)"),
	}
	for _, role := range roles {
		elements = append(elements, rule("provenance-once-"+role, "The role "+role+" is named once (TIP-PROV).", of(role)+".count() <= 1"))
	}
	return constraints.Shape{
		ID: "directive-provenance", Type: "Provenance", Title: "Tahdonilmaisun alkuperä",
		Description: "Who gave a directive and who received it, written in one transaction with its Consent (Kanta, TIP-PROV-1 to 4; 703/2023 § 58).",
		Elements:    elements,
	}
}
