package ledger

import (
	"encoding/base64"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"sotesilta/consent"
	"sotesilta/internal/fhir"
	"sotesilta/internal/terms"
)

// Code systems of the FHIR view that are not ours.
const (
	systemType      = "http://terminology.hl7.org/CodeSystem/audit-event-type"
	systemRest      = "http://hl7.org/fhir/restful-interaction"
	systemDCM       = "http://dicom.nema.org/resources/ontology/DCM"
	systemLifecycle = "http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle"
	systemObject    = "http://terminology.hl7.org/CodeSystem/object-role"
	systemEntity    = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
	systemResource  = "http://hl7.org/fhir/resource-types"
	systemDataLife  = "http://terminology.hl7.org/CodeSystem/dicom-audit-lifecycle"
	systemPart      = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
	systemRoleClass = "http://terminology.hl7.org/CodeSystem/v3-RoleClass"
	systemReason    = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
	systemSource    = "http://terminology.hl7.org/CodeSystem/security-source-type"
	systemSNOMED    = CustodianSystem
	systemBALP      = "https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType"
	systemAgent     = "https://profiles.ihe.net/ITI/BALP/CodeSystem/UserAgentTypes"
	profileBALP     = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit."
	absentReason    = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"

	// CustodianSystem is the code system of the agent whose data it is; no other agent's type is of it.
	CustodianSystem = "http://snomed.info/sct"
	// APIClient names API clients where FHIR wants an Identifier.
	APIClient = terms.Base + "NamingSystem/api-client"
	// policyVersion names the hash of the policies in force.
	policyVersion = terms.Base + "NamingSystem/policy-version"
)

// shape is how an interaction looks as an AuditEvent.
type shape struct {
	action  string // AuditEvent.action
	rest    string // code of restful-interaction; "" when it is not REST
	ours    bool   // the interaction itself is a code of terms.Interaction
	profile string // BALP profile of a success, with Patient before it when there is a client
	inbound bool   // what moves comes from the API client: it is the source role (BALP Create, Update, Query)
}

// shapes holds the interactions that the gateway records. Another one is shown as an execution of our own code.
var shapes = map[string]shape{
	"read":             {action: "R", rest: "read", profile: "Read"},
	"vread":            {action: "R", rest: "vread", profile: "Read"},
	"history-instance": {action: "R", rest: "history-instance"},
	"history-type":     {action: "R", rest: "history-type"},
	"history-system":   {action: "R", rest: "history-system"},
	"search-system":    {action: "E", rest: "search-system", profile: "Query", inbound: true},
	"search-type":      {action: "E", rest: "search-type", profile: "Query", inbound: true},
	"create":           {action: "C", rest: "create", profile: "Create", inbound: true},
	"update":           {action: "U", rest: "update", profile: "Update", inbound: true},
	"patch":            {action: "U", rest: "patch", profile: "Update", inbound: true},
	"delete":           {action: "D", rest: "delete", profile: "Delete", inbound: true},
	"everything":       {action: "E", rest: "operation", ours: true, inbound: true},
	"export":           {action: "E", rest: "operation", ours: true, inbound: true},
	"match":            {action: "E", rest: "operation", ours: true, inbound: true},
	"apply":            {action: "E", rest: "operation", ours: true, inbound: true},
	"receive":          {action: "C", ours: true, inbound: true},
	"notify":           {action: "R", ours: true},

	"disclosure-report": {action: "R", rest: "operation", ours: true},
}

// writes are the actions whose user is an author, not a recipient of information (BALP value set DataSources).
const writes = "CUD"

// AuditEvent is the record as a FHIR R4 AuditEvent in the shapes of IHE BALP 1.1.3 (compact JSON). seq is its place in
// the ledger, -1 while it has none. A disclosure that happened has the shape PrivacyDisclosure.Source; everything
// else that of its interaction. A BALP profile is claimed in meta.profile only by what succeeded, as BALP asks. The
// README of this package says where each content of 703/2023 § 10 lies.
func (r *Record) AuditEvent(seq int64) []byte { return r.view(seq).JSON() }

func (r *Record) view(seq int64) *fhir.Value {
	s, known := shapes[r.Interaction]
	if !known {
		s = shape{action: "E", ours: true}
	}
	disclosed := r.Disclosed()
	if disclosed {
		s.action, s.inbound = "R", false
	}
	outcome := "0"
	if r.Outcome != permitted || !r.Success {
		// R4's audit-event-outcome: 4 is what HTTP tells by a 4xx, as a denial is; 8 would be a fault of the gateway.
		outcome = "4"
	}
	recorded := fhir.NewString(r.Time.UTC().Format(timeForm))
	return object(
		"resourceType", text("AuditEvent"),
		"id", text(r.ID),
		"meta", object("versionId", text("1"), "lastUpdated", recorded, "profile", r.profile(s, disclosed)),
		"type", r.eventType(s, disclosed),
		"subtype", r.subtypes(s, disclosed),
		"action", text(s.action),
		"recorded", recorded,
		"outcome", text(outcome),
		"outcomeDesc", text(r.said()),
		"purposeOfEvent", r.purposes(),
		"agent", fhir.NewArray(r.agents(s, disclosed)...),
		"source", object(
			"site", text(Origin),
			"observer", gateway(),
			"type", fhir.NewArray(coding(systemSource, "4", "Application Server")),
		),
		"entity", fhir.NewArray(r.entities(s, disclosed, seq)...),
	)
}

// Disclosed says whether the record tells of a disclosure that happened: data about a client left to somebody.
func (r *Record) Disclosed() bool {
	return r.Disclosure && r.Success && r.Outcome == permitted && r.Client != "" && len(r.Entities) > 0 &&
		(shapes[r.Interaction].action == "" || !strings.Contains(writes, shapes[r.Interaction].action))
}

const permitted = "permit"

// said is the true reason in a line, for supervision.
func (r *Record) said() string {
	parts := []string{r.Outcome}
	if r.Outcome == permitted && !r.Success {
		parts = append(parts, "nothing was done")
	}
	if r.Reason != "" {
		parts = append(parts, r.Reason)
	}
	return strings.Join(parts, ": ")
}

// profile is the BALP profile that the event meets.
func (r *Record) profile(s shape, disclosed bool) *fhir.Value {
	name := s.profile
	switch {
	case r.Outcome != permitted || !r.Success:
		return nil
	case disclosed:
		name = "PrivacyDisclosure.Source"
	case name == "", name == "Query" && !r.showsQuery(), name != "Query" && len(r.Entities) != 1:
		return nil // BALP: exactly one query, or one object
	case r.Client != "":
		name = "Patient" + name
	}
	return fhir.NewArray(text(profileBALP + name))
}

func (r *Record) eventType(s shape, disclosed bool) *fhir.Value {
	switch {
	case disclosed || r.Interaction == "notify":
		return coding(systemDCM, "110106", "Export")
	case r.Interaction == "receive":
		return coding(systemDCM, "110107", "Import")
	case r.Interaction == Erase, r.Interaction == "disclosure-report":
		return coding(systemDCM, "110101", "Audit Log Used")
	default:
		return coding(systemType, "rest", "RESTful Operation")
	}
}

func (r *Record) subtypes(s shape, disclosed bool) *fhir.Value {
	list := fhir.NewArray()
	if disclosed {
		list.Append(coding(systemLifecycle, "disclose", "Disclose Record Lifecycle Event"))
	}
	if s.rest != "" {
		list.Append(coding(systemRest, s.rest, s.rest))
	}
	if s.ours {
		list.Append(coding(terms.Interaction, r.Interaction, ""))
	}
	return list
}

// Subtyped tells which records show a code in AuditEvent.subtype: those of some interactions, or, for the code disclose,
// those that Disclosed says. system is "" for any. Nothing is shown of other systems and codes.
func Subtyped(system, code string) (interactions []string, disclosed bool) {
	if disclosed = code == "disclose" && (system == "" || system == systemLifecycle); disclosed {
		return nil, true
	}
	if system == "" || system == systemRest {
		for name, s := range shapes {
			if s.rest != "" && s.rest == code {
				interactions = append(interactions, name)
			}
		}
	}
	if s, known := shapes[code]; (system == "" || system == terms.Interaction) && (s.ours || !known) && !slices.Contains(interactions, code) {
		interactions = append(interactions, code)
	}
	slices.Sort(interactions)
	return interactions, false
}

// reasons are the codes of v3-PurposeOfUse that say the same as a purpose of ours.
var reasons = map[consent.Purpose]string{consent.Care: "TREAT", consent.Emergency: "ETREAT", consent.OwnData: "PATRQT"}

// PurposeOfUse is the code system of what Reasons gives.
const PurposeOfUse = systemReason

// Reasons are the codes of PurposeOfUse by the purposes of ours that they say the same as.
func Reasons() map[consent.Purpose]string { return maps.Clone(reasons) }

func (r *Record) purposes() *fhir.Value {
	if r.Purpose == "" {
		return nil
	}
	codings := fhir.NewArray(coding(terms.Purpose, string(r.Purpose), ""))
	if code := reasons[r.Purpose]; code != "" {
		codings.Append(coding(systemReason, code, ""))
	}
	return fhir.NewArray(object("coding", codings))
}

// gateway is who records: this gateway.
func gateway() *fhir.Value {
	return object("identifier", object("value", text(Origin)), "display", text("Sotesilta"))
}

func (r *Record) agents(s shape, disclosed bool) []*fhir.Value {
	source, destination := concept(systemDCM, "110153", "Source Role ID"), concept(systemDCM, "110152", "Destination Role ID")
	ours, theirs := source, destination
	if s.inbound {
		ours, theirs = destination, source
	}
	var policy *fhir.Value
	if len(r.Bases) > 0 {
		policy = fhir.NewArray()
		for _, b := range r.Bases {
			policy.Append(text(terms.LegalBasisPolicy(b.ID)))
		}
	}
	var out []*fhir.Value
	// The user; without one the API client asks for itself.
	user := r.Actor.Person != "" || r.Actor.User != "" || r.Actor.Name != ""
	if user {
		typ := concept(systemPart, "IRCP", "information recipient")
		if strings.Contains(writes, s.action) {
			typ = concept(systemPart, "AUT", "author (originator)")
		}
		who := object("reference", text(r.Actor.Person), "display", text(r.Actor.Name))
		if r.Actor.Person == "" {
			who = object("identifier", object("value", text(r.Actor.User)), "display", text(r.Actor.Name))
		}
		roles := fhir.NewArray()
		for _, code := range []string{r.Actor.Task, r.Actor.Service} {
			if code != "" {
				roles.Append(concept(terms.AccessTask, code, ""))
			}
		}
		out = append(out, object(
			"type", typ, "role", filled(roles), "who", who, "altId", text(r.Actor.User), "name", text(r.Actor.Name),
			"requestor", fhir.NewBool(true), "policy", policy, "purposeOfUse", r.purposes(),
		))
		policy = nil
	}
	app := object(
		"type", theirs, "who", client(r.Actor.App), "requestor", fhir.NewBool(!user), "policy", policy, "network", unrecorded(),
	)
	if !user {
		app.Set("purposeOfUse", r.purposes())
	}
	switch {
	case r.Recipient != "" && r.Recipient != r.Actor.App: // pushed by one to another: the other is the destination
		app.Set("type", concept(systemDCM, "110150", "Application"))
		out = append(out, app, object("type", theirs, "who", client(r.Recipient), "requestor", fhir.NewBool(false), "network", unrecorded()))
	case r.Actor.App != "":
		out = append(out, app)
	}
	out = append(out, object("type", ours, "who", gateway(), "requestor", fhir.NewBool(false), "network", unrecorded()))
	// The organisations: the actor's unit and controller, then whose data it is.
	for _, org := range []struct{ who, as string }{{r.Actor.Unit, "unit"}, {r.Actor.Controller, "controller"}} {
		if org.who != "" {
			out = append(out, object(
				"type", concept(systemRoleClass, "PROV", "healthcare provider"), "role", fhir.NewArray(object("text", text(org.as))),
				"who", object("reference", text(org.who)), "requestor", fhir.NewBool(false),
			))
		}
	}
	if r.Controller != "" {
		var role *fhir.Value
		if r.Register != "" {
			role = fhir.NewArray(concept(terms.Register, string(r.Register), ""))
		}
		out = append(out, object(
			"type", concept(systemSNOMED, "159541003", "Record keeping/library clerk"), "role", role,
			"who", object("reference", text(r.Controller)), "requestor", fhir.NewBool(false),
		))
	}
	return out
}

// client names an API client.
func client(app string) *fhir.Value {
	return object("identifier", object("system", text(APIClient), "value", text(app)))
}

// unrecorded stands for a network address: BALP asks for one, and a record holds none.
func unrecorded() *fhir.Value {
	return object("extension", fhir.NewArray(object("url", text(absentReason), "valueCode", text("unsupported"))))
}

// showsQuery says whether the event carries what was asked for as a query.
func (r *Record) showsQuery() bool {
	return r.Query != "" || strings.HasPrefix(r.Interaction, "search-") && r.Client == ""
}

func (r *Record) entities(s shape, disclosed bool, seq int64) []*fhir.Value {
	var out []*fhir.Value
	if r.Client != "" {
		out = append(out, object(
			"what", reference("Patient/"+r.Client),
			"type", coding(systemEntity, "1", "Person"), "role", coding(systemObject, "1", "Patient"),
		))
	}
	for _, e := range r.Entities {
		out = append(out, r.data(e, disclosed))
	}
	if ref := unversioned(r.Target); len(r.Entities) == 0 && ref != "" { // asked for, and nothing moved
		out = append(out, r.data(Entity{What: r.Target}, false))
	}
	if r.showsQuery() {
		asked := r.Target
		if r.Query != "" {
			asked += "?" + r.Query
		}
		out = append(out, object(
			"type", coding(systemEntity, "2", "System Object"), "role", coding(systemObject, "24", "Query"),
			"description", text(asked), "query", text(base64.StdEncoding.EncodeToString([]byte(asked))),
		))
	}
	for _, ref := range r.Directives {
		weighed := "directive that weighed"
		if slices.Contains(r.Bans, ref) {
			weighed = "ban that weighed"
		}
		out = append(out, object(
			"what", reference(ref), "type", coding(systemResource, "Consent", "Consent"),
			"role", coding(systemObject, "13", "Security Resource"), "description", text(weighed),
		))
	}
	for _, ref := range r.Evidence {
		typ, _, _ := strings.Cut(ref, "/")
		out = append(out, object(
			"what", reference(ref), "type", coding(systemResource, typ, ""),
			"role", coding(systemObject, "13", "Security Resource"), "description", text("relationship that weighed"),
		))
	}
	out = append(out, object(
		"what", object("identifier", object("value", text(r.Exchange))), "type", coding(systemBALP, "XrequestId", ""),
	))
	if r.TokenID != "" {
		out = append(out, object(
			"what", object("identifier", object("value", text("urn:ietf:params:oauth:jti:"+r.TokenID))),
			"type", coding(systemAgent, "UserOauthAgent", ""),
		))
	}
	return append(out, r.decision(seq))
}

// lifecycles tells by an entity's role what happened to it (dicom-audit-lifecycle).
var lifecycles = map[string]*fhir.Value{
	"match":    coding(systemDataLife, "6", "Access / Use"),
	"include":  coding(systemDataLife, "6", "Access / Use"),
	"created":  coding(systemDataLife, "1", "Origination / Creation"),
	"updated":  coding(systemDataLife, "3", "Amendment"),
	"deleted":  coding(systemDataLife, "14", "Logical deletion"),
	"sent":     coding(systemDataLife, "10", "Export"),
	RoleErased: coding(systemDataLife, "15", "Permanent erasure / Physical destruction"),
}

// data is one thing that moved or was asked for.
func (r *Record) data(e Entity, disclosed bool) *fhir.Value {
	life := lifecycles[e.Role]
	if disclosed && e.Role != "created" {
		life = coding(systemDataLife, "11", "Disclosure")
	}
	typ, _, local := strings.Cut(e.What, "/")
	// BALP tells its slices apart by the type: of a search 2 is the query alone.
	kind := coding(systemResource, typ, "")
	if shape := shapes[r.Interaction]; shape.profile != "" && shape.profile != "Query" && !disclosed {
		kind = coding(systemEntity, "2", "System Object")
	}
	what := reference(e.What)
	if !local || e.Role == RoleErased {
		what, kind = object("identifier", object("value", text(e.What))), coding(systemEntity, "4", "Other")
	}
	class := r.classOf(typ)
	return object(
		"what", what, "type", kind, "role", coding(systemObject, "4", "Domain Resource"), "lifecycle", life,
		"securityLabel", labels(class), "description", text(e.Role),
		"detail", details([][2]string{{"service-event", class.ServiceEvent}, {"process", class.Process}}),
	)
}

// classOf is the class that all data of a type in the record have, or as much of it as is certain.
func (r *Record) classOf(typ string) consent.Class {
	var found *consent.Class
	for i := range r.Classes {
		if r.Classes[i].Type != typ {
			continue
		}
		if found != nil {
			return consent.Class{Register: r.Register}
		}
		found = &r.Classes[i]
	}
	if found == nil {
		return consent.Class{Register: r.Register}
	}
	return *found
}

// labels are the labels of a class as they stand in meta.security of its rows.
func labels(c consent.Class) *fhir.Value {
	list := fhir.NewArray()
	for _, register := range []consent.Register{consent.Health, consent.Social, consent.Identity, consent.Directory, consent.Directive} {
		if c.In(register) {
			list.Append(coding(terms.Register, string(register), ""))
		}
	}
	for _, l := range [][2]string{{terms.ServiceTask, c.ServiceTask}, {terms.DataClass, c.DataClass}, {terms.Protection, c.Protection}} {
		if l[1] != "" {
			list.Append(coding(l[0], l[1], ""))
		}
	}
	return filled(list)
}

// decision is what the exchange rested on, for people and for repeating it.
func (r *Record) decision(seq int64) *fhir.Value {
	place := "pending"
	if seq >= 0 {
		place = strconv.FormatInt(seq, 10)
	}
	kind := "use"
	if r.Disclosure {
		kind = "disclosure"
	}
	rows := append([][2]string{{"ledger", place}, {"decision", r.Outcome}, {"kind", kind}}, r.retained()...)
	for _, b := range r.Bases {
		rows = append(rows, [2]string{"basis", b.ID}, [2]string{"citation", strings.TrimSpace(b.Citation + " " + b.TitleEn)})
	}
	for _, o := range r.Obligations {
		rows = append(rows, [2]string{"obligation", o})
	}
	if r.Facts > 0 {
		rows = append(rows, [2]string{"facts", strconv.FormatInt(r.Facts, 10)})
	}
	rows = append(
		rows,
		[2]string{"policy", r.Policy}, [2]string{"role", r.Actor.Role},
		[2]string{"asserted-task", r.Assertion.Task}, [2]string{"asserted-service", r.Assertion.Service},
		[2]string{"asserted-ground", r.Assertion.Ground}, [2]string{"asserted-reason", r.Assertion.Reason},
	)
	for _, name := range slices.Sorted(maps.Keys(r.Assertion.Facts)) {
		rows = append(rows, [2]string{"asserted-fact", name + ": " + r.Assertion.Facts[name]})
	}
	if r.Assertion.Confirm {
		rows = append(rows, [2]string{"confirmed", "true"})
	}
	for _, c := range r.Classes {
		rows = append(rows, [2]string{"class", describe(c)})
	}
	var what *fhir.Value
	if r.Policy != "" {
		what = object("identifier", object("system", text(policyVersion), "value", text(r.Policy)))
	}
	return object("what", what, "type", coding(systemEntity, "4", "Other"), "name", text("decision"), "detail", details(rows))
}

// describe is a class in a line.
func describe(c consent.Class) string {
	parts := []string{c.Type}
	for _, p := range [][2]string{
		{"register", string(c.Register)},
		{"controller", c.Controller},
		{"unit", c.Unit},
		{"process", c.Process},
		{"invitation", c.Invitation},
		{"service task", c.ServiceTask},
		{"data class", c.DataClass},
		{"protection", c.Protection},
		{"service event", c.ServiceEvent},
		{"author", c.Author},
	} {
		if p[1] != "" {
			parts = append(parts, p[0]+" "+p[1])
		}
	}
	if c.Joint {
		parts = append(parts, "joint")
	}
	return strings.Join(parts, "; ")
}

// The rest builds FHIR values: what is empty is left out, since FHIR knows no empty values (FHIR R4 § 2.6.2).

// object takes names and values in turn.
func object(members ...any) *fhir.Value {
	list := make([]fhir.Member, 0, len(members)/2)
	for i := 0; i < len(members); i += 2 {
		list = append(list, fhir.Member{Name: members[i].(string), Value: members[i+1].(*fhir.Value)})
	}
	return fhir.NewObject(list...)
}

// text is a FHIR string without control characters, or nil.
func text(s string) *fhir.Value {
	s = strings.TrimSpace(strings.Map(func(c rune) rune {
		if unicode.IsControl(c) {
			return ' '
		}
		return c
	}, s))
	if s == "" {
		return nil
	}
	return fhir.NewString(s)
}

func coding(system, code, display string) *fhir.Value {
	return object("system", text(system), "code", text(code), "display", text(display))
}

func concept(system, code, display string) *fhir.Value {
	return object("coding", fhir.NewArray(coding(system, code, display)))
}

func reference(ref string) *fhir.Value { return object("reference", text(ref)) }

func details(rows [][2]string) *fhir.Value {
	list := fhir.NewArray()
	for _, row := range rows {
		if value := text(row[1]); value != nil {
			list.Append(object("type", text(row[0]), "valueString", value))
		}
	}
	return filled(list)
}

func filled(list *fhir.Value) *fhir.Value {
	if len(list.Items()) == 0 {
		return nil
	}
	return list
}
