package rest

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strconv"

	"sotesilta/gateway/exchange"
	"sotesilta/internal/fhir"
)

// postBundle takes a batch or a transaction at the base (FHIR R4 § 3.1.0.11).
func (v *visit) postBundle(query params) (answer, error) {
	if err := v.none(query); err != nil {
		v.unread = true
		return answer{}, err
	}
	doc, err := v.document(v.server.Limits.Bundle)
	var faulty map[int]error
	if err != nil {
		if doc, faulty = faultyEntries(err); doc == nil {
			return answer{}, err
		}
	}
	if err := sameType(doc, "Bundle", ""); err != nil {
		return answer{}, err
	}
	items := doc.Get("entry").Items()
	if limit := v.server.Limits.Entries; len(items) > limit {
		return answer{}, refuse(http.StatusRequestEntityTooLarge, "too-costly", "Bundle.entry",
			"A Bundle has at most "+strconv.Itoa(limit)+" entries here.")
	}
	if err := sound(shell(doc)); err != nil {
		return answer{}, err
	}
	if err := v.spendFurther(len(items) - 1); err != nil {
		return answer{}, err
	}
	switch doc.Get("type").Str() {
	case "transaction":
		return v.transaction(items)
	case "batch":
		return v.batch(items, faulty)
	}
	return answer{}, refuse(http.StatusBadRequest, "value", "Bundle.type", "A Bundle sent to the base is a batch or a transaction.")
}

// shell is a Bundle without the resources in its entries, which the Desk looks at one by one: empty Parameters, the
// least of all resources, stand in their places.
func shell(bundle *fhir.Value) *fhir.Value {
	out := fhir.NewObject(bundle.Members()...)
	if bundle.Get("entry").Kind() != fhir.Array {
		return out
	}
	entries := fhir.NewArray()
	for _, item := range bundle.Get("entry").Items() {
		if item.Kind() == fhir.Object && item.Get("resource").Kind() == fhir.Object {
			item = fhir.NewObject(item.Members()...)
			item.Set("resource", object("resourceType", "Parameters"))
		}
		entries.Append(item)
	}
	out.Set("entry", entries)
	return out
}

// transaction makes all the changes of its entries, or none and names the entry that failed. Changes are made in the
// order DELETE, POST, PUT and PATCH, whatever the order of the entries (§ 3.1.0.11.2), in one exchange with the Desk.
//
// Entries that read early are asked twice: before anything is written, because a read that fails must fail the whole;
// and after, because only a decision made then may release anything (a ban may be among the changes).
func (v *visit) transaction(items []*fhir.Value) (answer, error) {
	entries := make([]entry, len(items))
	for i, item := range items {
		var err error
		if entries[i], err = v.entry(item); err != nil {
			return answer{}, refused(err).inEntry(i)
		}
		if asked := entries[i].asked; asked != nil && !asked.reads() {
			return answer{}, refused(notInBundle("In a transaction, an operation that may change something, or gives log data,")).inEntry(i)
		}
	}
	if err := distinct(entries); err != nil {
		return answer{}, err
	}
	var ops []exchange.Op
	var at []int // entry of each op
	var reads []int
	for _, i := range processingOrder(entries) {
		if entries[i].writes() {
			ops, at = append(ops, entries[i].op), append(at, i)
		} else {
			reads = append(reads, i)
		}
	}
	answers := make([]answer, len(entries))
	if len(ops) > 0 {
		writes := v.exchange()
		for _, i := range reads {
			if !entries[i].early() {
				continue
			}
			if _, err := v.get(entries[i]); err != nil {
				return answer{}, v.refusedEntry(err, &entries[i]).inEntry(i)
			}
		}
		v.answered = 0 // what was read is read again
		written, err := v.server.Desk.Transact(v.ctx, writes, ops)
		if err != nil {
			return answer{}, v.failedOp(err, entries, at)
		}
		for n := range written {
			answers[at[n]] = changed(ops[n].Interaction, &written[n])
		}
	}
	whole := v.ctx
	defer func() { v.ctx = whole }()
	for done, i := range reads {
		v.ctx = exchange.Among(whole, len(reads)-done)
		a, err := v.get(entries[i])
		if err != nil {
			if len(ops) == 0 {
				return answer{}, v.refusedEntry(err, &entries[i]).inEntry(i)
			}
			a = v.refusedAnswer(err)
		}
		answers[i] = a
	}
	return v.responses("transaction-response", entries, answers), nil
}

// failedOp names the entry that an error of the Desk speaks of.
func (v *visit) failedOp(err error, entries []entry, at []int) error {
	var desk *exchange.Error
	if errors.As(err, &desk) && desk.Entry >= 0 && desk.Entry < len(at) {
		i := at[desk.Entry]
		return v.refusedEntry(err, &entries[i]).inEntry(i)
	}
	return err
}

// refusedEntry is the refusal of an entry; Allow of a 405 speaks of the entry's own address.
func (v *visit) refusedEntry(err error, e *entry) *refusal {
	r := *refused(err)
	if r.status == http.StatusMethodNotAllowed && r.allow == "" {
		r.allow = v.allowAt(e)
	}
	return &r
}

// allowAt is Allow for the address of an entry, but for the entry's own method.
func (v *visit) allowAt(e *entry) string {
	at := *v
	at.target = target{methods: atInstance, known: v.server.types[e.typ]}
	switch {
	case e.asked != nil:
		at.target = e.asked.target
	case e.id == "":
		at.target.methods = atType
	}
	return at.allow(e.method)
}

// distinct refuses a transaction in which two changes are of the same resource, or two entries have the same fullUrl
// (§ 3.1.0.11.2; invariant bdl-7), and one that reads what it deletes, which could only fail.
func distinct(entries []entry) error {
	changed := map[string]string{}
	urls := map[string]bool{}
	for i := range entries {
		e := &entries[i]
		if e.fullURL != "" {
			if urls[e.fullURL] {
				return refuse(http.StatusBadRequest, "duplicate", "", "Another entry has the same fullUrl.").inEntry(i)
			}
			urls[e.fullURL] = true
		}
		if e.writes() && e.id != "" {
			ref := e.typ + "/" + e.id
			if changed[ref] != "" {
				return refuse(http.StatusBadRequest, "duplicate", "", "Another entry changes the same resource.").inEntry(i)
			}
			changed[ref] = e.method
		}
	}
	for i := range entries {
		if e := &entries[i]; !e.writes() && e.version == "" && !e.history && changed[e.typ+"/"+e.id] == http.MethodDelete {
			return refuse(http.StatusBadRequest, "business-rule", "", "Another entry deletes what this one reads.").inEntry(i)
		}
	}
	return nil
}

// ranks is the order in which a Bundle's entries are processed (§ 3.1.0.11.2).
var ranks = map[string]int{http.MethodDelete: 0, http.MethodPost: 1, http.MethodPut: 2, http.MethodPatch: 2, http.MethodGet: 3, http.MethodHead: 3}

// processingOrder is the indexes of entries in the order of processing; entries of one method keep theirs.
func processingOrder(entries []entry) []int {
	indexes := make([]int, len(entries))
	for i := range indexes {
		indexes[i] = i
	}
	slices.SortStableFunc(indexes, func(a, b int) int { return cmp.Compare(ranks[entries[a].method], ranks[entries[b].method]) })
	return indexes
}

// responses is the Bundle that answers a Bundle: one entry for each, in their order. Resources are sent back for what
// was read, and for what was written only if Prefer asks for it.
func (v *visit) responses(kind string, entries []entry, answers []answer) answer {
	estimate := 0
	for i := range answers {
		estimate += 300 + len(answers[i].body)
		if answers[i].resource != nil {
			estimate += len(answers[i].resource.Body)
		}
	}
	b := newBundle(v.server.Base, kind, -1, estimate)
	for i := range answers {
		b.answered(answers[i], v.wants.returns, entries[i].method)
	}
	return answer{status: http.StatusOK, body: b.done()}
}

// answered adds the response to one entry.
func (b *bundle) answered(a answer, returns, method string) {
	var fullURL, location string
	var body, outcome []byte
	var resource exchange.Resource
	switch {
	case a.status == http.StatusNotModified:
		resource = *a.resource
	case a.status >= 300:
		outcome = a.body
	case a.resource != nil:
		resource = *a.resource
		if resource.ID != "" { // what an operation makes is nowhere
			fullURL = resource.Type + "/" + resource.ID
		}
		if a.written {
			location = versioned(&resource)
		}
		if !a.written || returns == returnRepresentation {
			body = resource.Body
		}
		if a.written && returns == returnOutcome {
			outcome = wentWell(a)
		}
	default:
		body = a.body // a Bundle of a search or history
	}
	if method == http.MethodHead {
		body = nil
	}
	open := b.entry(fullURL, body)
	if a.origin != "" {
		b.add(open, `"link":[{"relation":"`, hasProvenance, `","url":"`, b.base, "/Provenance/", a.origin, `"}]`)
		open = ","
	}
	b.add(open)
	b.response(statusLine(a.status), location, resource.Version, resource.Updated, outcome)
	b.add("}")
}

// isLink says whether a fullUrl is one that other entries may refer to: a URN, or the address of a resource on the server
// that the Bundle came from (FHIR R4 § 2.36.4).
func isLink(fullURL string) bool {
	ref := fhir.ParseReference(fullURL)
	return ref.Kind == fhir.URNReference || ref.Kind == fhir.AbsoluteReference && ref.Type != ""
}
