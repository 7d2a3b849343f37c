package conformance

import (
	"slices"
	"strings"
	"sync"

	"sotesilta/gateway/search"
	"sotesilta/internal/fhir"
)

// meanings are the codes of our own code systems with their texts, by URL and code.
var meanings = sync.OnceValue(func() map[string]map[string]search.Concept {
	all := map[string]map[string]search.Concept{}
	docs, err := Resources()
	if err != nil {
		panic(err) // embedded, and read by the tests
	}
	for _, doc := range docs {
		if fhir.ResourceType(doc) != "CodeSystem" {
			continue
		}
		codes := map[string]search.Concept{}
		var add func(list *fhir.Value)
		add = func(list *fhir.Value) {
			for _, c := range list.Items() {
				codes[c.Text("code")] = search.Concept{
					Name: doc.Text("name"), Version: doc.Text("version"), Display: c.Text("display"), Definition: c.Text("definition"),
				}
				add(c.Get("concept"))
			}
		}
		add(doc.Get("concept"))
		all[doc.Text("url")] = codes
	}
	return all
})

// Concept is what a code of a code system of ours means: known is false of a code that the system does not have, held of
// another system.
func (Terms) Concept(system, code string) (c search.Concept, known, held bool) {
	codes, held := meanings()[system]
	c, known = codes[code]
	return c, known, held
}

// Systems are our own code systems, in the order of their URLs.
func (Terms) Systems() []*fhir.Value {
	docs, err := Resources()
	if err != nil {
		panic(err) // embedded, and read by the tests
	}
	docs = slices.DeleteFunc(docs, func(doc *fhir.Value) bool { return fhir.ResourceType(doc) != "CodeSystem" })
	slices.SortFunc(docs, func(a, b *fhir.Value) int { return strings.Compare(a.Text("url"), b.Text("url")) })
	return docs
}
