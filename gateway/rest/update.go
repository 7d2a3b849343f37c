package rest

import (
	"math"
	"net/http"
	"strconv"
	"strings"

	"sotesilta/gateway/exchange"
	"sotesilta/internal/fhir"
)

// putUpdate makes a new version of a resource (FHIR R4 § 3.1.0.4): of that of the address, or of the one that the query
// finds (§ 3.1.0.4.3); with If-Match only of the version it names. There is no update-as-create: ids are the gateway's
// to give.
func (v *visit) putUpdate(query params) (answer, error) {
	op, err := v.aimed(exchange.Update, query)
	if err != nil {
		v.unread = true
		return answer{}, err
	}
	if op.Doc, err = v.document(v.server.Limits.Body); err != nil {
		return answer{}, err
	}
	if err := sameType(op.Doc, op.Type, ""); err != nil {
		return answer{}, err
	}
	if op.Where == nil {
		if err := sameID(op.Doc, op.ID, ""); err != nil {
			return answer{}, err
		}
	}
	return v.change(op)
}

// aimed is the op of a change of a resource that exists: that of the address, or without an id the one that meets the
// condition in the query.
func (v *visit) aimed(i exchange.Interaction, query params) (exchange.Op, error) {
	op := exchange.Op{Interaction: i, Type: v.target.typ, ID: v.target.id}
	var err error
	if op.ID == "" {
		op.Where, err = v.conditionOfChange(op.Type, query)
	} else {
		err = v.none(query)
	}
	if err != nil {
		return op, err
	}
	if v.r.Header.Get("If-None-Match") != "" {
		return op, noIfNoneMatch("http.If-None-Match")
	}
	op.IfMatch, err = v.ifMatch()
	return op, err
}

// noIfNoneMatch refuses a condition that only an update-as-create could meet.
func noIfNoneMatch(expression string) error {
	return refuse(http.StatusBadRequest, "not-supported", expression,
		"If-None-Match is for reads: updates do not create resources here. Create once with POST and If-None-Exist.")
}

// sameID refuses a resource whose id is not that of its address (FHIR R4 § 3.1.0.4).
func sameID(doc *fhir.Value, id, place string) error {
	expression := strings.TrimPrefix(place+".id", ".")
	switch got := fhir.ID(doc); got {
	case id:
		return nil
	case "":
		return refuse(http.StatusBadRequest, "required", expression, "An update carries the resource's id, the same as in the address.")
	default:
		return refuse(http.StatusBadRequest, "invalid", expression, "The resource's id is not that of the address.")
	}
}

// noVersion is a version that no resource has: an ETag that is well-formed but none of ours never matches.
const noVersion = math.MaxInt64

// ifMatch is the version that the request's If-Match names; 0: none or any.
func (v *visit) ifMatch() (int64, error) {
	given, ok := v.r.Header["If-Match"]
	if !ok { // empty is given as well: who meant a version must not overwrite another
		return 0, nil
	}
	return ifMatch(strings.Join(given, ", "), "http.If-Match")
}

// ifMatchOf is the version that an entry's request.ifMatch names; 0: none or any.
func ifMatchOf(request *fhir.Value) (int64, error) {
	given := request.Get("ifMatch")
	if given == nil {
		return 0, nil
	}
	return ifMatch(given.Str(), "")
}

// ifMatch reads If-Match: one entity tag, or * (0: any version). Whether it holds is looked at by the Desk, and only
// after permission.
func ifMatch(header, expression string) (int64, error) {
	header = strings.TrimSpace(header)
	if header == "*" { // a resource is there or the change is refused, which is all that * asks
		return 0, nil
	}
	tag, quoted := strings.CutPrefix(strings.TrimPrefix(header, "W/"), `"`)
	tag, closed := strings.CutSuffix(tag, `"`)
	if !quoted || !closed || strings.ContainsRune(tag, '"') {
		return 0, refuse(http.StatusBadRequest, "value", expression, `If-Match is one entity tag, such as W/"3", or *.`)
	}
	version, err := strconv.ParseInt(tag, 10, 64)
	if err != nil || version < 1 {
		return noVersion, nil
	}
	return version, nil
}
