package rest

import (
	"math"
	"net/http"
	"strconv"
	"strings"

	"sotesilta/gateway/exchange"
	"sotesilta/internal/fhir"
)

// putUpdate makes a new version of a resource (FHIR R4 § 3.1.0.4), with If-Match only of the version it names. There is
// no update-as-create: ids are the gateway's to give.
func (v *visit) putUpdate(query params) (answer, error) {
	if err := v.none(query); err != nil {
		v.unread = true
		return answer{}, err
	}
	op := exchange.Op{Interaction: exchange.Update, Type: v.target.typ, ID: v.target.id}
	var err error
	if op.Doc, err = v.document(v.server.Limits.Body); err != nil {
		return answer{}, err
	}
	if err := sameType(op.Doc, op.Type, ""); err != nil {
		return answer{}, err
	}
	if err := sameID(op.Doc, op.ID, ""); err != nil {
		return answer{}, err
	}
	if op.IfMatch, err = ifMatch(v.r.Header.Get("If-Match"), "http.If-Match"); err != nil {
		return answer{}, err
	}
	return v.change(op)
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

// ifMatch reads If-Match: one entity tag. 0: none was asked for. Whether it holds is looked at by the Desk, and only
// after permission.
func ifMatch(header, expression string) (int64, error) {
	header = strings.TrimSpace(header)
	if header == "" || header == "*" { // a resource is there or the change is refused, which is all that * asks
		return 0, nil
	}
	tag, quoted := strings.CutPrefix(strings.TrimPrefix(header, "W/"), `"`)
	tag, closed := strings.CutSuffix(tag, `"`)
	if !quoted || !closed || strings.ContainsRune(tag, '"') {
		return 0, refuse(http.StatusBadRequest, "value", expression, `One entity tag such as W/"3" is needed.`)
	}
	version, err := strconv.ParseInt(tag, 10, 64)
	if err != nil || version < 1 {
		return noVersion, nil
	}
	return version, nil
}
