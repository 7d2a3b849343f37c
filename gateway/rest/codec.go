package rest

import (
	"bytes"
	"encoding/json"
	"slices"

	"sotesilta/internal/fhir"
)

// codec is a form of FHIR resources on the wire (FHIR R4 § 3.1.0.1.9). Within the gateway a resource is compact JSON, and
// a parsed one the tree of its JSON: a codec reads what a request brings into that tree, and writes compact JSON in its
// own form.
//
// This is where a further form plugs in: another row in codecs, and nothing else. Negotiation (Accept, _format), the
// reading of bodies (Content-Type), answers, errors and the formats of the CapabilityStatement follow from the rows.
type codec struct {
	mediaType string   // of the answers in this form
	alike     []string // other media types that mean this form
	format    string   // the short name that _format and the CapabilityStatement know; "" for none
	// read reads a document. Its error is a *fhir.SyntaxError, or wraps one: it names the place and the rule and never
	// repeats what stands there.
	read func(data []byte, lim fhir.Limits) (*fhir.Value, error)
	// write writes a resource that is compact JSON in this form, for people if pretty. An error is the gateway's own
	// failure (500): what is kept can be written.
	write func(body []byte, pretty bool) ([]byte, error)

	contentType []string // of an answer, made once
}

// codecs are the forms in the order of preference: the first is the answer to who asks for none.
var codecs = formsOf(
	codec{mediaType: fhirJSON, format: "json", read: fhir.Parse, write: writeJSON},
	codec{mediaType: plainJSON, alike: []string{"text/json"}, read: fhir.Parse, write: writeJSON},
	codec{mediaType: fhirXML, format: "xml", read: fhir.ParseXML, write: writeXML},
	codec{mediaType: plainXML, alike: []string{"text/xml"}, read: fhir.ParseXML, write: writeXML},
)

func formsOf(forms ...codec) []*codec {
	out := make([]*codec, len(forms))
	for i := range forms {
		forms[i].contentType = []string{forms[i].mediaType + "; charset=utf-8"}
		out[i] = &forms[i]
	}
	return out
}

// writeJSON writes JSON as it is kept, or indented.
func writeJSON(body []byte, pretty bool) ([]byte, error) {
	if !pretty {
		return body, nil
	}
	var indented bytes.Buffer
	err := json.Indent(&indented, body, "", "  ")
	return indented.Bytes(), err
}

// xmlHead begins a document in XML.
const xmlHead = `<?xml version="1.0" encoding="UTF-8"?>`

// writeXML writes JSON as XML. What the gateway made itself may be longer than what it takes.
func writeXML(body []byte, pretty bool) ([]byte, error) {
	doc, err := fhir.Parse(body, fhir.Limits{Bytes: len(body), Depth: 2 * fhir.DefaultLimits.Depth, Values: len(body) + 1})
	if err != nil {
		return nil, err
	}
	return doc.AppendXML(append(make([]byte, 0, len(body)+len(body)/2), xmlHead...), pretty)
}

// codecOf is the codec of a media type without parameters, or nil.
func codecOf(mediaType string) *codec {
	for _, c := range codecs {
		if c.mediaType == mediaType || slices.Contains(c.alike, mediaType) {
			return c
		}
	}
	return nil
}

// codecNamed is the codec that _format names, by media type or short name, or nil.
func codecNamed(format string) *codec {
	for _, c := range codecs {
		if c.format != "" && c.format == format {
			return c
		}
	}
	return codecOf(format)
}

// formats are the forms as the CapabilityStatement names them.
func formats() []string {
	var out []string
	for _, c := range codecs {
		if c.format != "" {
			out = append(out, c.mediaType, c.format)
		}
	}
	return out
}

// mediaTypes are what answers may be, and bodies with a resource.
func mediaTypes() []string {
	out := make([]string, len(codecs))
	for i, c := range codecs {
		out[i] = c.mediaType
	}
	return out
}
