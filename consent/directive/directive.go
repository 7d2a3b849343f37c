package directive

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"sotesilta/consent"
	"sotesilta/internal/fhir"
	"sotesilta/internal/terms"
)

// Codes of terms.PermitCategory for the general permits within a sector; terms holds those across sectors.
const (
	PermitWithinHealth = "3" // 703/2023 § 54.1
	PermitWithinSocial = "4" // 703/2023 § 55.1
)

// SocialData is the code of terms.DataClass by which a permit on social care data carries its service tasks.
const SocialData = "social-data"

// FunctionCode is the extension on a permit's class that names a service task (palvelutehtävä) in a valueCoding.
const FunctionCode = terms.Base + "StructureDefinition/function-code"

// maxTargets bounds the recipients, service tasks, documents and service events of one directive.
const maxTargets = 200

// maxName bounds the name of a recipient who is registered nowhere, in bytes.
const maxName = 200

// Error says everything that is wrong with a directive.
type Error struct{ Issues []fhir.Issue }

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("directive:")
	for i, issue := range e.Issues {
		if i > 0 {
			b.WriteString(";")
		}
		b.WriteString(" " + issue.Expression + ": " + issue.Diagnostics)
	}
	return b.String()
}

// direction is what a permit category means.
type direction struct {
	from, to consent.Register
	row      string
}

var directions = map[string]direction{
	terms.PermitToSocial: {consent.Health, consent.Social, "ATL-53.2"},
	terms.PermitToHealth: {consent.Social, consent.Health, "ATL-53.3"},
	PermitWithinHealth:   {consent.Health, consent.Health, "ATL-54.1"},
	PermitWithinSocial:   {consent.Social, consent.Social, "ATL-55.1"},
}

// PermitBases is the row of the table of legal bases that a permit of each direction (code of terms.PermitCategory) is.
func PermitBases() map[string]string {
	out := map[string]string{}
	for code, d := range directions {
		out[code] = d.row
	}
	return out
}

// assents are the rows of the table of legal bases that rest on a consent (suostumus) of the client.
var assents = []string{"SHL-35.1", "SHL-39.3", "SHL-40.1", "VPL-17", "KAYL-8", "ATL-54.5", "ATL-6", "JULKL-26"}

// agreed are those of them that are about recipients whom the client has agreed on, with the provision that says so.
var agreed = map[string]string{"ATL-54.5": "703/2023 § 54.5", "ATL-6": "703/2023 § 6"}

// outside are those of them whose recipients may be registered nowhere: an association, a school. The consent names them
// as they are written (actor.reference.display).
var outside = []string{"SHL-39.3", "VPL-17", "KAYL-8", "ATL-6", "JULKL-26"}

// The parts of Consent.provision that are acted on, by directive; targetParts are those of a permit's target.
var (
	permitParts = []string{"type", "period", "provision"}
	targetParts = []string{"type", "period", "actor", "class"}
	banParts    = []string{"type", "period", "actor", "class", "data"}
	denialParts = []string{"type", "period"}
	assentParts = []string{"type", "period", "actor"}
)

// maxClasses bounds the classes of data that a permit names (SoTeConsent).
const maxClasses = 3

// healthChoices are the data that a permit on patient data may name (457/2024 § 25.1).
var healthChoices = []string{"patient-summary", "service-event", "statement"}

// Read compiles a Consent, in a shape of the package comment, that a unit (Organization/…) recorded. It answers the
// client's Patient id and the terms; Evidence and Version are filled as far as the Consent has id and meta.versionId.
// What is wrong comes as an *Error.
func Read(c *fhir.Value, recordedBy string) (client string, t consent.Terms, err error) {
	r := reader{}
	if fhir.ResourceType(c) != "Consent" {
		r.fail("Consent", "structure", "A directive is a Consent.")
		return "", consent.Terms{}, &Error{r.issues}
	}
	t.RecordedBy = recordedBy
	if id := fhir.ID(c); id != "" {
		t.Evidence = "Consent/" + id
		t.Version, _ = strconv.ParseInt(c.Text("meta", "versionId"), 10, 64)
	}
	switch status := c.Text("status"); status {
	case "active":
		t.Active = true
	case "draft", "proposed", "rejected", "inactive", "entered-in-error":
	default:
		r.fail("Consent.status", "value", "The status of a directive is active, inactive, rejected, draft, proposed or entered-in-error.")
	}
	for _, name := range []string{"modifierExtension", "implicitRules"} {
		if c.Get(name) != nil {
			r.fail("Consent."+name, "not-supported", "A directive whose meaning is changed by %s cannot be acted on.", name)
		}
	}
	patient := fhir.ParseReference(c.Text("patient", "reference"))
	if !patient.Local() || patient.Type != "Patient" {
		r.fail("Consent.patient", "required", "A directive names its client as Patient/id.")
	}
	provision, basic := c.Get("provision"), isPCF(c)
	var kind consent.Will
	var category string
	if !basic {
		kind, category = r.kind(c)
	}
	if len(r.issues) > 0 {
		return "", consent.Terms{}, &Error{r.issues}
	}
	t.Kind = kind
	t.Valid = r.period(provision.Get("period"), "Consent.provision.period")
	switch {
	case basic:
		r.pcf(&t, c, provision)
	case kind == consent.Permit:
		r.permit(&t, c, provision, directions[category])
	case kind == consent.Ban:
		r.ban(&t, c, provision)
	case kind == consent.Denial:
		r.denial(c, provision)
	case kind == consent.Assent:
		r.assent(&t, c, provision)
	}
	if len(r.issues) > 0 {
		return "", consent.Terms{}, &Error{r.issues}
	}
	return patient.ID, t, nil
}

type reader struct{ issues []fhir.Issue }

func (r *reader) fail(expression, code, format string, args ...any) {
	r.issues = append(r.issues, fhir.Issue{Severity: "error", Code: code, Expression: expression, Diagnostics: fmt.Sprintf(format, args...)})
}

// kind tells the directive by its categories: one coding of permit-direction or of directive.
func (r *reader) kind(c *fhir.Value) (consent.Will, string) {
	var kind consent.Will
	var category string
	set := func(k consent.Will, code, at string) {
		if kind != "" && kind != k || category != "" && code != "" && category != code {
			r.fail(at, "business-rule", "A directive is one permit, one ban or one consent, not several at once.")
		}
		kind = k
		if code != "" {
			category = code
		}
	}
	for i, concept := range items(c.Get("category")) {
		for j, coding := range items(concept.Get("coding")) {
			at := fmt.Sprintf("Consent.category[%d].coding[%d]", i, j)
			code := coding.Text("code")
			switch coding.Text("system") {
			case terms.PermitCategory:
				if _, known := directions[code]; !known {
					r.fail(at, "code-invalid", "The direction of a permit is 1 (patient data to social care), 2 (social care data to health care), 3 (within health care) or 4 (within social care).")
					continue
				}
				set(consent.Permit, code, at)
			case terms.Directive:
				switch code {
				case "permit":
					set(consent.Permit, "", at)
				case "ban":
					set(consent.Ban, "", at)
				case "consent":
					set(consent.Assent, "", at)
				case "denial":
					set(consent.Denial, "", at)
				default:
					r.fail(at, "code-invalid", "A directive is a permit, a ban, a consent or a denial.")
				}
			}
		}
	}
	switch {
	case len(r.issues) > 0:
	case kind == "":
		r.fail("Consent.category", "required", "A directive has a category of %s (permit) or %s (ban, consent).", terms.PermitCategory, terms.Directive)
	case kind == consent.Permit && category == "":
		r.fail("Consent.category", "required", "A permit has its direction as a category of %s.", terms.PermitCategory)
	}
	return kind, category
}

// permit reads a luovutuslupa in Kanta's SoTeConsent shape.
func (r *reader) permit(t *consent.Terms, c, provision *fhir.Value, d direction) {
	r.row(c, d.row)
	t.From, t.To = string(d.from), string(d.to)
	r.only(provision, "Consent.provision", permitParts...)
	if typ := provision.Text("type"); typ != "" && typ != "permit" {
		r.fail("Consent.provision.type", "value", "A permit permits; a ban is a directive of its own.")
	}
	targets := items(provision.Get("provision"))
	if len(targets) > 1 {
		r.fail("Consent.provision.provision", "business-rule", "A permit is targeted once (SoTeConsent, slice Kohdistukset).")
		return
	}
	crossing := d.from != d.to
	if !crossing && len(targets) > 0 {
		r.fail("Consent.provision.provision", "business-rule", "A permit within a sector covers all data of the sector (703/2023 §§ 54.1 and 55.1); bans narrow it.")
		return
	}
	if len(targets) == 1 {
		r.target(t, targets[0], d)
	}
	if crossing && d.from == consent.Social && len(t.ServiceTasks) == 0 && len(r.issues) == 0 {
		r.fail("Consent.provision.provision", "required", "A permit on social care data names its service tasks (703/2023 § 53.3; 457/2024 § 25).")
	}
}

func (r *reader) target(t *consent.Terms, target *fhir.Value, d direction) {
	const at = "Consent.provision.provision[0]"
	r.only(target, at, targetParts...)
	if target.Text("type") != "permit" {
		r.fail(at+".type", "value", "The target of a permit has the type permit.")
	}
	t.Recorded = r.period(target.Get("period"), at+".period")
	t.Recipients = r.organizations(target.Get("actor"), at+".actor")
	classes := items(target.Get("class"))
	if len(classes) > maxClasses {
		r.fail(at+".class", "business-rule", "A permit names at most three classes of data (SoTeConsent).")
	}
	for i, class := range classes {
		here := fmt.Sprintf("%s.class[%d]", at, i)
		code := class.Text("code")
		if class.Text("system") != terms.DataClass {
			r.fail(here, "code-invalid", "The data of a permit are classes of %s.", terms.DataClass)
			continue
		}
		if d.from == consent.Health {
			if !slices.Contains(healthChoices, code) || class.Get("extension") != nil {
				r.fail(here, "code-invalid", "A permit on patient data names patient-summary, service-event or statement (457/2024 § 25.1).")
				continue
			}
			t.DataClasses = append(t.DataClasses, code)
			continue
		}
		if code != SocialData {
			r.fail(here, "code-invalid", "A permit on social care data has the class %s with its service tasks (457/2024 § 25.2).", SocialData)
			continue
		}
		for j, ext := range items(class.Get("extension")) {
			coding := ext.Get("valueCoding")
			if ext.Text("url") != FunctionCode || coding.Text("system") != terms.ServiceTask || coding.Text("code") == "" {
				r.fail(fmt.Sprintf("%s.extension[%d]", here, j), "code-invalid", "A service task is an extension %s with a valueCoding of %s.", FunctionCode, terms.ServiceTask)
				continue
			}
			t.ServiceTasks = append(t.ServiceTasks, coding.Text("code"))
		}
	}
	r.bounded(len(t.ServiceTasks), at+".class")
}

// ban reads a luovutuskielto: one kind of target, always the source.
func (r *reader) ban(t *consent.Terms, c, provision *fhir.Value) {
	const at = "Consent.provision"
	r.row(c, "ATL-59")
	r.only(provision, at, banParts...)
	if provision.Text("type") != "deny" {
		r.fail(at+".type", "value", "A ban has a provision of the type deny.")
	}
	controllers := r.organizations(provision.Get("actor"), at+".actor")
	kinds := map[string]bool{}
	for i, class := range items(provision.Get("class")) {
		here := fmt.Sprintf("%s.class[%d]", at, i)
		code := class.Text("code")
		switch system := class.Text("system"); {
		case system == terms.Register && (code == string(consent.Health) || code == string(consent.Social)):
			if t.Register != "" {
				r.fail(here, "business-rule", "A ban names one register; give one ban for each.")
			}
			t.Register = consent.Register(code)
			kinds["register"] = true
		case system == terms.ServiceTask && code != "":
			t.ServiceTasks = append(t.ServiceTasks, code)
			kinds["service task"] = true
		default:
			r.fail(here, "code-invalid", "A ban names a register (%s: health, social) or a service task (%s).", terms.Register, terms.ServiceTask)
		}
	}
	for i, data := range items(provision.Get("data")) {
		here := fmt.Sprintf("%s.data[%d]", at, i)
		r.only(data, here, "meaning", "reference")
		text := data.Text("reference", "reference")
		ref := fhir.ParseReference(text)
		switch {
		case data.Text("meaning") != "instance":
			r.fail(here+".meaning", "value", "A ban of a document or service event means that instance.")
		case !ref.Local():
			r.fail(here+".reference", "value", "A ban names a document or service event of this gateway as Type/id.")
		case ref.Type == "Encounter":
			t.ServiceEvents = append(t.ServiceEvents, ref.Type+"/"+ref.ID)
			kinds["service event"] = true
		default:
			t.Documents = append(t.Documents, ref.Type+"/"+ref.ID)
			kinds["document"] = true
		}
	}
	r.bounded(len(t.ServiceTasks)+len(t.ServiceEvents)+len(t.Documents), at)
	if len(r.issues) > 0 {
		return
	}
	switch {
	case len(kinds) != 1:
		r.fail(at, "business-rule", "A ban has one kind of target (703/2023 § 59): a register, service tasks, service events or documents.")
	case !kinds["register"] && len(controllers) > 0:
		r.fail(at+".actor", "business-rule", "A ban names a controller together with its register only (703/2023 § 59).")
	case !kinds["register"]:
	case len(controllers) > 1:
		r.fail(at+".actor", "business-rule", "A ban names one controller; give one ban for each.")
	case len(controllers) == 1:
		t.Controller = controllers[0]
	case t.Register == consent.Health:
		t.AllHealth, t.Register = true, ""
	default:
		r.fail(at+".actor", "required", "A ban on a social care register names its controller (703/2023 § 59.1).")
	}
}

// WeightyReason is the extension of a denial's Consent that holds the minor's weighty reason (703/2023 §§ 40 and 51.2).
const WeightyReason = terms.Base + "StructureDefinition/weighty-reason"

// denial reads a minor's denial of giving social care data to the guardian: all of them, for a reason that is told.
func (r *reader) denial(c, provision *fhir.Value) {
	r.row(c, "ATL-51")
	r.only(provision, "Consent.provision", denialParts...)
	if provision.Text("type") != "deny" {
		r.fail("Consent.provision.type", "value", "A denial has a provision of the type deny.")
	}
	for _, ext := range items(c.Get("extension")) {
		if ext.Text("url") == WeightyReason && strings.TrimSpace(ext.Text("valueString")) != "" {
			return
		}
	}
	r.fail("Consent.extension", "required", "A minor denies giving social care data to the guardian for a weighty reason, which is recorded (703/2023 §§ 40 and 51.2): "+
		"extension %s with a valueString.", WeightyReason)
}

// assent reads a suostumus under another Act.
func (r *reader) assent(t *consent.Terms, c, provision *fhir.Value) {
	r.only(provision, "Consent.provision", assentParts...)
	if typ := provision.Text("type"); typ != "" && typ != "permit" {
		r.fail("Consent.provision.type", "value", "A consent permits.")
	}
	rows := legalBases(c)
	named := len(rows) == 1 && slices.Contains(outside, rows[0])
	t.Recipients = r.recipients(provision.Get("actor"), "Consent.provision.actor", named)
	if len(rows) != 1 || !slices.Contains(assents, rows[0]) {
		r.fail("Consent.policyRule", "required", "A consent names the one provision that asks for it as a code of %s: %s.", terms.LegalBasis, strings.Join(assents, ", "))
		return
	}
	t.Statute = rows[0]
	if provision := agreed[t.Statute]; provision != "" && len(t.Recipients) == 0 && len(r.issues) == 0 {
		r.fail("Consent.provision.actor", "required", "The client agrees on recipients: the consent names them (%s).", provision)
	}
}

// row checks that the legal basis a directive names, if any, is its own.
func (r *reader) row(c *fhir.Value, row string) {
	for _, named := range legalBases(c) {
		if named != row {
			r.fail("Consent.policyRule", "business-rule", "The directive's category makes it one of %s; its legal basis says otherwise.", row)
		}
	}
}

// legalBases are the rows that policyRule and category name, each once.
func legalBases(c *fhir.Value) []string {
	var rows []string
	for _, coding := range slices.Concat(c.All("policyRule", "coding"), c.All("category", "coding")) {
		if code := coding.Text("code"); coding.Text("system") == terms.LegalBasis && !slices.Contains(rows, code) {
			rows = append(rows, code)
		}
	}
	return rows
}

// only refuses members that would limit or widen the directive in ways that are not acted on.
func (r *reader) only(v *fhir.Value, at string, names ...string) {
	if v != nil && v.Kind() != fhir.Object {
		r.fail(at, "structure", "A provision is an object.")
	}
	for _, m := range v.Members() {
		plain := m.Name == "id" || m.Name == "extension" || strings.HasPrefix(m.Name, "_")
		if !plain && !slices.Contains(names, m.Name) {
			r.fail(at+"."+m.Name, "not-supported", "The gateway does not act on this part, and a directive is not kept half read.")
		}
	}
}

func (r *reader) organizations(actors *fhir.Value, at string) []string {
	return r.recipients(actors, at, false)
}

// recipients are organisations of the gateway, and where named is set others by their names.
func (r *reader) recipients(actors *fhir.Value, at string, named bool) []string {
	var out []string
	for i, actor := range items(actors) {
		r.only(actor, fmt.Sprintf("%s[%d]", at, i), "role", "reference")
		name := strings.TrimSpace(actor.Text("reference", "display"))
		if named && actor.Text("reference", "reference") == "" && name != "" && len(name) <= maxName && !strings.HasPrefix(name, "Organization/") {
			out = append(out, name)
			continue
		}
		ref := fhir.ParseReference(actor.Text("reference", "reference"))
		if !ref.Local() || ref.Type != "Organization" {
			r.fail(fmt.Sprintf("%s[%d].reference", at, i), "value", "Who is named in a directive is an Organization/id.")
			continue
		}
		out = append(out, "Organization/"+ref.ID)
	}
	r.bounded(len(out), at)
	return out
}

func (r *reader) bounded(n int, at string) {
	if n > maxTargets {
		r.fail(at, "too-costly", "A directive names at most %d targets.", maxTargets)
	}
}

// period reads a FHIR Period; its end covers the whole of what its precision names. A bound without a time of day is a
// day in Finland: the client's.
func (r *reader) period(v *fhir.Value, at string) consent.Period {
	var p consent.Period
	bound := func(name string) (from, to time.Time) {
		if v.Get(name) == nil {
			return
		}
		text := v.Text(name)
		from, to, ok := fhir.ParseDate(text)
		switch {
		case !ok:
			r.fail(at+"."+name, "value", "The bound of a period is a date or a time.")
			return time.Time{}, time.Time{}
		case !strings.Contains(text, "T"):
			return consent.FinnishDay(from).UTC(), consent.FinnishDay(to).UTC()
		}
		return from.UTC(), to.UTC()
	}
	if v != nil && v.Get("start") == nil && v.Get("end") == nil {
		r.fail(at, "value", "A period has a start or an end.")
	}
	p.From, _ = bound("start")
	_, p.To = bound("end")
	if !p.From.IsZero() && !p.To.IsZero() && !p.From.Before(p.To) {
		r.fail(at, "business-rule", "A period ends after it starts.")
	}
	return p
}

// items are the items of an array; a single value where an array is due counts as one, so that nothing is passed over.
func items(v *fhir.Value) []*fhir.Value {
	if v == nil || v.Kind() == fhir.Array {
		return v.Items()
	}
	return []*fhir.Value{v}
}
