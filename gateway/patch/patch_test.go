package patch

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sotesilta/internal/fhir"
)

const patient = `{"resourceType":"Patient","id":"p","active":true,"name":[{"use":"official","family":"Virtanen","given":["Aino","Maria"],` +
	`"_given":[null,{"id":"x"}]},{"use":"usual","text":"Ansku"}],"birthDate":"1990-01-01","_birthDate":{"id":"b"},` +
	`"multipleBirthInteger":2,"extension":[{"url":"http://a","valueDecimal":1.10},{"url":"http://b","valueString":"x"}]}`

func read(t testing.TB, text string) *fhir.Value {
	t.Helper()
	doc, err := fhir.Parse([]byte(text), fhir.DefaultLimits)
	require.NoError(t, err)
	return doc
}

func TestJSONPatch(t *testing.T) {
	for name, c := range map[string]struct{ patch, want string }{
		"replaces":           {`[{"op":"replace","path":"/active","value":false}]`, `"active":false`},
		"adds to an end":     {`[{"op":"add","path":"/name/0/given/-","value":"Kaisa"}]`, `"given":["Aino","Maria","Kaisa"]`},
		"inserts":            {`[{"op":"add","path":"/name/0/given/0","value":"Kaisa"}]`, `"given":["Kaisa","Aino","Maria"]`},
		"removes":            {`[{"op":"remove","path":"/birthDate"}]`, `,"_birthDate"`},
		"removes the last":   {`[{"op":"remove","path":"/extension/1"},{"op":"remove","path":"/extension/0"}]`, `"multipleBirthInteger":2}`},
		"moves":              {`[{"op":"move","from":"/name/1","path":"/name/0"}]`, `"name":[{"use":"usual"`},
		"copies":             {`[{"op":"copy","from":"/name/1/text","path":"/name/0/text"}]`, `"text":"Ansku"},{"use":"usual"`},
		"tests numbers":      {`[{"op":"test","path":"/extension/0/valueDecimal","value":11e-1},{"op":"replace","path":"/active","value":false}]`, `1.10`},
		"tests objects":      {`[{"op":"test","path":"/name/1","value":{"text":"Ansku","use":"usual"}},{"op":"remove","path":"/active"}]`, `"id":"p","name"`},
		"escapes":            {`[{"op":"add","path":"/a~1b~0c","value":1.500}]`, `"a/b~c":1.500`},
		"adds what is there": {`[{"op":"add","path":"/birthDate","value":"1991-01-01"}]`, `"birthDate":"1991-01-01","_birthDate"`},
	} {
		p, err := JSON(read(t, c.patch))
		require.NoError(t, err, name)
		out, err := p.Apply(read(t, patient), NewEffort())
		require.NoError(t, err, name)
		require.Contains(t, string(out.JSON()), c.want, name)
		require.NotContains(t, string(out.JSON()), "[]", name)
	}
	for name, bad := range map[string]string{
		"nothing there":    `[{"op":"replace","path":"/gender","value":"female"}]`,
		"nothing to take":  `[{"op":"remove","path":"/name/7"}]`,
		"a failing test":   `[{"op":"test","path":"/active","value":"true"}]`,
		"beyond the end":   `[{"op":"add","path":"/name/3","value":{}}]`,
		"a leading zero":   `[{"op":"remove","path":"/name/01"}]`,
		"into itself":      `[{"op":"move","from":"/name","path":"/name/0"}]`,
		"the whole":        `[{"op":"remove","path":""}]`,
		"below a text":     `[{"op":"add","path":"/birthDate/x","value":1}]`,
		"doubling":         `[` + strings.Repeat(`{"op":"copy","from":"","path":"/x"},{"op":"copy","from":"","path":"/y"},`, 30) + `{"op":"remove","path":"/id"}]`,
		"no resource left": `[{"op":"replace","path":"","value":1}]`,
	} {
		p, err := JSON(read(t, bad))
		require.NoError(t, err, name)
		_, err = p.Apply(read(t, patient), NewEffort())
		require.Error(t, err, name)
		require.NotContains(t, err.Error(), "Virtanen", name)
	}
	for name, bad := range map[string]string{
		"an object": `{}`, "no op": `[{"path":"/a"}]`, "an unknown op": `[{"op":"rename","path":"/a"}]`, "no value": `[{"op":"add","path":"/a"}]`,
		"no from": `[{"op":"move","path":"/a"}]`, "a relative pointer": `[{"op":"remove","path":"a"}]`, "a bad escape": `[{"op":"remove","path":"/a~2"}]`,
		"a tilde at the end": `[{"op":"remove","path":"/a~"}]`, "a number for a path": `[{"op":"remove","path":1}]`,
		"too many": `[` + strings.Repeat(`{"op":"remove","path":"/a"},`, MaxOperations) + `{"op":"remove","path":"/a"}]`,
		"too deep": `[{"op":"remove","path":"` + strings.Repeat("/a", MaxSteps+1) + `"}]`,
	} {
		_, err := JSON(read(t, bad))
		require.Error(t, err, name)
	}
}

// op is an operation of a FHIRPath Patch; parts are name and member with value in turn.
func op(kind, path string, parts ...string) string {
	out := `{"name":"operation","part":[{"name":"type","valueCode":"` + kind + `"},{"name":"path","valueString":"` + path + `"}`
	for i := 0; i < len(parts); i += 2 {
		out += `,{"name":"` + parts[i] + `",` + parts[i+1] + `}`
	}
	return out + `]}`
}

func parameters(ops ...string) string {
	return `{"resourceType":"Parameters","parameter":[` + strings.Join(ops, ",") + `]}`
}

func TestFHIRPathPatch(t *testing.T) {
	for name, c := range map[string]struct{ op, want string }{
		"adds":                {op("add", "Patient", "name", `"valueString":"gender"`, "value", `"valueCode":"female"`), `"gender":"female"}`},
		"adds to a list":      {op("add", "Patient.name[0]", "name", `"valueString":"given"`, "value", `"valueString":"Kaisa"`), `"given":["Aino","Maria","Kaisa"],"_given":[null,{"id":"x"},null]`},
		"begins a list":       {op("add", "Patient", "name", `"valueString":"telecom"`, "value", `"valueContactPoint":{"value":"1"}`), `"telecom":[{"value":"1"}]`},
		"adds in parts":       {op("add", "Patient", "name", `"valueString":"contact"`, "value", `"part":[{"name":"gender","valueCode":"male"},{"name":"telecom","valueContactPoint":{"value":"2"}}]`), `"contact":[{"gender":"male","telecom":[{"value":"2"}]}]`},
		"inserts":             {op("insert", "Patient.name[0].given", "value", `"valueString":"Kaisa"`, "index", `"valueInteger":1`), `"given":["Aino","Kaisa","Maria"],"_given":[null,null,{"id":"x"}]`},
		"deletes":             {op("delete", "Patient.birthDate"), `}],"multipleBirthInteger"`},
		"deletes an item":     {op("delete", "Patient.name.where(use = 'usual')"), `"_given":[null,{"id":"x"}]}],"birthDate"`},
		"deletes nothing":     {op("delete", "Patient.photo"), `"id":"p"`},
		"replaces":            {op("replace", "Patient.birthDate", "value", `"valueDate":"1991-01-01"`), `"birthDate":"1991-01-01","multipleBirthInteger"`},
		"replaces an item":    {op("replace", "Patient.name.first().given[1]", "value", `"valueString":"Kaisa"`), `"given":["Aino","Kaisa"],"multiple`[:23]},
		"replaces a choice":   {op("replace", "Patient.multipleBirth", "value", `"valueBoolean":true`), `"multipleBirthBoolean":true`},
		"replaces by type":    {op("replace", "Patient.multipleBirth.ofType(integer)", "value", `"valueInteger":3`), `"multipleBirthInteger":3`},
		"replaces extensions": {op("replace", "Patient.extension('http://a').value", "value", `"valueDecimal":2.00`), `"valueDecimal":2.00`},
		"moves":               {op("move", "Patient.name", "source", `"valueInteger":1`, "destination", `"valueInteger":0`), `"name":[{"use":"usual","text":"Ansku"},{"use":"official"`},
		"moves with ids":      {op("move", "Patient.name[0].given", "source", `"valueInteger":1`, "destination", `"valueInteger":0`), `"given":["Maria","Aino"],"_given":[{"id":"x"},null]`},
	} {
		p, err := FHIRPath(read(t, parameters(c.op)))
		require.NoError(t, err, name)
		out, err := p.Apply(read(t, patient), NewEffort())
		require.NoError(t, err, name)
		require.Contains(t, string(out.JSON()), c.want, name)
		require.Contains(t, string(out.JSON()), `"url":"http://b"`, name)
	}
	for name, bad := range map[string]string{
		"several":          op("replace", "Patient.name", "value", `"valueHumanName":{"text":"x"}`),
		"none":             op("replace", "Patient.gender", "value", `"valueCode":"female"`),
		"there already":    op("add", "Patient", "name", `"valueString":"birthDate"`, "value", `"valueDate":"1991-01-01"`),
		"no such element":  op("add", "Patient", "name", `"valueString":"colour"`, "value", `"valueCode":"red"`),
		"no such type":     op("replace", "Patient.multipleBirth", "value", `"valueString":"x"`),
		"another resource": op("delete", "Task.status"),
		"the resource":     op("delete", "Patient"),
		"beyond the end":   op("insert", "Patient.name", "value", `"valueHumanName":{"text":"x"}`, "index", `"valueInteger":3`),
		"no list":          op("move", "Patient.birthDate", "source", `"valueInteger":0`, "destination", `"valueInteger":0`),
	} {
		p, err := FHIRPath(read(t, parameters(bad)))
		require.NoError(t, err, name)
		_, err = p.Apply(read(t, patient), NewEffort())
		require.Error(t, err, name)
		require.NotContains(t, err.Error(), "Virtanen", name)
	}
	for _, path := range []string{
		"", "name", "Patient..name", "Patient.name[", "Patient.name[x]", "Patient.name[99999999999999999999]", "Patient.repeat(name)", "Patient.name.where(use)",
		"Patient.name.where(use = 'x' or use = 'y')", "Patient.name.where(use = 'x", "Patient.descendants()", "Patient.name | Patient.contact", "%resource.name",
		"Patient" + strings.Repeat(".name", MaxSteps+1), "Patient." + strings.Repeat("a", MaxPath),
	} {
		_, err := FHIRPath(read(t, parameters(op("delete", path))))
		require.Error(t, err, path)
	}
}

// FuzzPatch: no patch, whatever it says, panics, grows a resource without bound or leaves something that is not JSON.
func FuzzPatch(f *testing.F) {
	f.Add(`[{"op":"copy","from":"","path":"/contained/-"},{"op":"test","path":"/a~0/0","value":1e400}]`)
	f.Add(parameters(op("move", "Patient.name[0].given", "source", `"valueInteger":1`, "destination", `"valueInteger":0`), op("delete", "Patient.name.where(use = 'usual' and text = 'Ansku').text")))
	f.Add(parameters(op("add", "Patient.extension('http://a')", "name", `"valueString":"value"`, "value", `"part":[{"name":"extension","part":[]}]`)))
	f.Fuzz(func(t *testing.T, text string) {
		doc, err := fhir.Parse([]byte(text), fhir.Limits{Bytes: 1 << 16})
		if err != nil {
			return
		}
		for _, form := range []func(*fhir.Value) (*Patch, error){JSON, FHIRPath} {
			p, err := form(doc)
			if err != nil {
				continue
			}
			resource := read(t, patient)
			out, err := p.Apply(resource, NewEffort())
			if err != nil {
				continue
			}
			grown := budget{values: MaxAdded + 100, bytes: MaxBytes + len(patient)}
			if grown.spend(out); grown.values < 0 || grown.bytes < 0 {
				t.Fatal("a resource grew beyond the bound")
			}
			if _, err := fhir.Parse(out.JSON(), fhir.Limits{Depth: 1 << 20, Values: 1 << 20, Bytes: 1 << 26}); err != nil {
				t.Fatalf("what is left is not JSON: %v", err)
			}
		}
	})
}

// TestCopiesOfALargeTextAreBounded: a text is shared while a patch copies it, and would take its room only when the
// resource is written: a megabyte, doubled sixteen times, is 64 GB.
func TestCopiesOfALargeTextAreBounded(t *testing.T) {
	text := `{"resourceType":"Patient","extension":[{"url":"http://a","valueString":"` + strings.Repeat("x", 1<<20) + `"}]}`
	double := `{"op":"copy","from":"/extension","path":"/extension/0/extension"}`
	for times, fits := range map[int]bool{2: true, 3: true, 4: false, 16: false, MaxOperations: false} {
		p, err := JSON(read(t, "["+strings.Repeat(double+",", times-1)+double+"]"))
		require.NoError(t, err)
		out, err := p.Apply(read(t, text), NewEffort())
		if !fits {
			require.ErrorContains(t, err, "adds at most", times)
			continue
		}
		require.NoError(t, err, times)
		require.Less(t, len(out.JSON()), MaxBytes+2<<20)
	}
}

// What paths look at is counted over all the patches of a request: a long path over a long list, many times, is a bomb.
func TestPathsLookAtSoMuchTogether(t *testing.T) {
	notes := `{"resourceType":"Observation","note":[` + strings.Repeat(`{"text":"x"},`, 20_000) + `{"text":"y"}]}`
	narrow := "Observation.note" + strings.Repeat(".where(text = 'x')", 55)
	for name, path := range map[string]string{"conditions": narrow + ".last()", "conditions in pairs": "Observation.note.where(" + strings.Repeat("text = 'x' and ", 60) + "text = 'x').last()"} {
		p, err := FHIRPath(read(t, parameters(op("replace", path, "value", `"valueAnnotation":{"text":"x"}`))))
		require.NoError(t, err, name)
		begun := time.Now()
		_, err = p.Apply(read(t, notes), NewEffort())
		require.ErrorContains(t, err, "look at", name)
		require.Less(t, time.Since(begun), 10*time.Second, name)
	}
	p, err := FHIRPath(read(t, parameters(op("replace", "Observation.note[20000].text", "value", `"valueString":"z"`))))
	require.NoError(t, err)
	effort, times := NewEffort(), 0
	for ; times < 100; times++ {
		if _, err = p.Apply(read(t, notes), effort); err != nil {
			break
		}
	}
	require.Greater(t, times, 20, "patches within the bound are made")
	require.Less(t, times, 100, "and are bounded together")
}
