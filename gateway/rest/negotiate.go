package rest

import (
	"mime"
	"net/http"
	"strconv"
	"strings"
)

// The media types that this package names itself; codecs has all that resources are written in.
const (
	fhirJSON  = "application/fhir+json"
	plainJSON = "application/json"
	fhirXML   = "application/fhir+xml"
	plainXML  = "application/xml"
	formBody  = "application/x-www-form-urlencoded"
)

// wants is how the caller wants its answer.
type wants struct {
	form    *codec // nil is the first of codecs
	pretty  bool
	returns string // Prefer return: minimal, representation, OperationOutcome; "" is the interaction's own default
	lenient bool   // Prefer handling=lenient: unknown parameters are left out instead of refused
}

// negotiate reads Accept, Prefer, _format and _pretty, and leaves the other parameters of the URL in query.
func (v *visit) negotiate() (query params, err error) {
	h := v.r.Header
	for _, prefer := range h["Prefer"] {
		v.wants.prefer(prefer)
	}
	if v.r.URL.RawQuery != "" {
		if query, err = readParams(v.r.URL.RawQuery); err != nil {
			return nil, err
		}
	}
	err = v.wants.result(&query, h["Accept"])
	return query, err
}

// result takes _pretty and _format out of query and settles the media type; accept is used where _format is absent.
func (w *wants) result(query *params, accept []string) error {
	if text, ok := query.take("_pretty"); ok {
		pretty, err := strconv.ParseBool(text)
		if err != nil {
			return refuse(http.StatusBadRequest, "value", "http._pretty", "_pretty is true or false.")
		}
		w.pretty = pretty
	}
	if format, ok := query.take("_format"); ok {
		if w.form = formNamed(format); w.form == nil {
			return notAcceptable
		}
		return nil
	}
	if len(accept) == 0 {
		return nil
	}
	if w.form = best(accept); w.form == nil {
		return notAcceptable
	}
	return nil
}

var notAcceptable = refuse(http.StatusNotAcceptable, "not-supported", "",
	"Answers are FHIR R4: ask for one of "+strings.Join(mediaTypes(), ", ")+".")

// formNamed is the form that a value of _format means: a short name, or a media type as in Accept. Nil: none of ours.
func formNamed(format string) *codec {
	name, more, _ := strings.Cut(format, ";")
	name = strings.ReplaceAll(strings.TrimSpace(name), " ", "+") // a + that came unescaped is a space
	mediaType, params, err := mime.ParseMediaType(name + ";" + more)
	if err != nil || !isR4(params["fhirversion"]) {
		return nil
	}
	return codecNamed(mediaType)
}

// best is the form of ours that the Accept headers like best, or nil when none will do. A form is worth what its own name is
// given, whatever a wildcard gives the others (RFC 9110 § 12.5.1).
func best(accept []string) *codec {
	var chosen *codec // nil with a weight: the wildcard
	var weight float64
	named := map[*codec]float64{}
	for _, header := range accept {
		if header == "" || header == "*/*" || header == fhirJSON {
			return codecs[0]
		}
		for part := range strings.SplitSeq(header, ",") {
			mediaType, params, err := mime.ParseMediaType(part)
			if err != nil || !isR4(params["fhirversion"]) {
				continue
			}
			q := 1.0
			if text, ok := params["q"]; ok {
				if q, err = strconv.ParseFloat(text, 64); err != nil {
					continue
				}
			}
			wild := mediaType == "*/*" || mediaType == "application/*"
			offer := codecOf(mediaType)
			if offer != nil {
				named[offer] = max(named[offer], q)
			}
			if (wild || offer != nil) && q > weight {
				chosen, weight = offer, q
			}
		}
	}
	if chosen != nil || weight == 0 {
		return chosen
	}
	for _, c := range codecs {
		if q, ok := named[c]; !ok || q >= weight {
			return c
		}
	}
	return nil
}

// isR4 says whether the media type parameter fhirVersion, if given, is ours.
func isR4(version string) bool { return version == "" || version == "4.0" || version == r4Version }

// r4Version is the version of FHIR that is served.
const r4Version = "4.0.1"

// prefer reads one Prefer header (RFC 7240); preferences that are not understood are ignored, as it asks.
func (w *wants) prefer(header string) {
	for part := range strings.FieldsFuncSeq(header, func(r rune) bool { return r == ',' || r == ';' }) {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		value = strings.Trim(strings.TrimSpace(value), `"`)
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "return":
			switch value {
			case returnMinimal, returnRepresentation, returnOutcome:
				w.returns = value
			}
		case "handling":
			w.lenient = value == "lenient"
		}
	}
}

// What Prefer return may ask for (FHIR R4 § 3.1.0.1.6).
const (
	returnMinimal        = "minimal"
	returnRepresentation = "representation"
	returnOutcome        = "OperationOutcome"
)
