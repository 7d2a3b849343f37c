package search

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Every date of care is a parameter of its type that tells of a date.
func TestCareDatesAreParameters(t *testing.T) {
	require.NotEmpty(t, CareTypes())
	for _, typ := range CareTypes() {
		require.NotEmpty(t, CareDates(typ), typ)
		for _, name := range CareDates(typ) {
			param := Lookup(typ, name)
			require.NotNil(t, param, "%s.%s", typ, name)
			require.Equal(t, Date, param.Type, "%s.%s", typ, name)
		}
	}
	require.Empty(t, CareDates("Patient"), "a birth is no care")
}
