package rest

import (
	"context"
	"net/http"
	"slices"
	"strconv"

	"sotesilta/gateway/exchange"
	"sotesilta/internal/constraints"
	"sotesilta/internal/fhir"
)

// coreProfiles begins the canonical URL of the definition of each type (FHIR R4 § 5.3).
const coreProfiles = "http://hl7.org/fhir/StructureDefinition/"

// Validate is $validate (FHIR R4 § 3.2.0.2.1) of every type that may be written: at [base]/Type/$validate, and at
// [base]/Type/id/$validate of what would become the next version or, with no body, of what is kept, which is read as any
// read is. The body is the resource itself or Parameters with resource, mode (create, update, profile) and profile.
//
// The answer is always an OperationOutcome with all that was found: what would refuse the resource as errors, warnings
// that refuse nothing, and a word where there is nothing to say. Profiles are those that a resource claims or that are asked
// for, of profiles; others are told as not known. A resource that is only looked at makes no record: 703/2023
// § 10 logs the use and disclosure of a register's data, with whose register it is and whose data they are; here nothing of
// any register is used or given and nothing is kept, the sender has the data already, and its own log tells that it used
// them. Asked about what is kept, it is a read and is recorded as one.
func Validate(desk Desk, types []Type, profiles constraints.Profiles) []Operation {
	var out []Operation
	for _, t := range types {
		for _, instance := range []bool{false, true} {
			v := validation{desk: desk, typ: t.Name, profiles: profiles}
			writable := false
			for _, i := range t.Interactions {
				writable = writable || i == exchange.Create
			}
			if writable {
				out = append(out, Operation{
					Type: t.Name, Name: "validate", Instance: instance, Reads: true, Unread: true,
					Beside:        map[string]string{"mode": "valueCode", "profile": "valueUri"},
					Definition:    "http://hl7.org/fhir/OperationDefinition/Resource-validate",
					Documentation: "Tells everything that is wrong with a resource, warnings included, and keeps nothing.",
					Handle:        v.handle,
				})
			}
		}
	}
	return out
}

type validation struct {
	desk     Desk
	typ      string
	profiles constraints.Profiles
}

func (v validation) handle(ctx context.Context, c exchange.Caller, id string, in *fhir.Value) (*exchange.Resource, error) {
	if c.Allows == nil || !c.Allows(v.typ, exchange.Create) && !c.Allows(v.typ, exchange.Update) && !c.Allows(v.typ, exchange.Read) {
		return nil, exchange.Refuse(exchange.Forbidden, "forbidden", "", "The access token's scopes allow nothing on "+v.typ+".")
	}
	doc, mode, profile := in, "", ""
	if fhir.ResourceType(in) == "Parameters" {
		if err := sound(shellOfParameters(in)); err != nil {
			return nil, err
		}
		var err error
		if doc, mode, profile, err = validationParameters(in); err != nil {
			return nil, err
		}
	}
	if doc == nil {
		if id == "" {
			return nil, refuse(http.StatusBadRequest, "required", "Parameters.parameter", "$validate takes a "+v.typ+", or Parameters with one as the parameter resource.")
		}
		kept, err := v.desk.Read(ctx, c, v.typ, id)
		if err != nil {
			return nil, err
		}
		if doc, err = fhir.Parse(kept.Body, fhir.Limits{}); err != nil {
			return nil, err
		}
	}
	issues := v.judge(doc, id, mode, profile)
	return &exchange.Resource{Type: "OperationOutcome", Body: appendOutcome(nil, issues...)}, nil
}

// judge is everything that is to be said of a resource.
func (v validation) judge(doc *fhir.Value, id, mode, profile string) []fhir.Issue {
	issues := append(fhir.ValidateAs(doc, v.typ), constraints.Check(doc, constraints.Everything)...)
	issues = append(issues, exchange.Understood(doc)...)
	found, unknown := v.profiles.Claimed(doc)
	issues = append(issues, found...)
	if asked := v.profiles.Find(profile); asked != nil {
		for _, is := range asked.Check(doc) { // what it claims too is told once
			if !slices.Contains(found, is) {
				issues = append(issues, is)
			}
		}
	} else if profile != "" && profile != coreProfiles+v.typ {
		issues = append(issues, fhir.Issue{
			Severity: "error", Code: "not-supported", Expression: v.typ,
			Diagnostics: "The profile asked for is not known here: the resource was checked against FHIR R4 only.",
		})
	}
	if len(unknown) > 0 {
		issues = append(issues, fhir.Issue{
			Severity: "warning", Code: "not-supported", Expression: v.typ + ".meta.profile",
			Diagnostics: "Profiles that are not known here are kept as claimed and not checked: " + clip(unknown[0]) + more(len(unknown)-1) + ".",
		})
	}
	if (id != "" || mode == "update") && (fhir.ID(doc) == "" || id != "" && fhir.ID(doc) != id) {
		issues = append(issues, fhir.Issue{
			Severity: "error", Code: "value", Expression: v.typ + ".id", Diagnostics: "An update's resource has the id of its address.",
		})
	}
	if len(issues) == 0 {
		issues = []fhir.Issue{{Severity: "information", Code: "informational", Diagnostics: "Nothing is wrong with the resource."}}
	}
	return issues
}

// more tells how many others there are.
func more(n int) string {
	if n == 0 {
		return ""
	}
	return " and " + strconv.Itoa(n) + " more"
}

// validationParameters reads the parameters of $validate.
func validationParameters(in *fhir.Value) (doc *fhir.Value, mode, profile string, err error) {
	const place = "Parameters.parameter"
	for _, p := range in.Get("parameter").Items() {
		switch p.Text("name") {
		case "resource":
			if doc = p.Get("resource"); doc == nil {
				return nil, "", "", refuse(http.StatusBadRequest, "required", place, "The parameter resource holds a resource.")
			}
		case "mode":
			switch mode = p.Text("valueCode"); mode {
			case "create", "update", "profile":
			default:
				return nil, "", "", refuse(http.StatusBadRequest, "not-supported", place, "The mode of $validate is create, update or profile here.")
			}
		case "profile":
			if profile = p.Text("valueUri") + p.Text("valueCanonical"); profile == "" {
				return nil, "", "", refuse(http.StatusBadRequest, "required", place, "The parameter profile has a valueUri.")
			}
		default:
			return nil, "", "", refuse(http.StatusBadRequest, "not-supported", place, "$validate has the parameters resource, mode and profile.")
		}
	}
	return doc, mode, profile, nil
}

// shellOfParameters is Parameters without the resources in it, which $validate looks at in its own way: empty Parameters,
// the least of all resources, stand in their places.
func shellOfParameters(in *fhir.Value) *fhir.Value {
	out := fhir.NewObject(in.Members()...)
	if in.Get("parameter").Kind() != fhir.Array {
		return out
	}
	parameters := fhir.NewArray()
	for _, p := range in.Get("parameter").Items() {
		if p.Kind() == fhir.Object && p.Get("resource").Kind() == fhir.Object {
			p = fhir.NewObject(p.Members()...)
			p.Set("resource", object("resourceType", "Parameters"))
		}
		parameters.Append(p)
	}
	out.Set("parameter", parameters)
	return out
}
