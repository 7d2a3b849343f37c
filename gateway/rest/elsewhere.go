package rest

import (
	"net/http"
	"slices"
	"strings"

	"sotesilta/gateway/search"
	"sotesilta/internal/fhir"
)

// What FHIR R4 has and this service has not, and what to do instead. Clients that come from other servers meet these
// first, so each refusal says the way round. None of them depends on any row.

// notSupported refuses an address that FHIR gives a meaning to and this service does not.
func notSupported(text string) error { return refuse(http.StatusNotFound, "not-supported", "", text) }

var noOperation = notSupported("There is no such operation here. [base]/metadata names those that are.")

// everyType stands for all types of a compartment.
const everyType = "*"

// noCompartment refuses a search of a type in a compartment that it is not in (FHIR R4 § 2.49), and names the search by
// reference where there is one.
func noCompartment(of, id, typ string) error {
	text := typ + " is not in the compartment of " + of
	if !fhir.ValidID(id) {
		id = "[id]"
	}
	if param := referring(typ, of); param != "" {
		text += ": search GET [base]/" + typ + "?" + param + "=" + of + "/" + id
	}
	return notSupported(text + ".")
}

// referring is the search parameter by which a type refers to another: that which is named after it, otherwise the
// first; "" when none does, or only such as may refer to nearly anything.
func referring(typ, to string) string {
	first := ""
	for _, param := range search.Params(typ) {
		if param.Type != "reference" || len(param.Targets) > len(fhir.Types())/2 || !slices.Contains(param.Targets, to) {
			continue
		}
		if strings.EqualFold(param.Name, to) {
			return param.Name
		}
		if first == "" || param.Name == "subject" {
			first = param.Name
		}
	}
	return first
}

// wrongMethod says what to do instead of a method that an address does not take.
func wrongMethod(method string, t target) string {
	text := "This method is not allowed at this address. Allow names those that are."
	return text
}

// notInBundle refuses what a batch or transaction does not take, though it may be asked alone.
func notInBundle(what string) error {
	return refuse(http.StatusBadRequest, "not-supported", "", what+" is not taken here: ask for it in a request of its own.")
}

// elsewhere refuses an entry for another server, such as a client that knows this one by another name writes.
var elsewhere = refuse(http.StatusBadRequest, "invalid", "",
	"request.url is the address of another server: write it below the base of this one, such as Task/1. implementation.url of [base]/metadata names the base.")

// bundleAddress refuses the addresses that a Bundle does not take; parts are those of its path.
func bundleAddress(parts []string) error {
	switch {
	case parts[len(parts)-1] == "_search":
		return refuse(http.StatusBadRequest, "not-supported", "", "A search in a Bundle is a GET of [type]?…: its request.url stands in a body already.")
	}
	return nil
}

// withoutSlash is the path without one slash at its end, if it is below the base: [base]/Patient/ is [base]/Patient.
func (s *server) withoutSlash(r *http.Request) *http.Request {
	path := r.URL.Path
	if len(path) <= len(s.path)+1 || path[len(path)-1] != '/' || !strings.HasPrefix(path, s.path+"/") {
		return r
	}
	address := *r.URL
	address.Path, address.RawPath = path[:len(path)-1], ""
	next := *r
	next.URL = &address
	return &next
}
