// Package jukola holds the lenses of the county's electronic health record at the Jukola health station, the API
// client jukola-ehr of the sandbox county: HL7 v2.5 over MLLP. The lenses are the YAML files beside this one.
//
//	adt.yaml   ADT^A01, A04, A03, A11 in: a visit begins or ends → Encounter, and who it is about
//	ref.yaml   REF^I12, I13, I14 out ← ServiceRequest
//	siu.yaml   SIU^S12, S14, S15, S26 out ← Appointment
package jukola

import (
	"embed"

	"sotesilta/mappings"
)

//go:embed *.yaml
var files embed.FS

// Lenses reads and checks the lenses. It errs only when a lens is wrong, which the package's tests rule out.
func Lenses() ([]*mappings.Lens, error) { return mappings.Load(files) }
