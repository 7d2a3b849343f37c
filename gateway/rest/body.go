package rest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"

	"sotesilta/internal/fhir"
)

// maxForm bounds the body of POST _search in bytes: its parameters come back, sealed, in the links of the answer.
const maxForm = 16 << 10

// document reads the body as one FHIR resource of at most limit bytes, refusing what value refuses and what is no resource
// (400).
func (v *visit) document(limit int) (*fhir.Value, error) {
	doc, err := v.value(limit)
	if err == nil {
		err = isResource(doc, "")
	}
	if err != nil {
		return nil, err
	}
	return doc, nil
}

// value reads the body in the form of a resource. It refuses other media types (415), what is too long (413, unread) and
// what does not read strictly in its form (400).
func (v *visit) value(limit int) (*fhir.Value, error) {
	mediaType, err := v.mediaType()
	form := codecOf(mediaType)
	if err != nil || form == nil {
		return nil, v.wrongMediaType(mediaTypes()...)
	}
	data, err := v.read(limit)
	if err != nil {
		return nil, err
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, refuse(http.StatusBadRequest, "required", "", "The body is empty; a resource is needed.")
	}
	return form.read(data, limitsOf(limit))
}

// limitsOf bounds the parsing of a document of at most limit bytes: as many values to a byte as by default.
func limitsOf(limit int) fhir.Limits {
	ratio := fhir.DefaultLimits.Bytes / fhir.DefaultLimits.Values
	return fhir.Limits{Bytes: limit, Values: max(fhir.DefaultLimits.Values, limit/ratio)}
}

// isResource refuses what names no resource type of R4; place is where it stands, "" for the body itself.
func isResource(doc *fhir.Value, place string) error {
	if doc.Kind() != fhir.Object {
		return refuse(http.StatusBadRequest, "structure", place, "A resource is a JSON object.")
	}
	if typ := fhir.ResourceType(doc); !fhir.IsResource(typ) {
		return refuse(http.StatusBadRequest, "structure", strings.TrimPrefix(place+".resourceType", "."),
			"resourceType is missing or is not a resource type of FHIR R4.")
	}
	return nil
}

// sound refuses a resource that is not stored, so that no other looks at it: Parameters, or a Bundle without its
// resources.
func sound(doc *fhir.Value) error {
	var failing []fhir.Issue
	for _, is := range fhir.Validate(doc) {
		if is.Severity == "error" || is.Severity == "fatal" {
			failing = append(failing, is)
		}
	}
	if len(failing) == 0 {
		return nil
	}
	return &refusal{status: http.StatusBadRequest, issues: failing}
}

// form reads the body of POST _search: form parameters.
func (v *visit) form() (params, error) {
	if v.r.ContentLength == 0 && v.r.Header.Get("Content-Type") == "" {
		return nil, nil
	}
	if mediaType, err := v.mediaType(); err != nil || mediaType != formBody {
		return nil, v.wrongMediaType(formBody)
	}
	data, err := v.read(maxForm)
	if err != nil {
		return nil, err
	}
	return readParams(string(data))
}

// errEncoded is the error of a body that is compressed, not in UTF-8, or of another version of FHIR.
var errEncoded = errors.New("rest: not a media type that is taken")

// mediaType is what the body is said to be, without parameters.
func (v *visit) mediaType() (string, error) {
	if encoding := v.r.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return "", errEncoded
	}
	header := v.r.Header.Get("Content-Type")
	if header == fhirJSON {
		return header, nil
	}
	mediaType, params, err := mime.ParseMediaType(header)
	if err != nil {
		return "", err
	}
	if charset := params["charset"]; !isR4(params["fhirversion"]) || charset != "" && !strings.EqualFold(charset, "utf-8") && !strings.EqualFold(charset, "utf8") {
		return "", errEncoded
	}
	return mediaType, nil
}

// wrongMediaType refuses a body, unread, that is none of what is taken.
func (v *visit) wrongMediaType(taken ...string) error {
	v.unread = true
	if _, params, _ := mime.ParseMediaType(v.r.Header.Get("Content-Type")); !isR4(params["fhirversion"]) {
		return refuse(http.StatusUnsupportedMediaType, "not-supported", "http.Content-Type", "fhirVersion in Content-Type is of another FHIR: bodies are FHIR R4, 4.0.")
	}
	return refuse(http.StatusUnsupportedMediaType, "not-supported", "",
		"The body must be "+strings.Join(taken, " or ")+" in UTF-8, not compressed; Content-Type must say so.")
}

// read reads the body, at most limit bytes, without the byte order mark that some put before UTF-8 (RFC 8259 § 8.1: who
// reads may pass over it). It refuses UTF-16 by its mark or, without one, by the zero in its first character, which no
// form of ours begins with.
func (v *visit) read(limit int) ([]byte, error) {
	data, err := v.readWhole(limit)
	switch {
	case err != nil:
		return nil, err
	case len(data) > 1 && (data[0] == 0 || data[1] == 0 || data[0] == 0xfe && data[1] == 0xff || data[0] == 0xff && data[1] == 0xfe):
		return nil, refuse(http.StatusUnsupportedMediaType, "not-supported", "", "The body is in UTF-16 or UTF-32; send it in UTF-8.")
	}
	return bytes.TrimPrefix(data, utf8Mark), nil
}

var utf8Mark = []byte("\ufeff")

func (v *visit) readWhole(limit int) ([]byte, error) {
	if v.r.Body == nil {
		return nil, nil
	}
	if v.r.ContentLength > int64(limit) {
		return nil, tooLong(limit)
	}
	expected := int(v.r.ContentLength)
	if expected < 0 {
		expected = limit
	}
	if err := v.take(expected); err != nil {
		return nil, err
	}
	var buf bytes.Buffer
	if v.r.ContentLength > 0 {
		buf.Grow(expected + bytes.MinRead)
	}
	n, err := buf.ReadFrom(io.LimitReader(v.r.Body, int64(limit)+1))
	switch {
	case err != nil && errors.Is(v.ctx.Err(), context.DeadlineExceeded): // it is the sender who is slow
		return nil, &refusal{status: http.StatusRequestTimeout, cause: err, issues: issue("timeout", "", "The body did not come in time.")}
	case err != nil && v.ctx.Err() != nil:
		return nil, v.ctx.Err()
	case err != nil:
		return nil, &refusal{status: http.StatusBadRequest, cause: err, issues: issue("incomplete", "",
			"The body ended early or came too slowly.")}
	case n > int64(limit):
		return nil, tooLong(limit)
	}
	return buf.Bytes(), nil
}

// take takes the bytes of a body out of what all bodies together may be, until the visit is over. A document takes
// many times the memory of its text, so many large ones at once would take the process down.
func (v *visit) take(bytes int) error {
	v.taken += int64(bytes)
	if v.server.taken.Add(int64(bytes)) <= int64(v.server.Limits.Bodies) {
		return nil
	}
	v.unread = true
	return &refusal{status: http.StatusServiceUnavailable, retry: 1, issues: issue("throttled", "",
		"Too many large bodies are being read. Try again in a moment.")}
}

func tooLong(limit int) error {
	return refuse(http.StatusRequestEntityTooLarge, "too-long", "",
		"The body is longer than the "+size(limit)+" that are taken here.")
}
