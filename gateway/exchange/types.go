package exchange

import (
	"maps"
	"slices"
	"strings"
	"time"

	"sotesilta/internal/fhir"
)

// kind is what data of a type are in law.
type kind uint8

const (
	// ofPersons: data of the register of whoever writes, about the Patients that it names. Whoever writes another version
	// needs a basis for each of them; without any it stays within its own controller's register (contract: "Identity,
	// writing, labels").
	ofPersons kind = iota
	// ofDirectory: organisations, professionals, services, places and free times. Any client writes its own; nobody's
	// care and read by all, unless a resource names a client: then it is person data.
	ofDirectory
	// ofDefinitions: plans, forms, codes and profiles; as the directory.
	ofDefinitions
	// ofDirectives: permits, bans and consents of a client; read by the unit that recorded them, the client's app and the
	// auditor.
	ofDirectives
	// ofLedger: made by the gateway alone.
	ofLedger
)

// servedType is the rule of one resource type.
type servedType struct {
	name string
	kind kind
	// recorded is where a resource says when its content was recorded, which permits may be limited by (decree 457/2024
	// § 25.3): not when what it tells of happened. An entry made today about 2015 was recorded today. Without it, a row
	// counts from when the gateway took it in.
	recorded string
	// about is the element that says who it is about (CompartmentDefinition patient), where that is not subject,
	// patient or for: a client named there by anything but a reference is refused.
	about string
	// acted: what it says gives rights or moves the process, so that the gateway acts on it; see Understood.
	acted bool
}

// servedTypes are the resource types that the gateway serves: what the joint client's process, the regional systems and
// the county's directory need. A type that nothing reaches is absent.
var servedTypes = []servedType{
	// The client and those around.
	{name: "Patient", acted: true},
	{name: "RelatedPerson"},
	{name: "Group", about: "member.entity", acted: true},
	{name: "Consent", kind: ofDirectives, acted: true},
	// The joint plan, its team and its steps.
	{name: "CarePlan", recorded: "created", acted: true},
	{name: "CareTeam", acted: true},
	{name: "Goal"},
	{name: "Task", recorded: "authoredOn", acted: true},
	{name: "ServiceRequest", recorded: "authoredOn"},
	{name: "RequestGroup", recorded: "authoredOn"},
	{name: "DeviceRequest", recorded: "authoredOn"},
	{name: "NutritionOrder", recorded: "dateTime"},
	{name: "Communication", recorded: "sent"},
	{name: "CommunicationRequest", recorded: "authoredOn"},
	{name: "Appointment", recorded: "created"},
	{name: "AppointmentResponse"},
	{name: "EpisodeOfCare", acted: true},
	{name: "Encounter", recorded: "period.start", acted: true},
	// What was seen, judged and done.
	{name: "Condition", recorded: "recordedDate"},
	{name: "Observation", recorded: "issued"},
	{name: "AllergyIntolerance", recorded: "recordedDate"},
	{name: "Procedure"},
	{name: "DiagnosticReport", recorded: "issued"},
	{name: "Specimen"},
	{name: "Immunization", recorded: "recorded"},
	{name: "ClinicalImpression", recorded: "date"},
	{name: "RiskAssessment"},
	{name: "FamilyMemberHistory", recorded: "date"},
	{name: "DetectedIssue"},
	{name: "Flag"},
	{name: "Device"},
	{name: "DeviceUseStatement", recorded: "recordedOn"},
	{name: "Medication"},
	{name: "MedicationRequest", recorded: "authoredOn"},
	{name: "MedicationStatement", recorded: "dateAsserted"},
	{name: "MedicationAdministration"},
	{name: "MedicationDispense"},
	{name: "QuestionnaireResponse", recorded: "authored"},
	{name: "DocumentReference", recorded: "date"},
	{name: "Composition", recorded: "date"},
	{name: "List", recorded: "date"},
	{name: "GuidanceResponse", recorded: "occurrenceDateTime"},
	{name: "MeasureReport", recorded: "date"},
	{name: "Provenance", acted: true},
	// Who is there, and when.
	{name: "Organization", kind: ofDirectory},
	{name: "OrganizationAffiliation", kind: ofDirectory},
	{name: "Practitioner", kind: ofDirectory},
	{name: "PractitionerRole", kind: ofDirectory},
	{name: "Location", kind: ofDirectory},
	{name: "HealthcareService", kind: ofDirectory, acted: true},
	{name: "Endpoint", kind: ofDirectory},
	{name: "Schedule", kind: ofDirectory},
	{name: "Slot", kind: ofDirectory},
	// Definitions.
	{name: "PlanDefinition", kind: ofDefinitions},
	{name: "ActivityDefinition", kind: ofDefinitions},
	{name: "Questionnaire", kind: ofDefinitions},
	{name: "Measure", kind: ofDefinitions},
	{name: "Library", kind: ofDefinitions},
	{name: "CodeSystem", kind: ofDefinitions},
	{name: "ValueSet", kind: ofDefinitions},
	{name: "ConceptMap", kind: ofDefinitions},
	{name: "NamingSystem", kind: ofDefinitions},
	{name: "StructureDefinition", kind: ofDefinitions},
	{name: "SearchParameter", kind: ofDefinitions},
	{name: "OperationDefinition", kind: ofDefinitions},
	// The ledger as FHIR shows it.
	{name: auditEvent, kind: ofLedger},
}

// Types are the names of the resource types that are served, as the CapabilityStatement lists them. All may be read and
// written but AuditEvent, which is the ledger's.
func Types() []string {
	names := make([]string, len(servedTypes))
	for i, t := range servedTypes {
		names[i] = t.name
	}
	return names
}

// rules are the servedTypes by name. Of another type nothing is known: it is person data.
var rules = func() map[string]servedType {
	all := make(map[string]servedType, len(servedTypes))
	for _, t := range servedTypes {
		all[t.name] = t
	}
	return all
}()

// impersonalType says whether a type is nobody's care unless a resource of it names a client: its reads go to the
// access log only (design § 7).
func impersonalType(typ string) bool {
	k := rules[typ].kind
	return k == ofDirectory || k == ofDefinitions
}

// directoryNames are the types of the directory and of definitions, in order.
func directoryNames() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(rules)), func(typ string) bool { return !impersonalType(typ) })
}

// recordedAt is the recording date of a resource; when it says none, when the gateway first took it in.
func recordedAt(typ string, doc *fhir.Value, otherwise time.Time) time.Time {
	if path := rules[typ].recorded; path != "" {
		if from, _, ok := fhir.ParseDate(doc.Text(strings.Split(path, ".")...)); ok {
			return from.UTC()
		}
	}
	return otherwise
}

// usualSubjects are the elements that say who a resource is about.
var usualSubjects = [][]string{{"subject"}, {"patient"}, {"for"}}

// subjectPaths are the elements that say who a resource of a type is about.
func subjectPaths(typ string) [][]string {
	if about := rules[typ].about; about != "" {
		return [][]string{strings.Split(about, ".")}
	}
	return usualSubjects
}
