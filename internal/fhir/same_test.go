package fhir

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSame(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{`{"a":1.50,"b":[true,"x"]}`, `{"b":[true,"x"],"a":15e-1}`, true},
		{`[1,2]`, `[2,1]`, false},
		{`[1]`, `[1,1]`, false},
		{`{"a":1}`, `{"b":1}`, false},
		{`{"a":1}`, `{"a":1,"b":1}`, false},
		{`"1"`, `1`, false},
		{`-0.0`, `0`, true},
		{`-1`, `1`, false},
		{`100`, `1E2`, true},
		{`0.1`, `0.10000000000000000000000000000000000000001`, false},
		{`1e99999999999999999999`, `1e99999999999999999999`, true},
		{`1e99999999999999999999`, `1e99999999999999999998`, false},
	} {
		of := func(text string) *Value {
			doc, err := Parse([]byte(`{"resourceType":"Basic","value":`+text+`}`), Limits{})
			require.NoError(t, err)
			return doc.Get("value")
		}
		looked := 0
		require.Equal(t, c.same, Same(of(c.a), of(c.b), func() { looked++ }), "%s %s", c.a, c.b)
		require.Equal(t, c.same, Same(of(c.b), of(c.a), func() {}), "%s %s", c.b, c.a)
		require.NotZero(t, looked)
	}
}
