// Package oracle is the leak battery: it asks a FHIR server about a client that is denied to the asker, in every way in
// which FHIR servers have been seen to tell hidden from absent, and says by which of them the server tells.
//
// The principle is comparison. Each probe is put three times: about something that is hidden from the asker, and about
// two things that never were. What differs between the two absent ones is noise (times, random ids) and is not looked
// at; what the two share and the hidden one does not is a leak. Nothing is assumed about how the server says no. Three
// more looks belong to it: what a search shows before and after something hidden is written beside it; whether pages
// are whole; and whether the time that an answer takes tells (timing.go).
//
// The oracles are those of FHIR R4's own interactions (§ 3.1.0, § 3.1.1, § 3.5 of the specification, Bulk Data Access 2.0)
// that peers were found to leak by.
package oracle

import (
	"fmt"
	"slices"
)

// Oracle is one way in which a server may tell hidden from absent.
type Oracle string

// The oracles.
const (
	Status            Oracle = "status"             // read, vread: 403, 410 or 500 for what is hidden, 404 for what is absent
	Body              Oracle = "body"               // a read gives what is hidden
	Text              Oracle = "text"               // diagnostics of the OperationOutcome
	Header            Oracle = "header"             // any other header, its presence, value or length
	ETag              Oracle = "etag"               // ETag, Last-Modified, 304 to If-None-Match and If-Modified-Since
	Precondition      Oracle = "precondition"       // 412 to If-Match
	Version           Oracle = "version"            // vread
	History           Oracle = "history"            // of an instance
	HistoryType       Oracle = "history-type"       // of a type
	HistorySystem     Oracle = "history-system"     // of the system
	Search            Oracle = "search"             // rows of a search by id, client, identifier or code
	SearchSystem      Oracle = "search-system"      // rows, totals, order and pages of a search across types
	Total             Oracle = "total"              // Bundle.total
	Count             Oracle = "count"              // _summary=count
	Elements          Oracle = "elements"           // _elements, _summary=true
	Sort              Oracle = "sort"               // order and page limits of a sorted search
	Link              Oracle = "link"               // next and last links
	Page              Oracle = "page"               // pages that are short or repeat themselves
	Include           Oracle = "include"            // _include
	RevInclude        Oracle = "revinclude"         // _revinclude
	Chain             Oracle = "chain"              // chained parameters
	Has               Oracle = "has"                // _has
	Compartment       Oracle = "compartment"        // GET Patient/1/Observation
	Everything        Oracle = "everything"         // $everything
	Export            Oracle = "export"             // $export
	Match             Oracle = "match"              // Patient/$match
	Update            Oracle = "update"             // PUT
	Patch             Oracle = "patch"              // PATCH
	Delete            Oracle = "delete"             // DELETE
	ConditionalCreate Oracle = "conditional-create" // If-None-Exist
	ConditionalUpdate Oracle = "conditional-update"
	ConditionalPatch  Oracle = "conditional-patch"
	ConditionalDelete Oracle = "conditional-delete"
	Reference         Oracle = "reference"    // a write that refers to what is hidden
	Transaction       Oracle = "transaction"  // entries of a transaction
	Batch             Oracle = "batch"        // entries of a batch
	Notification      Oracle = "notification" // a subscription tells
	Log               Oracle = "log"          // a log that anybody may read grows by more
	Time              Oracle = "time"         // how long an answer takes
)

// Oracles are all of them, in the order of the table.
var Oracles = []Oracle{
	Status, Body, Text, Header, ETag, Precondition, Version, History, HistoryType, HistorySystem, Search, SearchSystem, Total, Count, Elements,
	Sort, Link, Page, Include, RevInclude, Chain, Has, Compartment, Everything, Export, Match, Update, Patch, Delete,
	ConditionalCreate, ConditionalUpdate, ConditionalPatch, ConditionalDelete, Reference, Transaction, Batch, Notification, Log, Time,
}

// Verdict is what came of probing.
type Verdict string

// The verdicts.
const (
	Clean       Verdict = "clean"
	Leak        Verdict = "LEAK"
	Unsupported Verdict = "not supported" // refused alike, and not in the CapabilityStatement
	Untried     Verdict = "not tried"     // it needs what the battery was not given; Finding.Evidence says what
)

// Finding is what one probe showed.
type Finding struct {
	Oracle   Oracle  `json:"oracle"`
	Probe    string  `json:"probe"`
	Verdict  Verdict `json:"verdict"`
	Evidence string  `json:"evidence,omitempty"`
}

// Report is a run of the battery.
type Report struct {
	Base     string    `json:"base"`
	Software string    `json:"software,omitempty"` // as the CapabilityStatement names it
	Probes   int       `json:"probes"`
	Requests int       `json:"requests"`
	Seconds  float64   `json:"seconds"`
	Findings []Finding `json:"findings"`
}

// Leaks are the findings that tell.
func (r *Report) Leaks() []Finding {
	return slices.DeleteFunc(slices.Clone(r.Findings), func(f Finding) bool { return f.Verdict != Leak })
}

// Row is the line of one oracle in the table.
type Row struct {
	Oracle   Oracle  `json:"oracle"`
	Verdict  Verdict `json:"verdict"`
	Probes   int     `json:"probes"`
	Evidence string  `json:"evidence,omitempty"`
}

// Table sums the findings up by oracle: a leak outweighs all, and one clean probe outweighs what was not supported or
// not tried.
func (r *Report) Table() []Row {
	weight := map[Verdict]int{Untried: 1, Unsupported: 2, Clean: 3, Leak: 4}
	rows := make([]Row, 0, len(Oracles))
	for _, o := range Oracles {
		row := Row{Oracle: o, Verdict: Untried, Evidence: "no probe applied"}
		best := 0
		for _, f := range r.Findings {
			if f.Oracle != o {
				continue
			}
			row.Probes++
			if weight[f.Verdict] > best {
				best, row.Verdict, row.Evidence = weight[f.Verdict], f.Verdict, f.Evidence
				if f.Verdict == Leak {
					row.Evidence = fmt.Sprintf("%s: %s", f.Probe, f.Evidence)
				}
			}
		}
		rows = append(rows, row)
	}
	return rows
}
