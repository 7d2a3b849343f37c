// Command summary writes which elements of each resource type belong to its summary, and which are modifiers, from the
// official StructureDefinitions (isSummary, isModifier): internal/fhir/summary.tsv. It is run at development time.
//
//	go run ./gen/summary -definitions DIR -out summary.tsv
//
// A line is a path (Patient, Patient.link), a tab, the names of its summary elements, a tab, the names of its modifiers.
// Names are without [x]; a backbone element none of whose elements is marked has no line: it is whole or not there.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

type definition struct {
	Kind, Derivation, Type string
	Abstract               bool
	Snapshot               struct {
		Element []struct {
			Path                  string
			IsSummary, IsModifier bool
		}
	}
}

func main() {
	definitions := flag.String("definitions", "", "folder of the definitions")
	out := flag.String("out", "", "file to write")
	flag.Parse()
	text, err := table(*definitions)
	if err == nil {
		err = os.WriteFile(*out, []byte(text), 0o644)
	}
	if err != nil {
		log.Fatal(err)
	}
}

// table compiles the definitions of all resource types.
func table(dir string) (string, error) {
	files, err := filepath.Glob(filepath.Join(dir, "StructureDefinition-*.json"))
	if err != nil {
		return "", err
	}
	summary, modifiers := map[string][]string{}, map[string][]string{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		var d definition
		if err := json.Unmarshal(data, &d); err != nil {
			return "", fmt.Errorf("%s: %w", file, err)
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
				summary[of] = append(summary[of], name)
			}
			if e.IsModifier {
				modifiers[of] = append(modifiers[of], name)
			}
		}
	}
	var b strings.Builder
	for _, path := range slices.Sorted(maps.Keys(modifiers)) {
		if len(summary[path]) > 0 {
			fmt.Fprintf(&b, "%s\t%s\t%s\n", path, strings.Join(summary[path], " "), strings.Join(modifiers[path], " "))
		}
	}
	return b.String(), nil
}
