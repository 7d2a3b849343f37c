// Command gen lists the invariants of the official FHIR R4 definitions for internal/constraints.
//
//	go run ./gen
//
// Of the official definitions it reads the bundles of types and resources. The output, invariants.tsv, has a line per
// invariant and place, for people too: path, key, severity, expression and what it means, separated by tabs. The place is
// the path of the element; what every resource inherits stands at DomainResource once, what every element inherits at
// Element.
package main

import (
	"encoding/json"
	"slices"
	"strings"

	"sotesilta/internal/official"
)

func main() { official.Main(compile) }

type structure struct {
	Type, Derivation string
	Snapshot         struct {
		Element []struct {
			Path       string
			Constraint []struct{ Key, Severity, Human, Expression string }
		}
	}
}

// inherited are the prefixes of the keys that everything of a kind inherits, and where they stand.
var inherited = map[string]string{"dom-": "DomainResource", "ele-": "Element", "ext-": "Extension"}

// compile gives the lines, sorted.
func compile(folder official.Folder) (map[string][]byte, error) {
	var lines []string
	for resource, err := range folder.Bundled("types", "resources") {
		if err != nil {
			return nil, err
		}
		if resource.ResourceType != "StructureDefinition" {
			continue
		}
		var s structure
		if err := json.Unmarshal(resource.JSON, &s); err != nil {
			return nil, err
		}
		if s.Derivation == "constraint" || s.Type == "MetadataResource" {
			continue
		}
		for _, element := range s.Snapshot.Element {
			for _, c := range element.Constraint {
				place := strings.TrimSuffix(element.Path, "[x]")
				if of := inherited[c.Key[:min(4, len(c.Key))]]; of != "" {
					place = of
				}
				line := strings.Join([]string{place, c.Key, c.Severity, plain(c.Expression), plain(c.Human)}, "\t") + "\n"
				if !slices.Contains(lines, line) {
					lines = append(lines, line)
				}
			}
		}
	}
	slices.Sort(lines)
	return map[string][]byte{"invariants.tsv": []byte(strings.Join(lines, ""))}, nil
}

// plain is s on one line without tabs.
func plain(s string) string { return strings.Join(strings.Fields(s), " ") }
