package rest

import (
	"bytes"
	"net/http"
	"strings"

	"sotesilta/gateway/exchange"
	"sotesilta/gateway/patch"
	"sotesilta/internal/fhir"
)

// jsonPatch is the media type of a JSON Patch (RFC 6902); a FHIRPath Patch comes in those of resources.
const jsonPatch = "application/json-patch+json"

// patchFormats are the media types of patches: JSON Patch, and the forms of resources for FHIRPath Patch.
func patchFormats() []string {
	out := []string{jsonPatch}
	for _, c := range codecs {
		if c.format != "" {
			out = append(out, c.mediaType)
		}
	}
	return out
}

// patchForms says which patches are taken. A merge patch (RFC 7396) is none of them: it cannot name one item of a list.
const patchForms = "A patch is a JSON Patch, an array of operations sent as Content-Type " + jsonPatch + ", or a FHIRPath Patch, a Parameters resource sent as " +
	fhirJSON + " or " + fhirXML + "; merge patches and XML Patches are not taken."

// patchPatch changes a resource in part (FHIR R4 § 3.1.0.6): that of the address, or the one that the query finds. An
// absent one is 404, for a patch has nothing to create from.
func (v *visit) patchPatch(query params) (answer, error) {
	op, err := v.aimed(exchange.Patch, query)
	if err != nil {
		v.unread = true
		return answer{}, err
	}
	mediaType, err := v.mediaType()
	if err != nil || mediaType != jsonPatch && codecOf(mediaType) == nil {
		v.unread = true
		return answer{}, v.otherPatch(patchForms + " The body is in UTF-8 and not compressed.")
	}
	var p *patch.Patch
	if mediaType == jsonPatch {
		p, err = v.jsonPatch()
	} else {
		var doc *fhir.Value
		if doc, err = v.value(v.server.Limits.Body); err == nil {
			p, err = v.resourcePatch(doc)
		}
	}
	if err != nil {
		return answer{}, err
	}
	op.Patch = v.applying(p)
	return v.change(op)
}

// resourcePatch reads a body that is said to be a resource as a FHIRPath Patch. One that is a JSON Patch is refused with the
// media type to send: what a body means is told by its Content-Type alone (RFC 5789 § 2.2: 415).
func (v *visit) resourcePatch(doc *fhir.Value) (*patch.Patch, error) {
	if doc.Kind() == fhir.Array {
		return nil, v.otherPatch("An array of operations is a JSON Patch: send it as Content-Type " + jsonPatch + ".")
	}
	return fhirPathPatch(doc)
}

// noPatch refuses a body that is a patch under no Content-Type, such as a merge patch or the resource itself.
var noPatch = refuse(http.StatusBadRequest, "invalid", "", patchForms)

// otherPatch refuses a patch that its Content-Type does not fit, and names those that do (RFC 5789 § 2.2).
func (v *visit) otherPatch(says string) error {
	v.Header().Set("Accept-Patch", strings.Join(patchFormats(), ", "))
	return refuse(http.StatusUnsupportedMediaType, "not-supported", "", says)
}

// jsonPatch reads the body as a JSON Patch.
func (v *visit) jsonPatch() (*patch.Patch, error) {
	data, err := v.read(v.server.Limits.Body)
	if err != nil {
		return nil, err
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, refuse(http.StatusBadRequest, "required", "", "The body is empty; a patch is needed, [] where nothing changes.")
	}
	doc, err := fhir.Parse(data, fhir.DefaultLimits)
	if err != nil {
		return nil, err
	}
	if fhir.ResourceType(doc) != "" {
		return nil, v.otherPatch("A resource is no JSON Patch: a FHIRPath Patch is Parameters, sent as Content-Type " + fhirJSON + " or " + fhirXML + ".")
	}
	return readJSONPatch(doc)
}

// readJSONPatch understands a JSON Patch.
func readJSONPatch(doc *fhir.Value) (*patch.Patch, error) {
	if doc.Kind() != fhir.Array {
		return nil, noPatch
	}
	p, err := patch.JSON(doc)
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "invalid", "", err.Error())
	}
	return p, nil
}

// fhirPathPatch reads a resource as a FHIRPath Patch.
func fhirPathPatch(doc *fhir.Value) (*patch.Patch, error) {
	if fhir.ResourceType(doc) != "Parameters" {
		return nil, noPatch
	}
	if err := sound(doc); err != nil {
		return nil, err
	}
	p, err := patch.FHIRPath(doc)
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "invalid", "Parameters.parameter", err.Error())
	}
	return p, nil
}

// applying is a patch as the Desk asks for it. What cannot be done to the current version is 422.
// All patches of a request share one effort.
func (v *visit) applying(p *patch.Patch) func(*fhir.Value) (*fhir.Value, error) {
	if v.effort == nil {
		v.effort = patch.NewEffort()
	}
	return func(current *fhir.Value) (*fhir.Value, error) {
		out, err := p.Apply(current, v.effort)
		if err != nil {
			return nil, exchange.Refuse(exchange.Unprocessable, "processing", "", err.Error())
		}
		return out, nil
	}
}
