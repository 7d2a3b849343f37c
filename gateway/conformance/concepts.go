package conformance

import (
	"slices"
	"strings"
	"sync"

	"sotesilta/gateway/search"
	"sotesilta/internal/fhir"
	"sotesilta/internal/terms"
)

// meanings are the codes of our own code systems with their texts, by URL and code.
var meanings = sync.OnceValue(func() map[string]map[string]search.Concept {
	all := map[string]map[string]search.Concept{}
	docs, err := written()
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
func (Terms) Concept(system, code string) (c search.Concept, known, here bool) {
	codes, here := meanings()[system]
	c, known = codes[code]
	return c, known, here
}

// Systems are our own code systems, in the order of their URLs.
func (Terms) Systems() []*fhir.Value {
	docs, err := written()
	if err != nil {
		panic(err) // embedded, and read by the tests
	}
	docs = slices.DeleteFunc(docs, func(doc *fhir.Value) bool { return fhir.ResourceType(doc) != "CodeSystem" })
	slices.SortFunc(docs, func(a, b *fhir.Value) int { return strings.Compare(a.Text("url"), b.Text("url")) })
	return docs
}

// ConceptMaps are ours.
func (Terms) ConceptMaps() []*fhir.Value {
	all, err := conceptMaps()
	if err != nil {
		panic(err) // embedded, and read by the tests
	}
	return all
}

// Definition is the CodeSystem, ValueSet or ConceptMap of ours with a canonical URL, or nil.
func (Terms) Definition(typ, url string) *fhir.Value {
	id, ours := strings.CutPrefix(url, terms.Base+typ+"/")
	if !ours || !fhir.ValidID(id) {
		return nil
	}
	doc, err := Resource(typ, id)
	if err != nil {
		return nil
	}
	return doc
}
