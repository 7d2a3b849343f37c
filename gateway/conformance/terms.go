package conformance

import (
	"strings"
	"sync"

	"sotesilta/gateway/search"
	"sotesilta/internal/fhir"
	"sotesilta/internal/terms"
)

// Terms are the code systems and value sets held here: our own, and the value sets that R4 binds elements to as
// required.
type Terms struct{}

var _ search.Terms = Terms{}

// node is a code with its place in the hierarchy of its system.
type node struct {
	code   string
	parent int // index in the system; -1: a root
}

// systems are our own code systems by URL, each in document order: what is below a code comes after it.
var systems = sync.OnceValue(func() map[string][]node {
	all := map[string][]node{}
	docs, err := files.ReadDir(".")
	if err != nil {
		panic(err) // embedded
	}
	for _, f := range docs {
		if !strings.HasPrefix(f.Name(), "CodeSystem-") {
			continue
		}
		doc, err := read(f.Name())
		if err != nil {
			panic(err) // embedded, and read by the tests
		}
		var nodes []node
		var add func(concepts *fhir.Value, parent int)
		add = func(concepts *fhir.Value, parent int) {
			for _, c := range concepts.Items() {
				nodes = append(nodes, node{c.Text("code"), parent})
				add(c.Get("concept"), len(nodes)-1)
			}
		}
		add(doc.Get("concept"), -1)
		all[doc.Text("url")] = nodes
	}
	return all
})

// Members implements search.Terms. The value set of all codes of a system of ours has its name.
func (Terms) Members(valueSet string) ([]search.Code, bool) {
	valueSet, _, _ = strings.Cut(valueSet, "|")
	if id, ok := strings.CutPrefix(valueSet, terms.Base+"ValueSet/"); ok {
		system := terms.Base + "CodeSystem/" + id
		nodes, ok := systems()[system]
		var codes []search.Code
		for _, n := range nodes {
			codes = append(codes, search.Code{System: system, Code: n.code})
		}
		return codes, ok
	}
	found, ok := fhir.ValueSetCodes(valueSet)
	codes := make([]search.Code, len(found))
	for i, c := range found {
		codes[i] = search.Code{System: c.System, Code: c.Code}
	}
	return codes, ok
}

// Below implements search.Terms.
func (Terms) Below(system, code string) ([]search.Code, bool) {
	nodes := systems()[system]
	under := make([]bool, len(nodes))
	var codes []search.Code
	for i, n := range nodes {
		if under[i] = n.code == code || n.parent >= 0 && under[n.parent]; under[i] {
			codes = append(codes, search.Code{System: system, Code: n.code})
		}
	}
	return codes, len(codes) > 0
}

// Above implements search.Terms.
func (Terms) Above(system, code string) ([]search.Code, bool) {
	nodes := systems()[system]
	var codes []search.Code
	for i := range nodes {
		if nodes[i].code == code {
			for at := i; at >= 0; at = nodes[at].parent {
				codes = append(codes, search.Code{System: system, Code: nodes[at].code})
			}
		}
	}
	return codes, len(codes) > 0
}

// valueSet is the value set of all codes of a code system of ours.
func valueSet(system *fhir.Value) *fhir.Value {
	id := fhir.ID(system)
	text := func(name, value string) fhir.Member { return fhir.Member{Name: name, Value: fhir.NewString(value)} }
	members := []fhir.Member{text("resourceType", "ValueSet"), text("id", id), text("url", terms.Base+"ValueSet/"+id)}
	for _, name := range []string{"version", "name", "title", "status", "date", "publisher", "description"} {
		if system.Text(name) != "" {
			members = append(members, text(name, system.Text(name)))
		}
	}
	return fhir.NewObject(append(members, fhir.Member{Name: "compose", Value: fhir.NewObject(fhir.Member{
		Name: "include", Value: fhir.NewArray(fhir.NewObject(text("system", system.Text("url")))),
	})})...)
}
