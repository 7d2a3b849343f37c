package search

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/gofhir/fhirpath"
	"github.com/stretchr/testify/require"

	"sotesilta/internal/fhir"
	"sotesilta/internal/official"
)

var update = flag.Bool("update", false, "write the golden files anew")

func example(t testing.TB, path string) *fhir.Value {
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	v, err := fhir.Parse(data, fhir.Limits{})
	require.NoError(t, err, path)
	return v
}

// render writes an Index for people, one entry a line.
func render(x Index) string {
	var lines []string
	for _, e := range x.Tokens {
		lines = append(lines, fmt.Sprintf("token     %s = %s|%s %q", e.Param, e.System, e.Code, e.Text))
	}
	for _, e := range x.References {
		lines = append(lines, fmt.Sprintf("reference %s = %s/%s %s %s|%s", e.Param, e.Type, e.ID, e.URL, e.System, e.Code))
	}
	for _, e := range x.Dates {
		lines = append(lines, fmt.Sprintf("date      %s = %s .. %s", e.Param, fhir.Instant(e.From), fhir.Instant(e.To)))
	}
	for _, e := range x.Strings {
		lines = append(lines, fmt.Sprintf("string    %s = %q %q", e.Param, e.Folded, e.Exact))
	}
	for _, e := range x.URIs {
		lines = append(lines, fmt.Sprintf("uri       %s = %s", e.Param, e.Exact))
	}
	for _, e := range x.Numbers {
		lines = append(lines, fmt.Sprintf("number    %s = %v .. %v %s|%s", e.Param, e.Low, e.High, e.System, e.Code))
	}
	for _, e := range x.Positions {
		lines = append(lines, fmt.Sprintf("position  %s = %.6f %.6f %.6f", e.Param, e.Point.X, e.Point.Y, e.Point.Z))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n") + "\n"
}

func TestOfficialExamplesAreIndexedAsBefore(t *testing.T) {
	folder := official.Test(t)
	var b strings.Builder
	for _, name := range []string{
		"Patient-example", "Practitioner-f001", "PractitionerRole-example", "Organization-1", "Location-1",
		"CarePlan-example", "CareTeam-example", "Task-example1", "Consent-consent-example-basic", "EpisodeOfCare-example",
		"Encounter-f001", "Condition-example", "Observation-f001", "QuestionnaireResponse-f201", "ServiceRequest-ambulation",
		"DocumentReference-example", "Appointment-example", "PlanDefinition-KDN5", "AuditEvent-example-disclosure",
		"RiskAssessment-genetic", "Provenance-example-cwl", "HealthcareService-example",
	} {
		fmt.Fprintf(&b, "== %s\n%s\n", name, render(Extract(example(t, filepath.Join(string(folder), name+".json")))))
	}
	golden := filepath.Join("testdata", "examples.golden")
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(golden, []byte(b.String()), 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, string(want), b.String())
}

// TestIndexAgreesWithFHIRPath runs the official expressions in an independent FHIRPath engine over the examples, and
// compares how many values they give with how many our compiled programs come to.
func TestIndexAgreesWithFHIRPath(t *testing.T) {
	folder := official.Test(t)
	expressions := officialExpressions(t, folder)
	seen := map[string]int{}
	compared, found := 0, 0
	for _, file := range folder.Files("*") {
		typ, _, _ := strings.Cut(filepath.Base(file), "-")
		info, err := os.Stat(file)
		require.NoError(t, err)
		if expressions[typ] == nil || info.Size() > 60_000 || seen[typ] == 6 {
			continue
		}
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		v, err := fhir.Parse(data, fhir.Limits{})
		if err != nil || fhir.ResourceType(v) != typ {
			continue
		}
		seen[typ]++
		counts := visited(typ, v)
		for name, expression := range expressions[typ] {
			if p := Lookup(typ, name); p == nil || p.Type == Composite || p.Type == Special || name == "deceased" || name == phonetic {
				continue
			}
			want, err := fhirpath.EvaluateCached(data, expression)
			if err != nil {
				t.Errorf("%s: %s: %v", filepath.Base(file), expression, err)
				continue
			}
			compared++
			if len(want) > 0 {
				found++
			}
			distinct := map[string]bool{}
			for _, value := range want {
				distinct[strings.Join(strings.Fields(value.String()), "")] = true
			}
			if counts[name] != len(distinct) && !otherTypes[typ+"."+name] {
				t.Errorf("%s: %s: %d values, FHIRPath %s gives %d", filepath.Base(file), name, counts[name], expression, len(distinct))
			}
		}
	}
	t.Logf("%d comparisons, %d with values", compared, found)
	require.Greater(t, found, 1000)
}

// otherTypes are parameters whose expression also leads to data types that their kind of parameter cannot read, such
// as a date that was written as free text.
var otherTypes = map[string]bool{
	"CarePlan.activity-date": true, "Consent.source-reference": true, "Immunization.date": true, "Procedure.date": true,
}

// officialExpressions are the expressions by type and parameter; resolve() is left out, as nothing can be resolved.
func officialExpressions(t *testing.T, folder official.Folder) map[string]map[string]string {
	var bundle struct {
		Entry []struct {
			Resource struct {
				Code, Type, Expression string
				Base                   []string
			}
		}
	}
	require.NoError(t, folder.Read("Bundle-searchParams", &bundle))
	out := map[string]map[string]string{}
	for _, e := range bundle.Entry {
		for _, base := range e.Resource.Base {
			var parts []string
			for _, part := range strings.Split(e.Resource.Expression, " | ") {
				if strings.HasPrefix(strings.TrimPrefix(part, "("), base+".") || part != "" && part[0] >= 'a' && part[0] <= 'z' {
					before, _, _ := strings.Cut(part, ".where(resolve()")
					parts = append(parts, before)
				}
			}
			if len(parts) == 0 {
				continue
			}
			if out[base] == nil {
				out[base] = map[string]string{}
			}
			out[base][e.Resource.Code] = strings.Join(parts, " | ")
		}
	}
	return out
}

// visited counts, per parameter, the distinct values that the programs of typ come to in v.
func visited(typ string, v *fhir.Value) map[string]int {
	t := &table{byName: map[string]*Param{}, ofType: map[*Param]*Param{}}
	for _, e := range readTable(paramsTSV)[typ] {
		if e.param.Type != Composite && e.param.Name != phonetic {
			t.compile(e)
		}
	}
	values := map[string]map[string]bool{}
	var wrap func(n *node)
	wrap = func(n *node) {
		for i := range n.leaves {
			n.leaves[i].read = func(_ *extraction, l *leaf, v *fhir.Value) {
				if values[l.param.Name] == nil {
					values[l.param.Name] = map[string]bool{}
				}
				values[l.param.Name][string(v.JSON())] = true
			}
		}
		for _, edges := range n.next {
			for _, e := range edges {
				wrap(e.to)
			}
		}
	}
	wrap(&t.root)
	(&extraction{resource: v}).walk(v, &t.root)
	counts := map[string]int{}
	for name, set := range values {
		counts[name] = len(set)
	}
	return counts
}

// indexed is the parameter of a name in an Index: also a part of a composite, and what of-type looks into.
func indexed(typ, name string) *Param {
	if name, part, composed := strings.Cut(name, "$"); composed {
		i, err := strconv.Atoi(part)
		if p := Lookup(typ, name); err == nil && p != nil && i < len(p.Parts) {
			return p.Parts[i]
		}
		return nil
	}
	if name, typed := strings.CutSuffix(name, ":"+ofType); typed {
		return tables()[typ].ofType[Lookup(typ, name)]
	}
	return Lookup(typ, name)
}

// TestEveryExampleIsIndexed reads all examples: no panic, only parameters of the type, distinct entries within bounds.
func TestEveryExampleIsIndexed(t *testing.T) {
	seen := map[string]bool{}
	for _, file := range official.Test(t).Files("*") {
		if info, err := os.Stat(file); err != nil || info.Size() > 200_000 {
			continue
		}
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		v, err := fhir.Parse(data, fhir.Limits{})
		if err != nil {
			continue
		}
		typ := fhir.ResourceType(v)
		x := Extract(v)
		check := func(name string, want ParamType, texts ...string) {
			p := indexed(typ, name)
			if p == nil || p.Type != want {
				t.Errorf("%s: an entry of %s", file, name)
			}
			for _, s := range texts {
				if len(s) > maxIndexed {
					t.Errorf("%s: %s holds %d bytes", file, name, len(s))
				}
			}
			seen[typ+"."+name] = true
		}
		for _, e := range x.Tokens {
			check(e.Param, Token, e.System, e.Code, e.Text)
		}
		for _, e := range x.References {
			check(e.Param, Reference, e.URL, e.System, e.Code)
		}
		for _, e := range x.Dates {
			check(e.Param, Date)
			if !e.From.Before(e.To) || e.From.Before(MinTime) || e.To.After(MaxTime) {
				t.Errorf("%s: %s spans %v to %v", file, e.Param, e.From, e.To)
			}
		}
		for _, e := range x.Strings {
			check(e.Param, String, e.Folded, e.Exact)
		}
		for _, e := range x.URIs {
			check(e.Param, URI, e.Exact)
		}
		for _, e := range x.Numbers {
			if p := indexed(typ, e.Param); p.Type != NumberType {
				check(e.Param, Quantity, e.System, e.Code)
			}
		}
		for _, e := range x.Positions {
			check(e.Param, Special)
		}
	}
	t.Logf("%d of the parameters have a value in some example", len(seen))
	require.Greater(t, len(seen), 800)
}
