package fhir

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// issuesOf lists the issues of a document as "code expression: diagnostics".
func issuesOf(t *testing.T, doc string) []string {
	t.Helper()
	v, err := Parse([]byte(doc), Limits{})
	require.NoError(t, err)
	var out []string
	for _, i := range Validate(v) {
		assert.Equal(t, "error", i.Severity)
		out = append(out, i.Code+" "+i.Expression+": "+i.Diagnostics)
	}
	return out
}

func TestACarePlanThatIsWellFormedHasNoIssues(t *testing.T) {
	assert.Empty(t, issuesOf(t, string(carePlan(t))))
}

// Each row changes a valid document in one way and names the one issue that follows.
func TestEachDefectIsNamedWithItsPlace(t *testing.T) {
	const plan = `{"resourceType":"CarePlan","id":"a","contained":[{"resourceType":"CareTeam","id":"team"}],` +
		`"status":"active","intent":"plan","subject":{"reference":"Patient/aino"},"careTeam":[{"reference":"#team"}],"created":"2026-11-21",` +
		`"activity":[{"detail":{"status":"scheduled","scheduledString":"soon","doNotPerform":false}}]}`
	const patient = `{"resourceType":"Patient","name":[{"family":"A","given":["B",null],"_given":[null,{"extension":[` +
		`{"url":"http://hl7.org/fhir/StructureDefinition/data-absent-reason","valueCode":"unknown"}]}]}],"birthDate":"1990-01-01","_birthDate":{"id":"x"},` +
		`"multipleBirthInteger":2,"communication":[{"language":{"text":"fi"},"preferred":true}]}`
	require.Empty(t, issuesOf(t, plan))
	require.Empty(t, issuesOf(t, patient))
	for _, c := range []struct{ name, doc, old, new, issue string }{
		{"unknown element", plan, `"id":"a"`, `"id":"a","plan":1`, "structure CarePlan.plan: CarePlan has no such element"},
		{"unknown element within", plan, `"doNotPerform"`, `"forbidden":true,"doNotPerform"`, "structure CarePlan.activity[0].detail.forbidden: CarePlan.activity.detail has no such element"},
		{"case matters", plan, `"status":"active"`, `"status":"active","STATUS":"active"`, "structure CarePlan.STATUS: CarePlan has no such element"},
		{"missing subject", plan, `"subject":{"reference":"Patient/aino"},`, ``, "required CarePlan.subject: is required"},
		{"missing status", plan, `"status":"active",`, ``, "required CarePlan.status: is required"},
		{"missing status within", plan, `"status":"scheduled",`, ``, "required CarePlan.activity[0].detail.status: is required"},
		{"bad code", plan, `"active"`, `"running"`, "code-invalid CarePlan.status: must be a code of http://hl7.org/fhir/ValueSet/request-status: active, completed, draft,"},
		{"code with spaces", plan, `"active"`, `" active"`, "value CarePlan.status: must be a code"},
		{"wrong reference target", plan, `Patient/aino`, `Practitioner/aino`, "value CarePlan.subject.reference: must refer to one of Group Patient"},
		{"wrong absolute target", plan, `Patient/aino`, `https://a.fi/fhir/Device/1`, "value CarePlan.subject.reference: must refer to one of Group Patient"},
		{"wrong contained target", plan, `"CareTeam","id":"team"`, `"Location","id":"team"`, "value CarePlan.careTeam[0].reference: must refer to one of CareTeam"},
		{"contained resource not there", plan, `"#team"`, `"#crew"`, "invariant CarePlan.careTeam[0].reference: must name a contained resource"},
		{"no reference", plan, `Patient/aino`, `aino`, "value CarePlan.subject.reference: must be Type/id"},
		{"hostile reference", plan, `Patient/aino`, `Patient/../Consent`, "value CarePlan.subject.reference: must be Type/id"},
		{"contained in contained", plan, `"id":"team"`, `"id":"team","contained":[{"resourceType":"Location"}]`, "invariant CarePlan.contained[0]: a contained resource must not contain resources"},
		{"contained without a type", plan, `"resourceType":"CareTeam",`, ``, "required CarePlan.contained[0]: resourceType is missing"},
		{"contained without an id", plan, `{"resourceType":"CareTeam","id":"team"}`, `{"resourceType":"CareTeam","id":"team"},{"resourceType":"CareTeam"}`, "structure CarePlan.contained[1]: a contained resource must have an id of its own"},
		{"contained with another's id", plan, `{"resourceType":"CareTeam","id":"team"}`, `{"resourceType":"CareTeam","id":"team"},{"resourceType":"CareTeam","id":"team"}`, "structure CarePlan.contained[1]: a contained resource must have an id of its own"},
		{"bad date", plan, `2026-11-21`, `21.11.2026`, "value CarePlan.created: must be a dateTime"},
		{"date not in the calendar", plan, `2026-11-21`, `2026-02-30`, "value CarePlan.created: must be a dateTime"},
		{"time without a zone", plan, `2026-11-21`, `2026-11-21T10:00:00`, "value CarePlan.created: must be a dateTime"},
		{"object where array", plan, `[{"detail":{"status":"scheduled","scheduledString":"soon","doNotPerform":false}}]`, `{"detail":{"status":"scheduled"}}`, "structure CarePlan.activity: must be an array"},
		{"array where object", plan, `{"reference":"Patient/aino"}`, `[{"reference":"Patient/aino"}]`, "structure CarePlan.subject: must not be an array"},
		{"string where object", plan, `{"reference":"Patient/aino"}`, `"Patient/aino"`, "structure CarePlan.subject: must be a JSON object"},
		{"string where boolean", plan, `false`, `"false"`, "structure CarePlan.activity[0].detail.doNotPerform: must be true or false, as a JSON boolean"},
		{"two of a choice", plan, `"scheduledString":"soon"`, `"scheduledString":"soon","scheduledPeriod":{"start":"2026"}`, "structure CarePlan.activity[0].detail.scheduled: only one may be given of scheduledTiming, scheduledPeriod, scheduledString"},
		{"a choice of a type that is none", plan, `"scheduledString"`, `"scheduledCode"`, "structure CarePlan.activity[0].detail.scheduledCode: CarePlan.activity.detail has no such element"},
		{"empty object", plan, `{"reference":"Patient/aino"}`, `{}`, "structure CarePlan.subject: an object must not be empty"},
		{"empty array", plan, `[{"reference":"#team"}]`, `[]`, "structure CarePlan.careTeam: an array must not be empty"},
		{"empty string", plan, `"soon"`, `""`, "value CarePlan.activity[0].detail.scheduled: must be text"},
		{"control character", plan, `"soon"`, `"so\u0000on"`, "value CarePlan.activity[0].detail.scheduled: must be text"},
		{"null", plan, `"soon"`, `null`, "structure CarePlan.activity[0].detail.scheduled: null is not allowed here"},
		{"null in an array", plan, `[{"reference":"#team"}]`, `[null]`, "structure CarePlan.careTeam[0]: null is not allowed here"},
		{"bad id", plan, `"id":"a"`, `"id":"a b"`, "value CarePlan.id: must be an id"},
		{"id that has extensions", plan, `"id":"a"`, `"id":"a","_id":{"id":"b"}`, "structure CarePlan._id: CarePlan has no such element"},
		{"extension of an object", plan, `"id":"a"`, `"id":"a","_subject":{"id":"b"}`, "structure CarePlan._subject: CarePlan has no such element"},
		{"unknown type", plan, `"resourceType":"CarePlan"`, `"resourceType":"Plan"`, "structure : resourceType must be a resource type"},
		{"extension without a value", plan, `"id":"a"`, `"id":"a","extension":[{"url":"http://a.fi"}]`, "invariant CarePlan.extension[0]: an extension must have either"},
		{"extension with both", plan, `"id":"a"`, `"id":"a","extension":[{"url":"http://a.fi","valueCode":"a","extension":[{"url":"b","valueCode":"c"}]}]`, "invariant CarePlan.extension[0]: an extension must have either"},
		{"extension without a url", plan, `"id":"a"`, `"id":"a","extension":[{"valueCode":"a"}]`, "required CarePlan.extension[0].url: is required"},
		{"padding too short", patient, `[null,{"ext`, `[{"ext`, "structure Patient.name[0].given: the arrays of the values and of their extensions must be of one length"},
		{"nothing at a place", patient, `"_given":[null,{"extension":[{"url":"http://hl7.org/fhir/StructureDefinition/data-absent-reason","valueCode":"unknown"}]}]`, `"_given":[{"id":"a"},null]`, "structure Patient.name[0].given[1]: null is not allowed here"},
		{"null without extensions", patient, `,"_given":[null,{"extension":[{"url":"http://hl7.org/fhir/StructureDefinition/data-absent-reason","valueCode":"unknown"}]}]`, ``, "structure Patient.name[0].given[1]: null is not allowed here"},
		{"extension of a primitive that is no object", patient, `{"id":"x"}`, `"x"`, "structure Patient.birthDate: must be a JSON object"},
		{"unknown in the extension of a primitive", patient, `{"id":"x"}`, `{"value":"x"}`, "structure Patient.birthDate.value: Element has no such element"},
		{"two of a choice, one by extension", patient, `"multipleBirthInteger":2`, `"multipleBirthInteger":2,"_multipleBirthBoolean":{"id":"a"}`, "structure Patient.multipleBirth: only one may be given"},
		{"number not whole", patient, `"multipleBirthInteger":2`, `"multipleBirthInteger":2.0`, "value Patient.multipleBirth: must be a whole number"},
		{"required within", patient, `"language":{"text":"fi"},`, ``, "required Patient.communication[0].language: is required"},
		{"day where a time", patient, `"birthDate":"1990-01-01"`, `"birthDate":"1990-01-01T10:00:00Z"`, "value Patient.birthDate: must be a date"},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Contains(t, c.doc, c.old)
			found := issuesOf(t, strings.Replace(c.doc, c.old, c.new, 1))
			require.Len(t, found, 1, "%v", found)
			assert.True(t, strings.HasPrefix(found[0], c.issue), found[0])
		})
	}
}

func TestResourcesWithinResourcesAreChecked(t *testing.T) {
	assert.Equal(t, []string{"required Bundle.entry[1].resource.code: is required"}, issuesOf(t, `{"resourceType":"Bundle","type":"collection","entry":[`+
		`{"resource":{"resourceType":"Basic","code":{"text":"x"}}},{"resource":{"resourceType":"Basic"}}]}`))
	assert.Equal(t, []string{"invariant Bundle.entry[1].resource.subject.reference: must name a contained resource of this resource (ref-1)"},
		issuesOf(t, `{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"Basic","code":{"text":"x"},`+
			`"contained":[{"resourceType":"Patient","id":"p"}],"subject":{"reference":"#p"}}},`+
			`{"resource":{"resourceType":"Basic","code":{"text":"x"},"subject":{"reference":"#p"}}}]}`), "contained resources belong to their own container")
	assert.Equal(t, []string{"code-invalid Parameters.parameter[0].part[0].resource.gender: must be a code of http://hl7.org/fhir/ValueSet/administrative-gender: female, male, other, unknown"},
		issuesOf(t, `{"resourceType":"Parameters","parameter":[{"name":"a","part":[{"name":"b","resource":{"resourceType":"Patient","gender":"x"}}]}]}`))
}

func TestRequiredBindingsOfConcepts(t *testing.T) {
	condition := func(coding string) string {
		return `{"resourceType":"Condition","subject":{"reference":"Patient/a"},"clinicalStatus":` + coding + `}`
	}
	const system = `"system":"http://terminology.hl7.org/CodeSystem/condition-clinical"`
	assert.Empty(t, issuesOf(t, condition(`{"coding":[{"system":"http://a.fi","code":"x"},{`+system+`,"code":"active"}]}`)))
	for _, bad := range []string{`{"coding":[{` + system + `,"code":"aktiv"}]}`, `{"coding":[{"code":"active"}]}`, `{"text":"active"}`} {
		found := issuesOf(t, condition(bad))
		require.Len(t, found, 1)
		assert.True(t, strings.HasPrefix(found[0], "code-invalid Condition.clinicalStatus: must have a coding of http://hl7.org/fhir/ValueSet/condition-clinical: active,"), found[0])
	}
	assert.Empty(t, issuesOf(t, `{"resourceType":"CarePlan","_status":{"extension":[{"url":"http://hl7.org/fhir/StructureDefinition/data-absent-reason",`+
		`"valueCode":"unknown"}]},"intent":"plan","subject":{"display":"x"}}`), "a required primitive may be given by its extension alone")
}

func TestTheResourceMustBeOfTheTypeAskedFor(t *testing.T) {
	v, err := Parse([]byte(`{"resourceType":"Task","status":"draft","intent":"order"}`), Limits{})
	require.NoError(t, err)
	assert.Empty(t, ValidateAs(v, "Task"))
	assert.Equal(t, []Issue{{"error", "structure", "Task", "resourceType must be CarePlan here"}}, ValidateAs(v, "CarePlan"))
	for _, doc := range []string{`[]`, `"x"`, `null`, `{}`, `{"resourceType":1}`, `{"resourceType":"Resource"}`, `{"resourceType":"HumanName"}`} {
		v, err := Parse([]byte(doc), Limits{})
		require.NoError(t, err)
		assert.Len(t, Validate(v), 1, doc)
	}
	assert.Len(t, Validate(nil), 1)
}

func TestIssuesNeverShowWhatStandsThere(t *testing.T) {
	const code = "010190-999W"
	for _, doc := range []string{
		`{"resourceType":"Patient","` + code + `":"x"}`, `{"resourceType":"Patient","gender":"` + code + `"}`, `{"resourceType":"` + code + `"}`,
		`{"resourceType":"Patient","birthDate":"` + code + `"}`, `{"resourceType":"Patient","id":"` + code + ` "}`, `{"resourceType":"Patient","_` + code + `":{}}`,
		`{"resourceType":"Patient","managingOrganization":{"reference":"` + code + `"}}`, `{"resourceType":"Patient","maritalStatus":{"` + code + `":1}}`,
	} {
		found := issuesOf(t, doc)
		assert.NotEmpty(t, found, doc)
		assert.NotContains(t, fmt.Sprint(found), "999")
	}
}

func TestIssuesAreBounded(t *testing.T) {
	assert.Len(t, issuesOf(t, `{"resourceType":"Patient","name":[`+strings.Repeat(`{"x":1},`, 2000)+`{"y":1}]}`), 50)
}

// A resource of 5 MB has room for tens of thousands of references; it is refused at the first one too many, and what it
// contains counts with it. In a Bundle each counts for itself.
func TestReferencesAreBounded(t *testing.T) {
	group := func(members, contained int) string {
		entity := func(n int) string {
			return strings.TrimSuffix(strings.Repeat(`{"entity":{"reference":"Patient/a"}},`, n), ",")
		}
		return `{"resourceType":"Group","type":"person","actual":true,"extension":[{"url":"http://example.org/g","valueUri":"#g"}],"contained":[{"resourceType":"Group","id":"g","type":"person","actual":true,"member":[` +
			entity(contained) + `]}],"member":[` + entity(members) + `]}`
	}
	assert.Empty(t, issuesOf(t, group(MaxReferences-1, 1)))
	assert.Equal(t, []string{"too-costly Group.member[1999].entity: a resource has at most 2000 references here"}, issuesOf(t, group(MaxReferences, 1)))
	assert.Equal(t, []string{"too-costly Group.contained[0].member[2000].entity: a resource has at most 2000 references here"}, issuesOf(t, group(1, MaxReferences+9)))
	assert.Equal(t, []string{"too-costly Group.member[1999].entity: a resource has at most 2000 references here"},
		issuesOf(t, strings.TrimSuffix(group(40000, 1), "}")+`,"nonsense":true}`), "nothing after it is looked at")
	assert.Empty(t, issuesOf(t, `{"resourceType":"Bundle","type":"collection","entry":[{"resource":`+group(MaxReferences-1, 1)+`},{"resource":`+group(MaxReferences-1, 1)+`}]}`))
}

func TestTypesAreThoseOfTheDefinitions(t *testing.T) {
	types := Types()
	assert.Len(t, types, 146)
	for _, typ := range types {
		assert.True(t, IsResource(typ))
		assert.NotNil(t, definitions().resource(typ), typ)
	}
	assert.Len(t, definitions().resources, len(types))
	for _, typ := range []string{"", "Resource", "DomainResource", "Element", "patient", "Zebra", "CarePlan.activity"} {
		assert.False(t, IsResource(typ), typ)
	}
}
