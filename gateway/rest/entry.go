package rest

import (
	"bytes"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"

	"sotesilta/gateway/exchange"
	"sotesilta/gateway/patch"
	"sotesilta/gateway/search"
	"sotesilta/internal/fhir"
)

// entry is one entry of a batch or transaction, understood: either a change (op) or something to read.
type entry struct {
	method  string
	fullURL string
	op      exchange.Op   // of POST, PUT, PATCH and DELETE
	typ, id string        // id is "" for POST and searches
	version string        // GET Type/id/_history/version
	history bool          // GET Type/id/_history or Type/_history
	within  search.Within // GET Type/id/Members: of the resource Type/id; typ is Members then
	search  *search.Query
	place   place  // of a search or history
	cached  cached // of a read: what the caller has
	asked   *invocation
	// document is metadata, asked with these parameters.
	document *params
}

// writes says whether the entry asks for a change.
func (e *entry) writes() bool { return e.op.Interaction != "" }

// early says whether an entry of a transaction that reads is asked before the changes too: what has an id, and what answers
// about what is sent with it. A search finds nothing rather than failing, and what an operation of a type looks up by its
// parameters may be among what is written.
func (e *entry) early() bool {
	return e.id != "" || e.asked != nil && e.asked.operation != nil && e.asked.operation.Reads
}

// entry understands one entry. Expressions of its refusals are relative to the entry's resource, or start at Bundle.
func (v *visit) entry(item *fhir.Value) (entry, error) {
	request := item.Get("request")
	e := entry{method: request.Get("method").Str()}
	if fullURL := item.Get("fullUrl").Str(); isLink(fullURL) {
		e.fullURL = fullURL
	}
	address, query, hasQuery := strings.Cut(request.Get("url").Str(), "?")
	if rest, ok := strings.CutPrefix(address, v.server.Base); ok && (rest == "" || rest[0] == '/') {
		address = rest
	}
	address = strings.TrimSuffix(strings.TrimPrefix(address, "/"), "/")
	if textCarriesIdentityCode(address) {
		return e, refuse(http.StatusBadRequest, "invalid", "", "A personal identity code names no resource: search by it, POST Patient/_search.")
	}
	if strings.Contains(address, "://") {
		return e, elsewhere
	}
	parts := strings.Split(address, "/")
	e.typ = parts[0]
	ofType := len(parts) == 2 && parts[1] == "_history"
	if len(parts) > 1 && !ofType {
		e.id = parts[1]
	}
	if _, known := ranks[e.method]; !known {
		return e, refuse(http.StatusBadRequest, "not-supported", "", "request.method is one of GET, HEAD, POST, PUT, PATCH and DELETE.")
	}
	if e.typ == "" && hasQuery && (e.method == http.MethodGet || e.method == http.MethodHead) {
		return e, v.readOf(&e, exchange.SearchSystem, query)
	}
	if e.typ == "" {
		return e, refuse(http.StatusBadRequest, "required", "", "request.url is the address below the base, such as Task or Task/1.")
	}
	if err := bundleAddress(parts); err != nil {
		return e, err
	}
	if last := parts[len(parts)-1]; len(parts) <= 3 && strings.HasPrefix(last, "$") {
		return e, v.invocationOf(&e, parts, query, item)
	}
	if len(parts) == 1 && (e.typ == "metadata" || e.typ == "_history") {
		return e, v.ofSystem(&e, query)
	}
	if len(parts) == 3 && (fhir.IsResource(parts[2]) || parts[2] == everyType) {
		found, err := v.server.findMembers(parts[0], parts[1], parts[2], atMembers)
		if err != nil {
			return e, err
		}
		if parts[2] == everyType {
			e.typ, e.id, e.within = "", "", found.within
			if _, ok := found.methods[e.method]; !ok {
				return e, &refusal{status: http.StatusMethodNotAllowed, allow: readOnly, issues: issue("not-supported", "", wrongMethod(e.method, found))}
			}
			return e, v.readOf(&e, exchange.SearchSystem, query)
		}
		e.typ, e.id, e.within = found.typ, "", found.within
	}
	known := v.server.types[e.typ]
	if known == nil {
		return e, unknownType(e.typ)
	}
	if len(parts) > 1 && !ofType && e.within == (search.Within{}) && !fhir.ValidID(e.id) {
		return e, refuse(http.StatusBadRequest, "invalid", "", "request.url names no resource: ids are 1 to 64 of A–Z, a–z, 0–9, - and . here.")
	}

	var i exchange.Interaction
	change, write := changes[e.method]
	condition := ""
	switch {
	case write && hasQuery && len(parts) == 1 && change != exchange.Create:
		i, condition = change, query
	case write && hasQuery:
		return e, refuse(http.StatusBadRequest, "not-supported", "",
			"A condition stands in request.url of PUT, PATCH and DELETE of a type, Type?search; that of a create in request.ifNoneExist.")
	case write && !ofType && (len(parts) == 1) == (change == exchange.Create) && len(parts) <= 2:
		i = change
	case write:
		return e, refuse(http.StatusBadRequest, "not-supported", "",
			"request.url does not fit request.method: POST Type; PUT, PATCH and DELETE Type/id or Type?search.")
	case len(parts) == 1, e.within != (search.Within{}):
		i = exchange.Search
	case ofType:
		i, e.history = exchange.HistoryType, true
	case len(parts) == 2:
		i = exchange.Read
	case len(parts) == 3 && parts[2] == "_history":
		i, e.history = exchange.History, true
	case len(parts) == 4 && parts[2] == "_history" && parts[3] != "":
		i, e.version = exchange.VRead, parts[3]
	default:
		return e, refuse(http.StatusBadRequest, "not-supported", "", "request.url is no address that a GET in a Bundle may have.")
	}
	if !known.allows[i] {
		return e, &refusal{status: http.StatusMethodNotAllowed, allow: v.allowAt(&e), issues: issue("not-supported", "",
			"This interaction is not supported for "+e.typ+".")}
	}
	if !write {
		request := item.Get("request")
		e.cached = cached{tags: textsOf(request.Get("ifNoneMatch")), since: request.Get("ifModifiedSince").Str()}
		return e, v.readOf(&e, i, query)
	}
	return e, v.changeOf(&e, i, condition, item)
}

// ofSystem understands an entry that reads what is of no type: metadata and the history of the system.
func (v *visit) ofSystem(e *entry, rawQuery string) error {
	if e.method != http.MethodGet && e.method != http.MethodHead {
		return &refusal{status: http.StatusMethodNotAllowed, allow: readOnly, issues: issue("not-supported", "", "This address is read with GET.")}
	}
	query, err := entryParams(rawQuery)
	if err != nil {
		return err
	}
	if e.typ == "metadata" {
		e.document = &query
		return nil
	}
	e.typ, e.history = "", true
	e.place, err = v.understandHistory("", "", query)
	return err
}

// invocationOf understands an entry that asks an operation (FHIR R4 § 3.1.0.11): GET with the parameters in its address, POST
// with its resource. Each is decided and recorded as if it had been asked alone.
func (v *visit) invocationOf(e *entry, parts []string, rawQuery string, item *fhir.Value) error {
	var found target
	err := noOperation
	if len(parts) > 1 {
		e.id = ""
		if len(parts) == 3 {
			e.id = parts[1]
		}
		found, err = v.server.findOperationNamed(e.typ, e.id, parts[len(parts)-1])
	}
	if err != nil {
		return err
	}
	e.asked = &invocation{target: found, post: e.method == http.MethodPost}
	i, ok := found.methods[e.method]
	switch {
	case !ok:
		return &refusal{status: http.StatusMethodNotAllowed, allow: v.allowAt(e), issues: issue("not-supported", "", wrongMethod(e.method, found))}
	case operations[i] == nil:
		return notInBundle("An export")
	}
	e.asked.interaction = i
	if e.asked.query, err = entryParams(rawQuery); err != nil {
		return err
	}
	doc := item.Get("resource")
	if doc != nil && e.asked.post {
		if err := isResource(doc, ""); err != nil {
			return err
		}
	}
	e.asked.input = func() (*fhir.Value, error) { return doc, nil }
	e.asked.ifMatch = func() (int64, error) { return ifMatchOf(item.Get("request")) }
	return nil
}

// entryParams are the parameters of an entry's address; the answer has one form, that of the Bundle.
func entryParams(raw string) (params, error) {
	query, err := readParams(raw)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(query, func(pair search.Pair) bool { return pair.Name == "_format" || pair.Name == "_pretty" }), nil
}

// changes is the interaction of each method that writes.
var changes = map[string]exchange.Interaction{
	http.MethodPost: exchange.Create, http.MethodPut: exchange.Update, http.MethodPatch: exchange.Patch, http.MethodDelete: exchange.Delete,
}

// readOf understands what an entry that reads asks for. Its links are those that the same address outside of a Bundle has,
// apart from an identity code in it: that keeps them sealed.
func (v *visit) readOf(e *entry, i exchange.Interaction, rawQuery string) error {
	query, err := entryParams(rawQuery)
	if err != nil {
		return err
	}
	switch i {
	case exchange.Search, exchange.SearchSystem:
		e.search, e.place, err = v.understand(e.typ, e.within, query, false)
	case exchange.History, exchange.HistoryType:
		e.place, err = v.understandHistory(e.typ, e.id, query)
	default:
		e.place.subset, err = v.subsetOf(query)
	}
	return err
}

// changeOf makes the op of an entry that writes; condition is the query of its address.
func (v *visit) changeOf(e *entry, i exchange.Interaction, condition string, item *fhir.Value) error {
	request, doc := item.Get("request"), item.Get("resource")
	op := exchange.Op{Interaction: i, Type: e.typ, ID: e.id, FullURL: e.fullURL}
	var err error
	if op.IfMatch, err = ifMatchOf(request); err != nil {
		return err
	}
	if request.Get("ifNoneMatch") != nil && i != exchange.Create {
		return noIfNoneMatch("")
	}
	if i != exchange.Create && op.ID == "" {
		if op.Where, err = v.conditionIn(e.typ, condition); err != nil {
			return err
		}
	}
	if i == exchange.Delete {
		e.op = op
		return nil
	}
	if doc == nil {
		return refuse(http.StatusBadRequest, "required", "", "A "+e.method+" entry needs its resource.")
	}
	if err := isResource(doc, ""); err != nil {
		return err
	}
	if i == exchange.Patch {
		p, err := patchIn(doc)
		if err != nil {
			return err
		}
		op.Patch = v.applying(p)
		e.op = op
		return nil
	}
	if err := sameType(doc, e.typ, ""); err != nil {
		return err
	}
	if i == exchange.Update && op.Where == nil {
		if err := sameID(doc, e.id, ""); err != nil {
			return err
		}
	}
	if condition := request.Get("ifNoneExist").Str(); condition != "" && i == exchange.Create {
		if op.IfNoneExist, err = v.conditionIn(e.typ, condition); err != nil {
			return err
		}
	}
	op.Doc = doc
	e.op = op
	return nil
}

// patchIn is the patch that an entry carries: a FHIRPath Patch as Parameters, a JSON Patch as Binary (FHIR R4 § 3.1.0.11).
func patchIn(doc *fhir.Value) (*patch.Patch, error) {
	if fhir.ResourceType(doc) == "Parameters" {
		return fhirPathPatch(doc)
	}
	mediaType, _, _ := strings.Cut(doc.Text("contentType"), ";")
	data, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(doc.Text("data")), ""))
	if fhir.ResourceType(doc) != "Binary" || mediaType != jsonPatch || err != nil {
		return nil, refuse(http.StatusBadRequest, "structure", "",
			"A PATCH entry carries Parameters (FHIRPath Patch), or a Binary whose contentType is "+jsonPatch+"; merge patches are not taken.")
	}
	if len(data) == 0 {
		return nil, refuse(http.StatusBadRequest, "required", "Binary.data", "The Binary of a PATCH entry has the operations in data, in Base64.")
	}
	operations, err := fhir.Parse(bytes.TrimPrefix(data, utf8Mark), fhir.DefaultLimits)
	if err != nil { // its place is one in the patch
		return nil, refuse(http.StatusBadRequest, "structure", "Binary.data", "The patch is not understood: "+err.Error())
	}
	return readJSONPatch(operations)
}

// get carries out an entry that reads, unless the answers to the entries before it are as long as they may be.
func (v *visit) get(e entry) (answer, error) {
	if v.answered >= v.server.Limits.Answer {
		return answer{}, refuse(http.StatusRequestEntityTooLarge, "too-costly", "",
			"The answers to the entries before this one are longer than "+size(v.server.Limits.Answer)+" together. Ask for it in another Bundle.")
	}
	a, err := v.getEntry(e)
	v.answered += len(a.body)
	if a.resource != nil {
		v.answered += len(a.resource.Body)
	}
	return a, err
}

func (v *visit) getEntry(e entry) (answer, error) {
	switch {
	case e.asked != nil:
		return operations[e.asked.interaction](v, e.asked)
	case e.document != nil:
		f, err := v.statement(*e.document, codecs[0], false)
		if err != nil {
			return answer{}, err
		}
		return answer{status: http.StatusOK, body: f.text}, nil
	case e.search != nil:
		return v.search(e.search, e.place)
	case e.history:
		return v.history(e.place)
	}
	var a answer
	var err error
	if e.version != "" {
		a, err = v.readVersion(e.typ, e.id, e.version)
	} else {
		a, err = v.readResource(e.typ, e.id)
	}
	if err == nil && e.cached.still(a.resource) {
		a.status = http.StatusNotModified
	}
	if err == nil {
		a.resource, err = e.place.subset.of(a.resource)
	}
	return a, err
}
