package search

import "strings"

// careDates are the parameters of each type that tell when care was planned, begun, given or ended: those of the elements
// that FHIR's pattern of the five Ws maps to init, planned and done, and where a type has none of them the date of its
// writing, which is the care that it tells of. When a row was last changed is no date of care, and neither is a birth.
var careDates = map[string]string{
	"AllergyIntolerance":       "onset last-date date",
	"Appointment":              "date",
	"CarePlan":                 "date activity-date",
	"CareTeam":                 "date",
	"ClinicalImpression":       "date",
	"Communication":            "sent received",
	"CommunicationRequest":     "occurrence authored",
	"Composition":              "period date",
	"Condition":                "onset-date abatement-date recorded-date",
	"DetectedIssue":            "identified",
	"DeviceRequest":            "event-date authored-on",
	"DiagnosticReport":         "date issued",
	"DocumentReference":        "period date",
	"Encounter":                "date",
	"EpisodeOfCare":            "date",
	"FamilyMemberHistory":      "date",
	"Flag":                     "date",
	"Goal":                     "start-date target-date",
	"Immunization":             "date",
	"List":                     "date",
	"MeasureReport":            "period date",
	"MedicationAdministration": "effective-time",
	"MedicationDispense":       "whenhandedover whenprepared",
	"MedicationRequest":        "date authoredon",
	"MedicationStatement":      "effective",
	"NutritionOrder":           "datetime",
	"Observation":              "date",
	"Procedure":                "date",
	"QuestionnaireResponse":    "authored",
	"RequestGroup":             "authored",
	"RiskAssessment":           "date",
	"ServiceRequest":           "occurrence authored",
	"Specimen":                 "collected",
	"Task":                     "period authored-on",
}

// CareDates are the names of a type's parameters that tell when care took place or is planned to; none where it has no such.
func CareDates(typ string) []string { return strings.Fields(careDates[typ]) }

// CareTypes are the types that have CareDates, in no order.
func CareTypes() []string {
	out := make([]string, 0, len(careDates))
	for typ := range careDates {
		out = append(out, typ)
	}
	return out
}
