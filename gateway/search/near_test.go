package search

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// The circle of a distance holds what the law of cosines on the sphere says, wherever the places are.
func TestACircleHoldsWhatIsNearAlongTheSurface(t *testing.T) {
	latitude, longitude := rapid.Float64Range(-90, 90), rapid.Float64Range(-180, 180)
	rapid.Check(t, func(t *rapid.T) {
		a, b := [2]float64{latitude.Draw(t, "lat"), longitude.Draw(t, "lon")}, [2]float64{latitude.Draw(t, "lat"), longitude.Draw(t, "lon")}
		if rapid.Bool().Draw(t, "close") {
			b[0], b[1] = math.Max(-90, math.Min(90, a[0]+b[0]/1e4)), math.Remainder(a[1]+b[1]/1e4, 360)
		}
		distance := rapid.Float64Range(0, 21000).Draw(t, "km")
		from, ok := point(a[0], a[1])
		require.True(t, ok)
		to, ok := point(b[0], b[1])
		require.True(t, ok)
		angle := math.Atan2(math.Sqrt(square(from.Y*to.Z-from.Z*to.Y)+square(from.Z*to.X-from.X*to.Z)+square(from.X*to.Y-from.Y*to.X)),
			from.X*to.X+from.Y*to.Y+from.Z*to.Z)
		if km := angle * earthRadius; math.Abs(km-distance) > 1e-3 {
			require.Equal(t, km < distance, around(from, distance).Holds(to), "%v and %v are %v km apart", a, b, km)
		}
	})
}

func square(f float64) float64 { return f * f }

func TestNearIsReadAsR4WritesIt(t *testing.T) {
	read := func(value string) *Circle {
		q, err := Parse("Location", []Pair{{"near", value}}, Options{})
		require.NoError(t, err, value)
		require.Len(t, q.Where, 1)
		require.Len(t, q.Where[0].Values, 1)
		return q.Where[0].Values[0].Circle
	}
	centre, _ := point(60.17, 24.94)
	for value, km := range map[string]float64{
		"60.17|24.94|5|km": 5, "60.17|24.94|5": 5, "60.17|24.94|5|": 5, "60.17|24.94|0.5|m": 0.0005, "60.17|24.94|2|mi": 2 * 1.609344,
		"60.17|24.94|2|[mi_i]": 2 * 1.609344, "60.17|24.94": nearby, "60.17|24.94|": nearby, "60.17|24.94||mi": nearby, "60.17|24.94||parsec": nearby,
		"60.17|24.94|1e300|km": 1e300,
	} {
		require.Equal(t, around(centre, km), read(value), value)
	}
	require.Equal(t, 2+rounding, around(centre, 1e300).Chord, "further than the other side of the globe is everywhere")
	for _, value := range []string{
		"60.17", "60.17|", "|24.94", "60.17|24.94|5|km|x", "north|24.94|5", "60.17|24.94|-5|km", "60.17|24.94|x|km", "60.17|24.94|5|parsec",
		"91|0|5", "-90.5|0|5", "0|181|5", "0|-180.1|5", "NaN|0|5", "Inf|0|5", "60.17|24.94|NaN", "60,17|24,94|5",
	} {
		_, err := Parse("Location", []Pair{{"near", value}}, Options{})
		require.ErrorContains(t, err, "near", value)
		require.NotContains(t, err.Error(), value)
	}
	for query, want := range map[string]string{"near:not=1|1": "near:not", "near:contains=1|1": "near:contains", "_sort=near": "cannot be sorted"} {
		pairs, err := Pairs(query)
		require.NoError(t, err)
		_, err = Parse("Location", pairs, Options{})
		require.ErrorContains(t, err, want)
	}
	for _, chained := range []string{"_has:HealthcareService:location:name=x&near=1|1", "near=1|1,2|2|3|mi", "near:missing=true"} {
		pairs, err := Pairs(chained)
		require.NoError(t, err)
		_, err = Parse("Location", pairs, Options{})
		require.NoError(t, err)
	}
	q, err := Parse("HealthcareService", []Pair{{"location.near", "60|24|5|km"}}, Options{})
	require.NoError(t, err)
	require.NotNil(t, q.Where[0].Chain.Branches["Location"].Values[0].Circle)
	require.Equal(t, "location.near=60%7C24%7C5%7Ckm", q.Raw)
}

func TestAPositionIsIndexedWhereItIsOnTheGlobe(t *testing.T) {
	at := func(position string) []PositionEntry {
		return extract(t, `{"resourceType":"Location","position":`+position+`}`).Positions
	}
	want, _ := point(60.17, 24.94)
	require.Equal(t, []PositionEntry{{"near", want}}, at(`{"longitude":24.94,"latitude":60.17,"altitude":3}`))
	for _, nowhere := range []string{
		`{}`, `{"longitude":1}`, `{"latitude":1}`, `{"longitude":181,"latitude":0}`, `{"longitude":0,"latitude":90.1}`, `{"longitude":1e999,"latitude":0}`, `[]`, `7`,
	} {
		require.Empty(t, at(nowhere), nowhere)
	}
	require.Empty(t, extract(t, `{"resourceType":"HealthcareService","position":{"longitude":1,"latitude":1}}`).Positions)
}

func TestNearIsDescribedInItsOwnWords(t *testing.T) {
	for _, d := range Params("Location") {
		if d.Name == "near" {
			require.Equal(t, "special", d.Type)
			require.Equal(t, []string{"missing"}, d.Modifiers)
			require.Equal(t, "http://hl7.org/fhir/SearchParameter/Location-near", d.URL)
			require.False(t, strings.Contains(d.Documentation, "near-distance"), "which R4 has no more")
			require.Contains(t, d.Documentation, "25 km")
			return
		}
	}
	t.Fatal("near is a parameter of Location")
}
