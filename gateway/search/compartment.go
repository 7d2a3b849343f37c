package search

import (
	_ "embed"
	"slices"
	"strings"
	"sync"
)

// Within is the compartment that a search keeps to (FHIR R4 § 2.49): that of the resource of this type and id. The zero
// Within is none.
type Within struct {
	Type string `json:"t"`
	ID   string `json:"i"`
}

// String is Type/ID.
func (w Within) String() string { return w.Type + "/" + w.ID }

// membership is the condition on resources of a type to be in the compartment: any of the parameters that its
// CompartmentDefinition names refers to the resource that it is of. nil: the type is not in it.
func (w Within) membership(typ string) *Clause {
	params := Compartment(w.Type, typ)
	any := make([]Clause, len(params))
	for i, name := range params {
		any[i] = Clause{Param: Lookup(typ, name), Values: []Value{{RefType: w.Type, RefID: w.ID}}}
		if name == "_id" {
			any[i].Values = []Value{{Code: w.ID}}
		}
	}
	switch len(any) {
	case 0:
		return nil
	case 1:
		return &any[0]
	}
	return &Clause{Any: any}
}

// Compartments are the types that have a compartment, sorted.
func Compartments() []string {
	var out []string
	for of := range compartments() {
		out = append(out, of)
	}
	slices.Sort(out)
	return out
}

// Compartment names the parameters of a type of which any makes a resource a member of a compartment: those that its
// CompartmentDefinition names and that are supported. Empty: the type is not in it.
func Compartment(of, typ string) []string { return compartments()[of][typ] }

//go:embed compartments.tsv
var compartmentsTSV string

// compartments are the parameters by type of the compartment and type of the members, read at the first use. The table
// is generated and embedded.
var compartments = sync.OnceValue(func() map[string]map[string][]string {
	all := map[string]map[string][]string{}
	var members map[string][]string
	for line := range strings.Lines(compartmentsTSV) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '=':
			members = map[string][]string{}
			all[line[1:]] = members
		default:
			typ, params, _ := strings.Cut(line, "\t")
			members[typ] = strings.Fields(params)
		}
	}
	return all
})

// Asked is the query as it is recorded: Raw, after the compartment as if it were a parameter, _compartment=Type/id.
func (q *Query) Asked() string {
	if q.Within == (Within{}) {
		return q.Raw
	}
	asked := "_compartment=" + q.Within.String()
	if q.Raw == "" {
		return asked
	}
	return asked + "&" + q.Raw
}
