package search

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"sotesilta/internal/fhir"
	"sotesilta/internal/finland"
)

// What the CapabilityStatement says of a parameter is so: it is understood with each of its modifiers.
func TestEveryParameterIsUnderstoodWithItsModifiers(t *testing.T) {
	values := map[string]string{
		"token": "a", "reference": "http://a.example/1", "date": "2026", "string": "a", "uri": "http://a", "quantity": "1", "number": "1", "special": "60|24|5|km",
		"missing": "true", "in": "http://x/vs", "not-in": "http://x/vs", "above": "s|a", "below": "s|a", "of-type": "a|b|c",
	}
	opt := testOptions
	opt.Terms = hierarchy{}
	for _, typ := range fhir.Types() {
		for _, d := range Params(typ) {
			plain := values[d.Type]
			if p := Lookup(typ, d.Name); p.Type == Composite {
				for i, part := range p.Parts {
					plain += map[bool]string{true: "$"}[i > 0] + values[part.Type.String()]
				}
			}
			for _, modifier := range append([]string{""}, d.Modifiers...) {
				name, value := d.Name, plain
				if modifier != "" {
					name += ":" + modifier
				}
				if special := values[modifier]; special != "" && !(d.Type == "uri" && modifier != "missing") {
					value = special
				}
				_, err := Parse(typ, []Pair{{name, value}}, opt)
				require.NoError(t, err, "%s?%s=%s", typ, name, value)
			}
		}
	}
}

// anyQuery draws searches that Parse mostly understands.
func anyQuery(t *rapid.T) (string, []Pair) {
	typ := rapid.SampledFrom([]string{"CarePlan", "Patient", "Observation", "Task", "RiskAssessment", "PlanDefinition"}).Draw(t, "type")
	var pairs []Pair
	names := Params(typ)
	for range rapid.IntRange(0, 5).Draw(t, "n") {
		d := rapid.SampledFrom(names).Draw(t, "parameter")
		name := d.Name
		if m := rapid.SampledFrom(append([]string{"", ""}, d.Modifiers...)).Draw(t, "modifier"); m != "" {
			name += ":" + m
		}
		value := rapid.OneOf(
			rapid.SampledFrom([]string{"true", "2026-01", "ge2026-01-01T10:00:00+02:00", "5.40", "lt1e2", "a|b", `x\,y,z`, "Patient/a", "10||mg", "äÖ ß", "http://a.example/Patient/1"}),
			rapid.StringN(1, 20, 60),
		).Draw(t, "value")
		pairs = append(pairs, Pair{name, value})
	}
	extra := []Pair{{"_count", "0"}, {"_count", "900"}, {"_total", "estimate"}, {"_sort", "-_lastUpdated"}, {"_summary", "count"}, {"_revinclude", "Provenance:target"}, {"subject:Patient.name", "x"}, {"_has:Task:focus:status", "ready"}}
	for range rapid.IntRange(0, 2).Draw(t, "extras") {
		pairs = append(pairs, rapid.SampledFrom(extra).Draw(t, "extra"))
	}
	return typ, pairs
}

func TestRawAsksForTheSame(t *testing.T) {
	understood := 0
	rapid.Check(t, func(t *rapid.T) {
		typ, pairs := anyQuery(t)
		q, err := Parse(typ, pairs, testOptions)
		if err != nil || q.HasSecrets {
			return
		}
		understood++
		again, err := Pairs(q.Raw)
		if err != nil {
			t.Fatal(err)
		}
		q2, err := Parse(typ, again, testOptions)
		if err != nil {
			t.Fatalf("%s: %v", q.Raw, err)
		}
		if diff := cmp.Diff(q, q2); diff != "" {
			t.Fatalf("%s: %s", q.Raw, diff)
		}
	})
	require.NotZero(t, understood)
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"status=active&date=ge2026", "subject:Patient.name=a", "_has:Observation:patient:code=a|b", `x=\`, "_sort=-date&_count=0",
		"identifier=131052-9994", "_include=CarePlan:subject", "subject._has:Task:focus:_id=1", "date=ap2026-01-01T00:00:00 02:00",
	} {
		f.Add("CarePlan", s)
		f.Add("Patient", s)
	}
	f.Fuzz(func(t *testing.T, typ, raw string) {
		pairs, err := Pairs(raw)
		if err != nil {
			return
		}
		q, err := Parse(typ, pairs, testOptions)
		if err != nil {
			if finland.FindIdentityCode(err.Error()) {
				t.Fatalf("an identity code in %q", err)
			}
			return
		}
		if finland.FindIdentityCode(q.Raw) {
			t.Fatalf("an identity code in Raw %q", q.Raw)
		}
		if q.Summary != (q.Count == 0) || q.Count > 500 || len(q.Includes) > MaxIncludes {
			t.Fatalf("out of bounds: %+v", q)
		}
		if q.HasSecrets {
			return
		}
		again, err := Pairs(q.Raw)
		if err != nil {
			t.Fatal(err)
		}
		q2, err := Parse(typ, again, testOptions)
		if err != nil {
			t.Fatalf("%q: %v", q.Raw, err)
		}
		if diff := cmp.Diff(q, q2); diff != "" {
			t.Fatalf("%q: %s", q.Raw, diff)
		}
	})
}
