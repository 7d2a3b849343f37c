package ledger

import (
	"crypto/sha256"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sotesilta/consent"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares got with testdata/name.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, got, 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), string(got))
}

// fill gives every field below v a value that is not zero.
func fill(v reflect.Value, n *int) {
	*n++
	switch v.Kind() {
	case reflect.String:
		v.SetString("text-" + strings.Repeat("x", *n%5))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(*n))
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0), n)
		fill(v.Index(1), n)
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for _, key := range []string{"b", "a"} {
			value := reflect.New(v.Type().Elem()).Elem()
			fill(value, n)
			v.SetMapIndex(reflect.ValueOf(key), value)
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Date(2026, 11, 21, 10, 11, 12, 345_000_000, time.UTC)))
			return
		}
		for i := range v.NumField() {
			fill(v.Field(i), n)
		}
	default:
		panic("fill: " + v.Type().String())
	}
}

func TestCanonicalKeepsEveryMember(t *testing.T) {
	var r Record
	n := 0
	fill(reflect.ValueOf(&r).Elem(), &n)
	bytes := r.Canonical()
	back, err := ParseRecord(bytes)
	require.NoError(t, err)
	require.Equal(t, &r, back)
	require.Equal(t, string(bytes), string(back.Canonical()))
}

// TestCanonicalIsFrozen fails when a change here or in consent alters the bytes of a record: then the form needs
// the next version.
func TestCanonicalIsFrozen(t *testing.T) {
	golden(t, "canonical-v2.jsonl", readPermit().Canonical())
}

// TestTheFirstFormIsStillRead: what was recorded before the parts were told apart is read, and committed to, as then.
func TestTheFirstFormIsStillRead(t *testing.T) {
	old, err := os.ReadFile(filepath.Join("testdata", "canonical-v1.json"))
	require.NoError(t, err)
	r, err := ParseRecord(old)
	require.NoError(t, err)
	require.Equal(t, readPermit(), r)
	salt := NewSalt()
	require.Equal(t, sha256.Sum256(append(salt[:SaltSize:SaltSize], old...)), commit(salt, old))
}

// TestTheOpenPartNamesNoPerson: what a client is shown names neither who received their data nor anybody else, and none
// of what is for supervision; a member that is added to a record is sealed unless somebody says otherwise.
func TestTheOpenPartNamesNoPerson(t *testing.T) {
	var r Record
	n := 0
	fill(reflect.ValueOf(&r).Elem(), &n)
	r.Actor.User, r.Actor.Name, r.Actor.Person, r.Actor.Role = "hidden", "hidden", "hidden", "hidden"
	r.Recipient, r.TokenID, r.Reason, r.Query, r.Evidence = "hidden", "hidden", "hidden", "hidden", []string{"hidden"}
	r.Assertion.Reason, r.Assertion.Facts = "hidden", map[string]string{"assessor": "hidden"}
	r.Classes[0].Clients, r.Known, r.Bound = []string{"hidden"}, map[string]int64{"hidden": 1}, []string{"hidden"}
	open, sealed, both := partsOf(r.Canonical())
	require.True(t, both)
	require.NotContains(t, string(open), "hidden")
	require.Equal(t, 14, strings.Count(string(sealed), "hidden"))
	require.NotContains(t, string(sealed), `"client":`)
	require.NotContains(t, string(sealed), `"outcome"`)
}

func TestCanonicalTimeIsUTCMilliseconds(t *testing.T) {
	helsinki := time.FixedZone("EET", 2*3600)
	r := Record{Time: time.Date(2026, 11, 21, 12, 0, 0, 999, helsinki)}
	require.Contains(t, string(r.Canonical()), `"time":"2026-11-21T10:00:00.000Z"`)
	require.True(t, strings.HasPrefix(string(r.Canonical()), `{"v":2,`))
}

func TestParseRecordRefuses(t *testing.T) {
	good := string(readPermit().Canonical())
	for name, text := range map[string]string{
		"nothing":        "",
		"another form":   strings.Replace(good, `"v":2`, `"v":3`, 1),
		"first form":     strings.Replace(good, `"v":2`, `"v":1`, 1),
		"one part":       good[:strings.Index(good, "\n")],
		"three parts":    good + "\n{}",
		"person opened":  strings.Replace(good, `"kind":"professional"`, `"kind":"professional","user":"x"`, 1),
		"outcome sealed": strings.Replace(good, "\n{", "\n{\"outcome\":\"deny\",", 1),
		"client sealed":  strings.Replace(good, "\n{", "\n{\"client\":\"aino\",", 1),
		"app sealed":     strings.Replace(good, `{"user":`, `{"app":"x","user":`, 1),
		"unknown member": strings.Replace(good, `"v":2`, `"v":2,"hidden":true`, 1),
		"second record":  good + good,
		"repeated":       strings.Replace(good, `"client":"onni"`, `"client":"aino","client":"onni"`, 1),
		"local time":     strings.Replace(good, `.000Z"`, `.000+02:00"`, 1),
		"no time":        `{"v":1}`,
		"cut":            good[:len(good)-1],
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParseRecord([]byte(text))
			require.Error(t, err)
		})
	}
}

func TestColumns(t *testing.T) {
	r := readPermit()
	r.Bases = append(r.Bases, consent.Basis{ID: "ATL-46"}, consent.Basis{ID: "ATL-53.2"})
	r.Entities = append(r.Entities, Entity{What: "Condition/2/_history/1", Role: "include"}, Entity{What: "Observation/1/_history/4", Role: "match"})
	require.Equal(t, []Column{
		{"id", "0b6c9b1e-7a55-4d53-9d0a-0f5c3c1f0001"},
		{"exchange", "0b6c9b1e-7a55-4d53-9d0a-0f5c3c1f0001"},
		{"time", "2026-11-21T10:00:00.000Z"},
		{"interaction", "read"},
		{"outcome", "permit"},
		{"client", "onni"},
		{"controller", "Organization/county"},
		{"actor-controller", "Organization/county"},
		{"app", "county-social"},
		{"user", "social-worker"},
		{"person", "Practitioner/social-worker"},
		{"role", "PractitionerRole/social-worker"},
		{"basis", "ATL-46"},
		{"basis", "ATL-53.2"},
		{"target", "Condition/2"},
		{"target", "Observation/1"},
	}, Columns(r))

	r = &Record{Target: "Patient/$match"}
	for _, c := range Columns(r) {
		require.NotEqual(t, ColumnTarget, c.Name)
	}
}

func TestNewIDIsAFHIRId(t *testing.T) {
	require.Regexp(t, `^[A-Za-z0-9\-.]{1,64}$`, NewID())
	require.NotEqual(t, NewID(), NewID())
}

func BenchmarkCanonical(b *testing.B) {
	r := readPermit()
	for b.Loop() {
		r.Canonical()
	}
}

func BenchmarkParseRecord(b *testing.B) {
	c := readPermit().Canonical()
	for b.Loop() {
		if _, err := ParseRecord(c); err != nil {
			b.Fatal(err)
		}
	}
}
