// Package official finds and reads the official FHIR R4 definitions and examples: the npm package hl7.fhir.r4.examples
// 4.0.1 (CC0), which scripts/prepare unpacks. The commands that make tables of the definitions, and the tests that read
// every example, use it; the gateway does not.
package official

import (
	"encoding/json"
	"flag"
	"fmt"
	"iter"
	"log"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// Folder holds a file for each resource, named Type-id.json.
type Folder string

// find is the folder that FHIR_EXAMPLES names, otherwise the one that scripts/prepare makes in this module, seen from the
// working folder or any folder below it; "" when it is not there.
func find() Folder {
	folder := os.Getenv("FHIR_EXAMPLES")
	if folder == "" {
		root, err := os.Getwd()
		for err == nil {
			if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
				folder = filepath.Join(root, "tmp", "hl7.fhir.r4.examples", "package")
				break
			}
			above := filepath.Dir(root)
			if above == root {
				return ""
			}
			root = above
		}
	}
	if _, err := os.Stat(filepath.Join(folder, "Bundle-types.json")); err != nil {
		return ""
	}
	return Folder(folder)
}

// Test is the folder for a test, which is skipped where it is not there.
func Test(t interface {
	Helper()
	Skip(args ...any)
},
) Folder {
	t.Helper()
	f := find()
	if f == "" {
		t.Skip("the npm package hl7.fhir.r4.examples 4.0.1 is not here: scripts/prepare fetches it, FHIR_EXAMPLES names a folder of it")
	}
	return f
}

// Files are the names of the files of a type, with their folder; "*" is every type.
func (f Folder) Files(typ string) []string {
	files, err := filepath.Glob(filepath.Join(string(f), typ+"-*.json"))
	if err != nil {
		panic(err) // a pattern of ours
	}
	return files
}

// Read reads the resource of a name (Type-id) into a struct of what is wanted of it.
func (f Folder) Read(name string, into any) error {
	data, err := os.ReadFile(filepath.Join(string(f), name+".json"))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// Resource is an entry of a Bundle.
type Resource struct {
	ResourceType, URL string
	JSON              json.RawMessage
}

// Bundled yields the resources of Bundles, each named without Bundle-; after an error nothing more.
func (f Folder) Bundled(names ...string) iter.Seq2[Resource, error] {
	return func(yield func(Resource, error) bool) {
		for _, name := range names {
			var bundle struct {
				Entry []struct{ Resource json.RawMessage }
			}
			if err := f.Read("Bundle-"+name, &bundle); err != nil {
				yield(Resource{}, err)
				return
			}
			for _, e := range bundle.Entry {
				r := Resource{JSON: e.Resource}
				if err := json.Unmarshal(e.Resource, &r); err != nil {
					yield(r, fmt.Errorf("bundle of %s: %w", name, err))
					return
				}
				if !yield(r, nil) {
					return
				}
			}
		}
	}
}

// Main is the main function of a command that compiles definitions into files, by name: they are written to -out, the
// working folder if it is not given, where go generate runs a package's commands.
func Main(compile func(Folder) (map[string][]byte, error)) {
	log.SetFlags(0)
	folder := flag.String("definitions", string(find()), "folder of the unpacked npm package hl7.fhir.r4.examples 4.0.1")
	out := flag.String("out", ".", "folder to write to")
	flag.Parse()
	if *folder == "" {
		log.Fatal("the official definitions are not here: run scripts/prepare, or name their folder with -definitions or FHIR_EXAMPLES")
	}
	files, err := compile(Folder(*folder))
	if err != nil {
		log.Fatal(err)
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := os.WriteFile(filepath.Join(*out, name), files[name], 0o644); err != nil {
			log.Fatal(err)
		}
		log.Printf("%s: %d bytes", name, len(files[name]))
	}
}
