package search

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"sotesilta/internal/fhir"
)

// valueReader reads single values of one parameter.
type valueReader struct {
	param    *Param
	modifier string
	target   string // type given as modifier of a reference
	versions bool   // a reference may be to one version
	opt      *Options
}

// read reads one value, still escaped. why tells what a value should look like if it is invalid, and never
// repeats it.
func (r valueReader) read(s string) (v Value, why string) {
	switch r.modifier {
	case "missing":
		if s != "true" && s != "false" {
			return v, "it must be true or false"
		}
		return Value{Missing: s == "true"}, ""
	case "text":
		return foldedText(s)
	case "identifier":
		return r.token(s)
	case ofType:
		return typedIdentifier(s)
	case "below": // of a URI: those of tokens are resolved
		if url := unescape(s); strings.Contains(url, "://") {
			return Value{Text: strings.TrimRight(url, "/")}, ""
		}
		return v, "above and below are of URLs, which have a path"
	}
	switch r.param.Type {
	case Token:
		return r.token(s)
	case Reference:
		return r.reference(unescape(s))
	case Date:
		return r.date(unescape(s))
	case String:
		if r.modifier == "exact" {
			return Value{Text: unescape(s)}, ""
		}
		if r.param.Name == phonetic {
			return soundText(s)
		}
		return foldedText(s)
	case URI:
		return Value{Text: unescape(s)}, ""
	case Composite:
		return r.composite(s)
	case NumberType, Quantity:
		return r.number(s)
	case Special:
		return r.near(s)
	case Texts:
		return r.words(unescape(s))
	}
	return v, "its type is not supported"
}

func foldedText(s string) (Value, string) {
	text := Fold(unescape(s))
	if text == "" {
		return Value{}, "it has no letter or digit to search by"
	}
	return Value{Text: text}, ""
}

func soundText(s string) (Value, string) {
	text := Sound(unescape(s))
	if text == "" {
		return Value{}, "it has no letter or digit to search by"
	}
	return Value{Text: text}, ""
}

// composite reads the values of the parts, between $ (FHIR R4 § 3.1.1.4.17).
func (r valueReader) composite(s string) (Value, string) {
	parts, _ := split(s, '$')
	if len(parts) != len(r.param.Parts) {
		return Value{}, "it must have " + strconv.Itoa(len(r.param.Parts)) + " parts with a $ between them"
	}
	v := Value{Parts: make([]Value, len(parts))}
	for i, part := range parts {
		var why string
		if v.Parts[i], why = (valueReader{param: r.param.Parts[i], opt: r.opt}).read(part); why != "" {
			return Value{}, "part " + strconv.Itoa(i+1) + ": " + why
		}
	}
	return v, ""
}

// typedIdentifier reads system|code|value, the type of an identifier and its value (FHIR R4 § 3.1.1.4.10).
func typedIdentifier(s string) (Value, string) {
	parts, _ := split(s, '|')
	if len(parts) != 3 || parts[1] == "" || parts[2] == "" {
		return Value{}, "it must be system|code|value: the type of an identifier and its value"
	}
	return Value{System: typed(unescape(parts[0]), unescape(parts[1])), Code: unescape(parts[2]), SystemSet: true}, ""
}

// token reads code, system|code, |code and system| (FHIR R4 § 3.1.1.4.10).
func (r valueReader) token(s string) (Value, string) {
	parts, _ := split(s, '|')
	var v Value
	switch len(parts) {
	case 1:
		v.Code = unescape(parts[0])
	case 2:
		v.System, v.Code, v.SystemSet = unescape(parts[0]), unescape(parts[1]), true
	}
	switch {
	case len(parts) > 2 || v.System == "" && v.Code == "":
		return Value{}, "a token is code, system|code, |code or system|"
	case r.param.Name == "_id" && (v.SystemSet || !fhir.ValidID(v.Code)):
		return Value{}, "an id has 1 to 64 letters, digits, - and ."
	}
	return v, ""
}

// reference reads Type/id, id and URLs (FHIR R4 § 3.1.1.4.12). An id alone takes the type of the modifier, or of the
// only target.
func (r valueReader) reference(s string) (Value, string) {
	const shape = "a reference is Type/id, id or a URL, and of a type the parameter may point to"
	v := Value{}
	ref := fhir.ParseReference(s)
	if ref.Version != "" && !r.versions {
		return v, "references are looked for without their versions: leave /_history/… out"
	}
	switch ref.Kind {
	case fhir.RelativeReference:
		v.RefType, v.RefID, v.RefVersion = ref.Type, ref.ID, ref.Version
	case fhir.AbsoluteReference:
		if v.RefType, v.RefID, v.URL = place(ref, r.opt.Base); v.URL == "" {
			v.RefVersion = ref.Version
		}
	case fhir.URNReference, fhir.OtherReference:
		v.URL = ref.URL
	default:
		if !fhir.ValidID(s) {
			return v, shape
		}
		v.RefID, v.RefType = s, r.target
		if v.RefType == "" && len(r.param.Targets) == 1 {
			v.RefType = r.param.Targets[0]
		}
	}
	if v.RefType != "" && (!slices.Contains(r.param.Targets, v.RefType) || r.target != "" && v.RefType != r.target) {
		return Value{}, shape
	}
	if r.target != "" && v.URL != "" {
		return Value{}, shape
	}
	return v, ""
}

// prefixes of ordered values (FHIR R4 § 3.1.1.4.4).
var prefixes = []string{"eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"}

// prefix takes the prefix from an ordered value; eq if there is none.
func prefix(s string) (string, string) {
	if len(s) > 2 && slices.Contains(prefixes, s[:2]) {
		return s[:2], s[2:]
	}
	return "eq", s
}

// date reads a date with a prefix. A space stands for the + of a zone that was not percent-encoded.
func (r valueReader) date(s string) (Value, string) {
	pre, rest := prefix(s)
	from, to, ok := dateSpan(strings.Replace(rest, " ", "+", 1))
	if !ok {
		return Value{}, "a date is YYYY, YYYY-MM, YYYY-MM-DD or YYYY-MM-DDThh:mm[:ss] with a zone, after one of " + strings.Join(prefixes, ", ")
	}
	v := Value{Prefix: pre, From: from, To: to}
	if pre == "ap" { // a tenth of the gap between the date and now
		gap := max(r.opt.Now.Sub(from), from.Sub(r.opt.Now)) / 10
		v.From = clampTime(from.Add(-gap).Truncate(time.Millisecond))
		v.To = clampTime(to.Add(gap).Truncate(time.Millisecond))
	}
	return v, ""
}

// number reads a number, and of a quantity also number|system|code and number||code (FHIR R4 §§ 3.1.1.4.6, 14).
func (r valueReader) number(s string) (Value, string) {
	const shape = "a number, after one of eq, ne, gt, lt, ge, le, sa, eb, ap"
	parts, _ := split(s, '|')
	pre, digits := prefix(parts[0])
	value, half, ok := decimalSpan(digits)
	v := Value{Prefix: pre, Low: value, High: value}
	switch {
	case !ok && r.param.Type == NumberType, len(parts) != 1 && r.param.Type == NumberType:
		return Value{}, "it must be " + shape
	case !ok, len(parts) != 1 && len(parts) != 3, len(parts) == 3 && parts[2] == "":
		return Value{}, "a quantity is number, number|system|code or number||code, the number being " + shape
	case len(parts) == 3:
		v.System, v.Code = unescape(parts[1]), unescape(parts[2])
		v.SystemSet = v.System != ""
	}
	switch pre {
	case "eq", "ne":
		v.Low, v.High = value-half, value+half
	case "ap":
		tenth := math.Abs(value) / 10
		v.Low, v.High = value-tenth, value+tenth
	}
	v.Low, v.High = max(v.Low, -math.MaxFloat64), min(v.High, math.MaxFloat64)
	return v, ""
}
