// Package conformance holds our own FHIR definitions as they are served: the PlanDefinition of the joint-client
// process and the code systems of our labels, steps and purposes. They are data (law 7): main publishes them into the
// directory at start, and gateway/process runs by the same PlanDefinition that clients read.
package conformance

import (
	"embed"
	"fmt"
	"io/fs"

	"sotesilta/internal/fhir"
)

//go:embed *.json
var files embed.FS

// Resources are all definitions, each with its own id, in the order of their file names, and of each code system the
// value set of all its codes.
func Resources() ([]*fhir.Value, error) {
	names, err := fs.Glob(files, "*.json")
	if err != nil {
		return nil, err
	}
	out := make([]*fhir.Value, 0, len(names))
	for _, name := range names {
		doc, err := read(name)
		if err != nil {
			return nil, err
		}
		out = append(out, doc)
		if fhir.ResourceType(doc) == "CodeSystem" {
			out = append(out, valueSet(doc))
		}
	}
	return out, nil
}

// Resource is the definition of a type and id, such as PlanDefinition and joint-client.
func Resource(typ, id string) (*fhir.Value, error) {
	if typ == "ValueSet" {
		system, err := read("CodeSystem-" + id + ".json")
		if err != nil {
			return nil, err
		}
		return valueSet(system), nil
	}
	return read(typ + "-" + id + ".json")
}

func read(name string) (*fhir.Value, error) {
	text, err := files.ReadFile(name)
	if err != nil {
		return nil, err
	}
	doc, err := fhir.Parse(text, fhir.DefaultLimits)
	if err != nil {
		return nil, fmt.Errorf("conformance: %s: %w", name, err)
	}
	return doc, nil
}
