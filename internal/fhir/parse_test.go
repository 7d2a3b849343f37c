package fhir

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseKeepsWhatCameIn(t *testing.T) {
	for _, doc := range []string{
		`{"b":1.10,"a":1e3,"z":-0.0,"t":true,"f":false,"n":null,"o":{},"l":[],"s":"ä<&>\n\"\\"}`,
		`["x",[1,[2]],{"a":[{"b":"c"}]}]`,
		`"text"`, `12.50`, `null`,
	} {
		v, err := Parse([]byte(doc), Limits{})
		require.NoError(t, err)
		assert.Equal(t, doc, string(v.JSON()))
	}
	v, err := Parse([]byte(" { \"a\" :\t\"\\u00e4\\/\" , \"b\":[ 1 , 2 ] }\r\n"), Limits{})
	require.NoError(t, err)
	assert.Equal(t, `{"a":"ä/","b":[1,2]}`, string(v.JSON()))
}

func TestParseLeavesNeighboursAlone(t *testing.T) {
	v, err := Parse([]byte(`{"a":[1,2],"b":[3,4],"c":{"x":1},"d":{"y":2}}`), Limits{})
	require.NoError(t, err)
	v.Get("a").Append(NewNumber("9"))
	v.Get("c").Set("z", NewBool(true))
	assert.Equal(t, `{"a":[1,2,9],"b":[3,4],"c":{"x":1,"z":true},"d":{"y":2}}`, string(v.JSON()))
}

func TestParseRefusesAndTellsWhere(t *testing.T) {
	for _, c := range []struct{ name, doc, where, says string }{
		{"duplicate member", `{"resourceType":"Patient","name":[{"family":"x","family":"y"}]}`, "Patient.name[0].family", "twice"},
		{"duplicate by escape", `{"a":1,"\u0061":2}`, "a", "twice"},
		{"invalid UTF-8", "{\"resourceType\":\"Patient\",\"id\":\"\xff\"}", "Patient.id", "UTF-8"},
		{"lone surrogate", `{"a":"\ud800"}`, "a", "escape"},
		{"control character", "{\"a\":\"\x01\"}", "a", "control"},
		{"trailing data", `{} {}`, "", "follows"},
		{"trailing comma", `{"a":[1,]}`, "a", "not JSON"},
		{"byte order mark", "\ufeff{}", "", "not JSON"},
		{"empty", ``, "", "ends"},
		{"cut off", `{"a":{"b":[`, "a.b", "ends"},
		{"not a number", `{"a":NaN}`, "a", "not JSON"},
		{"leading zero", `{"a":012}`, "", "not JSON"},
		{"name without quotes", `{a:1}`, "", "not JSON"},
		{"number as a name", `{1:1}`, "", "name"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse([]byte(c.doc), Limits{})
			var syn *SyntaxError
			require.ErrorAs(t, err, &syn)
			assert.Contains(t, syn.Msg, c.says)
			assert.True(t, strings.HasPrefix(syn.Expression, c.where), "%q", syn.Expression)
			assert.True(t, syn.Line == 1 && syn.Column >= 1 && syn.Column <= 1+utf8.RuneCountInString(c.doc), "%d:%d", syn.Line, syn.Column)
		})
	}
}

func TestParseErrorsNeverShowWhatStandsThere(t *testing.T) {
	const code = "010190-999W"
	for _, doc := range []string{
		`{"` + code + `":{"a":1,"a":2}}`,
		`{"resourceType":"` + code + `","a":[1,}`,
		`{"a":"` + code + `" "` + code + `"}`,
		`{"a":` + code + `}`,
		`{"a":1,"a":"` + code + `"}`,
		`{"` + code + `":1,"` + code + `":2}`,
	} {
		_, err := Parse([]byte(doc), Limits{})
		require.Error(t, err)
		assert.NotContains(t, err.Error(), "999")
		assert.NotContains(t, fmt.Sprintf("%+v", err.(*SyntaxError).Issues()), "999")
	}
}

func TestParseIsBounded(t *testing.T) {
	nested := func(n int) []byte { return []byte(strings.Repeat("[", n) + strings.Repeat("]", n)) }
	_, err := Parse(nested(64), Limits{})
	require.NoError(t, err)
	_, err = Parse(nested(65), Limits{})
	require.ErrorContains(t, err, "deeper than 64")
	_, err = Parse([]byte(strings.Repeat(`{"a":`, 1_000_000)), Limits{})
	require.ErrorContains(t, err, "deeper than 64")
	_, err = Parse([]byte("["+strings.Repeat("0,", 400_000)+"0]"), Limits{})
	require.ErrorContains(t, err, "more than 400000 values")

	big := bytes.Repeat([]byte(" "), 40<<20)
	start := time.Now()
	_, err = Parse(big, Limits{})
	require.True(t, errors.Is(err, ErrTooLarge))
	assert.Less(t, time.Since(start), 50*time.Millisecond, "refused unread")
	assert.Equal(t, "too-long", err.(*SyntaxError).Issues()[0].Code)
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		`{"resourceType":"Patient","birthDate":"1990-01","_birthDate":{"extension":[]}}`, `[1.10,1e-3,"\ud83d\ude00",null]`,
		`{"a":{"a":{"a":[[[]]]}}}`, "\"\\u0000\"", `{"":0}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := Parse(data, Limits{})
		if err != nil {
			return
		}
		out := v.JSON()
		again, err := Parse(out, Limits{})
		if err != nil {
			t.Fatalf("what was written does not parse: %v", err)
		}
		if string(again.JSON()) != string(out) {
			t.Fatal("writing and reading again changes the document")
		}
		if len(Validate(v)) > maxIssues {
			t.Fatal("more issues than bounded")
		}
		if string(v.Clone().JSON()) != string(out) {
			t.Fatal("a clone differs")
		}
	})
}
