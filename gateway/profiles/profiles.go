// Package profiles gathers the profiles of the gateway's own: StructureDefinitions of what the joint-client process writes and
// of the directives that the law reads. The packages that know the rules write them down from the tables they check by
// (gateway/process, consent/directive); here they become what is served and what is checked, from one text.
package profiles

import (
	"fmt"

	"sotesilta/consent/directive"
	"sotesilta/gateway/process"
	"sotesilta/internal/constraints"
	"sotesilta/internal/fhir"
)

// Set are the profiles in both forms.
type Set struct {
	Definitions []*fhir.Value // StructureDefinitions, as they are published
	Checks      constraints.Profiles
	ByType      map[string][]string // canonical URLs by resource type, in the order of Definitions
}

// New makes the profiles of a process and of the directives. It errs only where one of them is wrong, which the tests rule
// out.
func New(p *process.Process) (*Set, error) {
	set := &Set{Checks: constraints.Profiles{}, ByType: map[string][]string{}}
	for _, shape := range append(p.Profiles(), directive.Profiles()...) {
		definition := shape.Definition()
		check, err := constraints.NewProfile(definition)
		if err != nil {
			return nil, fmt.Errorf("profiles: %w", err)
		}
		set.Definitions = append(set.Definitions, definition)
		set.Checks[check.URL] = check
		set.ByType[check.Type] = append(set.ByType[check.Type], check.URL)
	}
	return set, nil
}
