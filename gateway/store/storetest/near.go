package storetest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/gateway/search"
	"sotesilta/gateway/store"
	"sotesilta/internal/fhir"
)

// degrees is a place as people write it.
type degrees struct{ latitude, longitude float64 }

func (d degrees) String() string { return fmt.Sprintf("%.6f|%.6f", d.latitude, d.longitude) }

// apart is the distance of two places in kilometres along the surface, by the haversine formula.
func apart(a, b degrees) float64 {
	radians := func(degrees float64) float64 { return degrees * math.Pi / 180 }
	half := func(angle float64) float64 { s := math.Sin(angle / 2); return s * s }
	h := half(radians(a.latitude-b.latitude)) +
		math.Cos(radians(a.latitude))*math.Cos(radians(b.latitude))*half(radians(a.longitude-b.longitude))
	return 2 * 6371.0088 * math.Asin(math.Sqrt(min(h, 1)))
}

// testNear asks for places by their distance, as a client writes it, and compares with the distance of every one of them.
// Places crowd about Finland, both poles and both sides of the antimeridian.
func testNear(t *testing.T, e Engine) {
	r := rand.New(rand.NewPCG(11, 4))
	somewhere := func() degrees {
		off := func() float64 { return math.Round(r.NormFloat64()*2e5) / 1e6 } // some 20 km of latitude
		switch r.IntN(7) {
		case 0:
			return degrees{90 - math.Abs(off()), math.Round(r.Float64()*360e6)/1e6 - 180}
		case 1:
			return degrees{-90 + math.Abs(off()), math.Round(r.Float64()*360e6)/1e6 - 180}
		case 2:
			return degrees{-17 + off(), 180 - math.Abs(off())}
		case 3:
			return degrees{-17 + off(), -180 + math.Abs(off())}
		case 4:
			return pick(r, []degrees{{90, 0}, {-90, 77}, {-17, 180}, {-17, -180}, {0, 0}})
		}
		return degrees{60.17 + off(), 24.94 + off()}
	}
	s := open(t, e)
	places := map[string]degrees{}
	var rows []store.Row
	for i := range 120 {
		id := fmt.Sprintf("p%03d", i)
		at := somewhere()
		places[id] = at
		rows = append(rows, row(class("Location"), id, 1, position(t, at)))
	}
	rows = append(rows, row(class("Location"), "nowhere", 1, search.Index{}))
	commit(t, s, store.Change{Put: rows})
	asked := func(params string) []string {
		t.Helper()
		pairs, err := search.Pairs(params)
		require.NoError(t, err)
		q, err := search.Parse("Location", pairs, search.Options{})
		require.NoError(t, err, params)
		q.Count = 500
		return ids(find(t, s, q, everything()).Matches)
	}
	units := map[string]float64{"": 1, "|km": 1, "|mi": 1.609344, "|m": 0.001, "|[nmi_i]": 1.852}
	found := 0
	for range 150 {
		centre := somewhere()
		unit := pick(r, []string{"", "|km", "|mi", "|m", "|[nmi_i]"})
		distance := math.Round(math.Pow(10, r.Float64()*5)) // up to 100,000 km, which is everywhere
		params := fmt.Sprintf("near=%s|%f%s", centre, distance/units[unit], unit)
		got := map[string]bool{}
		for _, id := range asked(params) {
			got[id] = true
		}
		for id, at := range places {
			if d := apart(centre, at); math.Abs(d-distance) > 1e-3 { // not at the very edge
				require.Equal(t, d < distance, got[id], "%s: %s at %s is %f km away", params, id, at, d)
			}
		}
		require.NotContains(t, got, "nowhere")
		found += len(got)
	}
	require.Greater(t, found, 1000, "the searches find something")
	require.Equal(t, []string{"nowhere"}, asked("near:missing=true"))
	require.Len(t, asked("near:missing=false"), len(places))

	// A place that moves is found where it is now, and one whose position is gone nowhere.
	here := degrees{10, 10}
	commit(t, s, store.Change{Put: []store.Row{row(class("Location"), "p000", 2, position(t, here)), row(class("Location"), "p001", 2, search.Index{})}})
	require.Equal(t, []string{"p000"}, asked("near=10|10|1"))
	require.Equal(t, []string{"p000"}, asked("near=10|10|0"), "no distance at all")
	require.Equal(t, []string{"nowhere", "p001"}, asked("near:missing=true"))
	require.Equal(t, []string{"p000"}, asked("near=10|10|1,11|11|1&near=10|10"))
	for _, other := range []string{"-17|180", "-17|-180"} {
		require.Equal(t, asked("near=-17|180|0"), asked("near="+other+"|0"), "one meridian by two names")
	}
}

// position is the index of a Location at a place.
func position(t *testing.T, at degrees) search.Index {
	doc, err := fhir.Parse(fmt.Appendf(nil, `{"resourceType":"Location","position":{"longitude":%.6f,"latitude":%.6f}}`, at.longitude, at.latitude), fhir.DefaultLimits)
	require.NoError(t, err)
	x := search.Extract(doc)
	require.Len(t, x.Positions, 1)
	return x
}
