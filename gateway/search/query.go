// Package search is FHIR search as data: which parameters a type has (compiled from the official definitions), what a
// query asks for, and which values of a resource answer to which parameter. It knows no SQL: a store plans a Query,
// and keeps the Index of each resource.
package search

import (
	"slices"
	"time"
)

// ParamType is the FHIR type of a search parameter (FHIR R4 § 3.1.1.4).
type ParamType uint8

// The parameter types.
const (
	Token ParamType = iota + 1
	Reference
	Date
	String
	URI
	Quantity
	NumberType
	Composite
	Special // with a rule of its own: near alone, which is of places
	Texts   // of what a resource says in words, which is in no Index: _text and _content (a string in the definitions)
)

// Param is one search parameter of one resource type.
//
// Two parameters of every type are not in the Index but columns of the store: _id (a Token) and _lastUpdated (a Date
// whose span is the one millisecond of Row.Updated). They come in clauses, chains and sort keys like any other, as
// Param{Name: "_id"} and Param{Name: "_lastUpdated"}. _tag, _security, _profile and _source are in the Index.
type Param struct {
	Name    string    // code, such as subject
	Type    ParamType // how values are indexed and compared
	Targets []string  // Reference: resource types it may point to, sorted
	// Parts are what a Composite is composed of, each a parameter of its own in the Index that no query names alone. The
	// n-th entries of the parts, among the entries of each, come from one element of the resource.
	Parts []*Param
}

// Query is a search that was understood: every parameter known, every value parsed.
type Query struct {
	Type string // resource type searched; "" across types
	// Across, of a search across types, are the searches of each: its Type, Where and Sort, the keys of these of one name
	// and kind in all. The query's own Where and Sort are empty then; all else is the whole search's. See ParseAcross.
	Across     []*Query
	Within     Within    // the compartment searched; zero: none. Its condition is the first of Where
	Where      []Clause  // all must hold
	Sort       []SortKey // in order of weight; ties are broken by id
	Count      int       // rows a page; 0 with Summary only: no rows are wanted
	Cursor     string    // where the page begins: opaque text that the store gave as Result.Next; "" is the first page
	Includes   []Include
	Total      bool     // an accurate total is wanted
	Summary    bool     // _summary=count or _count=0: the total only; then Total is true and Count is 0
	Raw        string   // normalised parameters as asked, for links and the record; never holds an identity code
	HasSecrets bool     // a value held an identity code: links of the answer must not repeat the parameters
	Ignored    []string // names of parameters that were left out (Options.Lenient only), to be told in the answer
}

// Clause is one condition. Exactly one of four forms: a comparison (Param with Values), a chain (Param with Chain), a
// reverse chain (Has), or alternatives of which any must hold (Any, not empty), each a clause of its own.
//
// A comparison holds for a resource when any of its Values matches any entry of the Index that has the Param's name;
// with the modifier not when none does (a resource without an entry too); with missing, when Values[0].Missing equals
// "there is no entry". How a Value matches an entry is said at Value, per type.
type Clause struct {
	Param *Param
	// Modifier is "", missing (any type), not or text (Token), exact or contains (String), identifier (Reference), or
	// below (URI); of Texts they are those of a String. The others are resolved: a type (subject:Patient=…) into Value.RefType; in, not-in, above and below of
	// a Token, and above of a URI, into the codes and URLs that they stand for; of-type into a Param of its own.
	Modifier string
	Values   []Value // any one must hold
	Chain    *Chain
	Has      *Has
	Any      []Clause
}

// Chain is a condition on the target of a reference: subject:Patient.name=…. It holds when the Param points to a
// local resource of one of Types that meets the branch of its type.
type Chain struct {
	Types []string // the target types to look in, sorted: those that know the parameter, the keys of Branches
	// Branches holds the condition per target type, because a parameter's kind may differ between types. A branch is
	// itself a comparison, a chain or a reverse chain.
	Branches map[string]Clause
}

// Has is a condition on resources that refer to the one searched: _has:Observation:patient:code=….
type Has struct {
	Type  string // the referring type
	Param *Param // its reference parameter that points back
	Where Clause // the condition on the referring resource
}

// Value is one parsed value of a parameter, and matches an entry of the Index so (FHIR R4 § 3.1.1.4.4–14):
//
// Token: Code, if not "", equals; and if SystemSet, System equals ("" is no system). With the modifier text: the
// entry's Text begins with Text. Of _id: Code is the id.
//
// Reference: RefID with RefType equals (RefType "" is any type), or URL equals. With the modifier identifier: System
// and Code as a Token's.
//
// Date, with the value's span [From, To) and the entry's span [from, to):
//
//	eq: From <= from && to <= To    ne: not eq
//	gt: to > To                     lt: from < From
//	ge: gt or eq                    le: lt or eq
//	sa: from >= To                  eb: to <= From
//	ap: from < To && to > From      (From and To are widened already)
//
// String: the entry's Folded begins with Text; contains Text with the modifier contains; Exact equals Text with exact.
//
// URI: the entry's Exact equals Text; with the modifier below it equals Text or begins with Text and a slash.
//
// Number, Quantity: System and Code as a Token's, and with the value's span [Low, High) and the entry's [low, high]:
//
//	eq: Low <= low && high < High   ne: not eq
//	gt: high > High                 lt: low < Low        (of these six, Low and High are the value itself:
//	ge: high >= High                le: low <= Low        FHIR gives them no precision)
//	sa: low > High                  eb: high < Low
//	ap: low <= High && high >= Low  (Low and High are widened already)
//
// Special: the entry's Point is in the Circle.
//
// Texts: Clause.Reads; the resource, as it leaves, Said what the Words ask for.
//
// Composite: there is a number n so that the n-th entry of each part matches the value's part.
type Value struct {
	Prefix string // eq, ne, gt, lt, ge, le, sa, eb, ap; "" for types without prefixes
	// Token: System and Code; SystemSet tells "|code" (no system) from "code" (any system). "system|" has no Code.
	System, Code string
	SystemSet    bool
	// Reference: RefType and RefID of a local reference (RefType "" means any type), or URL of a foreign one.
	RefType, RefID, URL string
	// RefVersion, of AuditEvent.entity alone: the one version of the local reference that is meant (FHIR R4 § 2.3.0.1), "" for
	// any. The indexes of other types keep no versions of what is referred to, so a search by one is refused.
	RefVersion string `json:",omitempty"`
	// Date: the span that the value's precision covers, From inside and To outside, in UTC and whole milliseconds.
	From, To time.Time
	// String, URI, modifier text: the text; folded by Fold except for URI and the modifier exact.
	Text string
	// Missing: the value of the modifier missing.
	Missing bool
	// Number, Quantity: the span that the value covers; System and Code hold the unit.
	Low, High float64
	// Special: the places that are near.
	Circle *Circle
	// Texts: what is asked for.
	Words *Words
	// Composite: a value of each of Param.Parts.
	Parts []Value
}

// SortKey is one key of _sort.
type SortKey struct {
	Param *Param // never nil: that of _id and _lastUpdated too; never a Reference, Composite, Special or Texts
	Name  string // the parameter's name
	Desc  bool
}

// Include is one _include or _revinclude (FHIR R4 § 3.1.1.5.4).
type Include struct {
	Reverse bool     // _revinclude: resources of Type whose Param points to a match
	Type    string   // the type that holds the reference
	Params  []*Param // its reference parameters: one, or with the wildcard all that may lead there
	Target  string   // only targets of this type; "" is any
	Iterate bool     // also from what was included, not from matches only
}

func (in Include) equal(other Include) bool {
	return in.Reverse == other.Reverse && in.Type == other.Type && in.Target == other.Target && in.Iterate == other.Iterate &&
		slices.Equal(in.Params, other.Params)
}

// Targets are the types that the include may lead to when it is not Reverse, sorted; empty means any.
func (in Include) Targets() []string {
	if in.Target != "" {
		return []string{in.Target}
	}
	var all []string
	for _, p := range in.Params {
		if len(p.Targets) == 0 {
			return nil
		}
		all = append(all, p.Targets...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Index holds the values of one resource, per parameter name, in the form that stores compare.
type Index struct {
	Tokens     []TokenEntry
	References []ReferenceEntry
	Dates      []DateEntry
	Strings    []StringEntry
	URIs       []StringEntry
	Numbers    []NumberEntry
	Positions  []PositionEntry
	// Over: the resource has more than MaxEntries entries and the rest was left out. It must not be stored: searches
	// would not find it by what is missing.
	Over bool
}

// TokenEntry is a coded value. Text is the folded display for the modifier text; an entry may have nothing else.
type TokenEntry struct{ Param, System, Code, Text string }

// ReferenceEntry is a reference: Type and ID where it points into this gateway, URL where elsewhere
// (absolute without version, urn:uuid:…, #contained), System and Code where it has an identifier, with or without these.
type ReferenceEntry struct{ Param, Type, ID, URL, System, Code string }

// DateEntry is the span that a date, instant, Period or Timing covers, From inside and To outside, in UTC and whole
// milliseconds; an open bound is MinTime or MaxTime.
type DateEntry struct {
	Param    string
	From, To time.Time
}

// StringEntry is a text: Folded for the default and contains comparisons, Exact as written. A URI has Exact only.
type StringEntry struct{ Param, Folded, Exact string }

// NumberEntry is a number or quantity. Low and High are the same for a plain value, whose precision does not matter
// (FHIR R4 § 3.1.1.4.6), and differ for a Range and a Quantity with a comparator; both are inside.
type NumberEntry struct {
	Param, System, Code string
	Low, High           float64
}

// PositionEntry is a place on the globe.
type PositionEntry struct {
	Param string
	Point Point
}
