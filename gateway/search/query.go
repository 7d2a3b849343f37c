// Package search is FHIR search as data: which parameters a type has (compiled from the official definitions), what a
// query asks for, and which values of a resource answer to which parameter. It knows no SQL: a store plans a Query,
// and keeps the Index of each resource.
package search

import "time"

// ParamType is the FHIR type of a search parameter (FHIR R4 § 3.1.1.4).
type ParamType uint8

// The parameter types that stores index.
const (
	Token ParamType = iota + 1
	Reference
	Date
	String
	URI
	Quantity
	NumberType
	Composite
)

// Param is one search parameter of one resource type.
type Param struct {
	Name    string    // code, such as subject
	Type    ParamType // how values are indexed and compared
	Targets []string  // Reference: resource types it may point to
}

// Query is a search that was understood: every parameter known, every value parsed.
type Query struct {
	Type       string    // resource type searched
	Where      []Clause  // all must hold
	Sort       []SortKey // in order of weight; ties are broken by id
	Count      int       // rows a page; 0: none wanted, only the total
	Cursor     string    // where the page begins: opaque text that the store gave as Result.Next; "" is the first page
	Includes   []Include
	Total      bool   // an accurate total is wanted
	Summary    bool   // _summary=count: the total only
	Raw        string // normalised parameters as asked, for links and the record; never holds an identity code
	HasSecrets bool   // a value held an identity code: links of the answer must not repeat the parameters
}

// Clause is one condition. Exactly one of three forms: a comparison (Param with Values), a chain (Param with Chain),
// or a reverse chain (Has).
type Clause struct {
	Param    *Param
	Modifier string  // "", missing, exact, contains, not, text, identifier, of-type, or a type for references
	Values   []Value // any one must hold
	Chain    *Chain
	Has      *Has
}

// Chain is a condition on the target of a reference: subject:Patient.name=….
type Chain struct {
	Types []string // the target types to look in
	Where Clause   // Param is nil in the branch of a type that does not know it; see Branches
	// Branches holds the condition per target type, because a parameter's kind may differ between types.
	Branches map[string]Clause
}

// Has is a condition on resources that refer to the one searched: _has:Observation:patient:code=….
type Has struct {
	Type  string // the referring type
	Param *Param // its reference parameter that points back
	Where Clause // the condition on the referring resource
}

// Value is one parsed value of a parameter.
type Value struct {
	Prefix string // eq, ne, gt, lt, ge, le, sa, eb, ap; "" for types without prefixes
	// Token: System and Code; SystemSet tells "|code" (no system) from "code" (any system).
	System, Code string
	SystemSet    bool
	// Reference: RefType and RefID of a local reference (RefType "" means any type), or URL of a foreign one.
	RefType, RefID, URL string
	// Date: the span that the value's precision covers, From inside and To outside.
	From, To time.Time
	// String, URI: the text; strings are folded by Fold unless the modifier is exact.
	Text string
	// Missing: the value of the modifier missing.
	Missing bool
	// Number, Quantity: the span that the value's precision covers; System and Code hold the unit.
	Low, High float64
}

// SortKey is one key of _sort.
type SortKey struct {
	Param *Param // nil for _id
	Name  string // _id, _lastUpdated or the parameter's name
	Desc  bool
}

// Include is one _include or _revinclude.
type Include struct {
	Reverse bool
	Type    string // the type that holds the reference
	Param   *Param // its reference parameter
	Target  string // only targets of this type; "" is any
	Iterate bool
}

// Index holds the values of one resource, per parameter name, in the form that stores compare.
type Index struct {
	Tokens     []TokenEntry
	References []ReferenceEntry
	Dates      []DateEntry
	Strings    []StringEntry
	URIs       []StringEntry
	Numbers    []NumberEntry
}

// TokenEntry is a coded value. Text is the folded display for the modifier text.
type TokenEntry struct{ Param, System, Code, Text string }

// ReferenceEntry is a reference: Type and ID where it points into this gateway, URL where elsewhere,
// System and Code where it is an identifier only.
type ReferenceEntry struct{ Param, Type, ID, URL, System, Code string }

// DateEntry is the span that a date, instant, Period or Timing covers; an open bound is the year 1 or 9999.
type DateEntry struct {
	Param    string
	From, To time.Time
}

// StringEntry is a text: Folded for the default and contains comparisons, Exact as written.
type StringEntry struct{ Param, Folded, Exact string }

// NumberEntry is a number or quantity with the span of its precision.
type NumberEntry struct {
	Param, System, Code string
	Low, High           float64
}
