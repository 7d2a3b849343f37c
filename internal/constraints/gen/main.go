// Command gen lists the invariants of the official FHIR R4 definitions for internal/constraints.
//
//	go run ./gen -definitions FOLDER -out invariants.tsv
//
// FOLDER is the unpacked npm package hl7.fhir.r4.examples 4.0.1 (CC0), of which it reads the bundles of types and
// resources. The output has a line per invariant and place, for people too: path, key, severity, expression and what it
// means, separated by tabs. The place is the path of the element; what every resource inherits stands at DomainResource
// once, what every element inherits at Element.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

func main() {
	log.SetFlags(0)
	from := flag.String("definitions", "", "folder of the unpacked package hl7.fhir.r4.examples 4.0.1")
	out := flag.String("out", "invariants.tsv", "file to write")
	flag.Parse()
	text, err := compile(*from)
	if err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile(*out, text, 0o644); err != nil {
		log.Fatal(err)
	}
	log.Printf("%s: %d invariants", *out, bytes.Count(text, []byte("\n")))
}

type bundle struct {
	Entry []struct{ Resource json.RawMessage }
}

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
func compile(folder string) ([]byte, error) {
	var lines []string
	for _, name := range []string{"types", "resources"} {
		data, err := os.ReadFile(filepath.Join(folder, "Bundle-"+name+".json"))
		if err != nil {
			return nil, err
		}
		var b bundle
		if err := json.Unmarshal(data, &b); err != nil {
			return nil, fmt.Errorf("bundle of %s: %w", name, err)
		}
		for _, e := range b.Entry {
			var head struct{ ResourceType string }
			if err := json.Unmarshal(e.Resource, &head); err != nil {
				return nil, err
			}
			if head.ResourceType != "StructureDefinition" {
				continue
			}
			var s structure
			if err := json.Unmarshal(e.Resource, &s); err != nil {
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
	}
	slices.Sort(lines)
	return []byte(strings.Join(lines, "")), nil
}

// plain is s on one line without tabs.
func plain(s string) string { return strings.Join(strings.Fields(s), " ") }
