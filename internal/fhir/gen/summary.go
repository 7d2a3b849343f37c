package main

import (
	"bytes"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"sotesilta/internal/official"
)

// marked is a StructureDefinition by the marks of its elements.
type marked struct {
	Kind, Derivation, Type string
	Abstract               bool
	Snapshot               struct {
		Element []struct {
			Path                  string
			IsSummary, IsModifier bool
		}
	}
}

// summary gives which elements of each resource type belong to its summary, and which are modifiers (isSummary,
// isModifier). A line is a path (Patient, Patient.link), a tab, the names of its summary elements, a tab, the names of its
// modifiers. Names are without [x]; a backbone element none of whose elements is marked has no line: it is whole or not
// there.
func summary(folder official.Folder) ([]byte, error) {
	short, modifiers := map[string][]string{}, map[string][]string{}
	for _, file := range folder.Files("StructureDefinition") {
		var d marked
		if err := folder.Read(strings.TrimSuffix(filepath.Base(file), ".json"), &d); err != nil {
			return nil, err
		}
		if d.Kind != "resource" || d.Abstract || d.Derivation != "specialization" {
			continue
		}
		for _, e := range d.Snapshot.Element {
			at := strings.LastIndexByte(e.Path, '.')
			if at < 0 {
				continue
			}
			of, name := e.Path[:at], strings.TrimSuffix(e.Path[at+1:], "[x]")
			if e.IsSummary && name != "modifierExtension" {
				short[of] = append(short[of], name)
			}
			if e.IsModifier {
				modifiers[of] = append(modifiers[of], name)
			}
		}
	}
	var b bytes.Buffer
	for _, path := range slices.Sorted(maps.Keys(modifiers)) {
		if len(short[path]) > 0 {
			fmt.Fprintf(&b, "%s\t%s\t%s\n", path, strings.Join(short[path], " "), strings.Join(modifiers[path], " "))
		}
	}
	return b.Bytes(), nil
}
