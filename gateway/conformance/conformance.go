// Package conformance holds our own FHIR definitions as they are served: the PlanDefinition of the joint-client
// process, the code systems of our labels, steps and purposes, and the ConceptMaps of the code translations that the
// gateway works by. They are data (law 7): main publishes them into the directory at start, and gateway/process runs by
// the same PlanDefinition that clients read.
package conformance

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"sotesilta/internal/fhir"
)

//go:embed *.json
var files embed.FS

// Resources are all definitions, each with its own id, in the order of their file names, of each code system the
// value set of all its codes, and the ConceptMaps.
func Resources() ([]*fhir.Value, error) {
	out, err := written()
	if err != nil {
		return nil, err
	}
	made, err := conceptMaps()
	if err != nil {
		return nil, fmt.Errorf("conformance: %w", err)
	}
	return append(out, made...), nil
}

// written are the definitions of the files, and the value sets of their code systems.
func written() ([]*fhir.Value, error) {
	names, err := fs.Glob(files, "*.json")
	if err != nil {
		return nil, err
	}
	out := make([]*fhir.Value, 0, 2*len(names))
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
	if typ == "ConceptMap" {
		all, err := conceptMaps()
		for _, doc := range all {
			if fhir.ID(doc) == id {
				return doc, nil
			}
		}
		return nil, errors.Join(err, fmt.Errorf("conformance: there is no ConceptMap %s", id))
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
