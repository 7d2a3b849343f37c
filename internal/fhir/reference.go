package fhir

import (
	"iter"
	"strings"
)

// ReferenceKind tells the forms of a reference apart (FHIR R4 § 2.3.0.1).
type ReferenceKind uint8

// The forms of a reference. The zero kind is one that must not be followed or resolved.
const (
	BadReference         ReferenceKind = iota // empty, or neither a URI nor Type/id with a known type and a valid id
	RelativeReference                         // Type/id or Type/id/_history/version: a resource here
	AbsoluteReference                         // http or https URL; Type and ID are set where it ends as a RESTful one does
	URNReference                              // urn:uuid:… or urn:oid:…: an entry of the same Bundle
	ContainedReference                        // #id; "#" alone is the containing resource
	ConditionalReference                      // Type?query, in transactions only (FHIR R4 § 3.1.0.11.2)
	OtherReference                            // a URI of another scheme
)

// Reference is Reference.reference taken apart.
type Reference struct {
	Kind     ReferenceKind
	Type     string // Relative, Conditional and RESTful Absolute: the resource type
	ID       string // Relative and RESTful Absolute: the id
	Version  string // the version of a version-specific reference, or ""
	URL      string // Absolute: the service base of a RESTful one, otherwise all of it; URN, Other: all of it
	Fragment string // Contained: the id after #; Absolute: the fragment, if any
	Query    string // Conditional: what follows the ?
}

// Local says whether r is Type/id in this gateway.
func (r Reference) Local() bool { return r.Kind == RelativeReference }

// ParseReference takes the text of Reference.reference apart. It never fails: what is no reference has the kind
// BadReference. Ids outside the id format, . and .. among them, and unknown types make a relative reference bad.
func ParseReference(s string) Reference {
	if s == "" || strings.ContainsAny(s, " \t\r\n\\") {
		return Reference{}
	}
	if s[0] == '#' {
		if id := s[1:]; id == "" || ValidID(id) {
			return Reference{Kind: ContainedReference, Fragment: id}
		}
		return Reference{}
	}
	switch scheme := uriScheme(s); strings.ToLower(scheme) {
	case "":
		return relativeReference(s)
	case "http", "https":
		return absoluteReference(s)
	case "urn":
		lower := strings.ToLower(s)
		if strings.HasPrefix(lower, "urn:uuid:") || strings.HasPrefix(lower, "urn:oid:") {
			return Reference{Kind: URNReference, URL: s}
		}
		return Reference{Kind: OtherReference, URL: s}
	default:
		return Reference{Kind: OtherReference, URL: s}
	}
}

// uriScheme is what stands before the first colon where it is a scheme (RFC 3986 § 3.1), otherwise "".
func uriScheme(s string) string {
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
		case i > 0 && (c >= '0' && c <= '9' || c == '+' || c == '-' || c == '.'):
		case c == ':' && i > 0:
			return s[:i]
		default:
			return ""
		}
	}
	return ""
}

func relativeReference(s string) Reference {
	if typ, query, ok := strings.Cut(s, "?"); ok {
		if IsResource(typ) && query != "" {
			return Reference{Kind: ConditionalReference, Type: typ, Query: query}
		}
		return Reference{}
	}
	typ, rest, ok := strings.Cut(s, "/")
	if !ok || !IsResource(typ) {
		return Reference{}
	}
	id, rest, versioned := strings.Cut(rest, "/")
	if !ValidID(id) {
		return Reference{}
	}
	r := Reference{Kind: RelativeReference, Type: typ, ID: id}
	if versioned {
		version, ok := strings.CutPrefix(rest, "_history/")
		if !ok || !ValidID(version) {
			return Reference{}
		}
		r.Version = version
	}
	return r
}

// absoluteReference looks for /Type/id or /Type/id/_history/version at the end of a URL (FHIR R4 § 2.3.0.1).
func absoluteReference(s string) Reference {
	whole := Reference{Kind: AbsoluteReference, URL: s}
	url, fragment, _ := strings.Cut(s, "#")
	whole.Fragment = fragment
	if strings.ContainsRune(url, '?') {
		return whole
	}
	r := Reference{Kind: AbsoluteReference, Fragment: fragment}
	if at := strings.LastIndex(url, "/_history/"); at >= 0 {
		r.Version = url[at+len("/_history/"):]
		if !ValidID(r.Version) {
			return whole
		}
		url = url[:at]
	}
	at := strings.LastIndexByte(url, '/')
	r.ID = url[at+1:]
	url = url[:max(at, 0)]
	at = strings.LastIndexByte(url, '/')
	r.Type, r.URL = url[at+1:], url[:max(at, 0)]
	if !ValidID(r.ID) || !IsResource(r.Type) || strings.Count(r.URL, "/") < 2 {
		return whole
	}
	return r
}

// ValidID says whether s is a FHIR id: 1 to 64 of A–Z a–z 0–9 - . (FHIR R4 § 2.24.0.1, id). Ids of dots only are
// refused beyond the standard, because intermediaries resolve them as path segments.
func ValidID(s string) bool {
	if len(s) == 0 || len(s) > 64 {
		return false
	}
	dots := 0
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-':
		case c == '.':
			dots++
		default:
			return false
		}
	}
	return dots < len(s)
}

// Ref is one Reference.reference found by References. It is valid until the iteration goes on.
type Ref struct {
	// Contained says that the reference stands within a contained resource.
	Contained bool
	value     *Value
	path      *pathStack
}

// Text is the reference as it stands.
func (r Ref) Text() string { return r.value.text }

// Parse takes the reference apart.
func (r Ref) Parse() Reference { return ParseReference(r.value.text) }

// Expression is where the reference stands, such as CarePlan.subject.reference.
func (r Ref) Expression() string { return r.path.String() }

// OfReference says whether this is the text of a Reference, and not of one of the three uri elements that are called
// reference too.
func (r Ref) OfReference() bool {
	def := r.path.owner()
	return def == nil || def.name == "Reference"
}

// Set rewrites the reference in place, as a transaction does with urn:uuid (FHIR R4 § 3.1.0.11.2). It changes the
// document, so it must not be shared.
func (r Ref) Set(reference string) { r.value.text = reference }

// References iterates over every Reference.reference of a resource, in document order: those in contained resources,
// extensions and the entries of a Bundle too.
func References(v *Value) iter.Seq[Ref] {
	return func(yield func(Ref) bool) {
		w := refWalk{yield: yield}
		w.path.root = printable(ResourceType(v))
		w.visit(v, false)
	}
}

type refWalk struct {
	path  pathStack
	yield func(Ref) bool
}

// visit answers false when the iteration was stopped.
func (w *refWalk) visit(v *Value, contained bool) bool {
	switch v.Kind() {
	case Object:
		for i := range v.members {
			m := &v.members[i]
			// Three uri elements are called reference too (of Expression, DetectedIssue and Immunization.education);
			// a transaction rewrites those as well.
			found := m.Name == "reference" && m.Value.Kind() == String
			if !found && m.Value.Kind() < Array {
				continue
			}
			w.path.pushMember(m.Name, v)
			on := true
			if found {
				on = w.yield(Ref{Contained: contained, value: m.Value, path: &w.path})
			} else {
				on = w.visit(m.Value, contained || m.Name == "contained")
			}
			w.path.pop()
			if !on {
				return false
			}
		}
	case Array:
		for i, item := range v.items {
			w.path.index(i)
			if !w.visit(item, contained) {
				return false
			}
		}
		w.path.index(-1)
	}
	return true
}
