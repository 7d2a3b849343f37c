package search

import "math"

// Point is a place on the globe (WGS 84, taken as a sphere) as a point of the unit sphere: X towards latitude 0 and
// longitude 0, Y towards longitude 90 east, Z towards the north pole. In space there is no antimeridian and there are no
// poles: places are near to each other where the straight line between them is short, and that needs no trigonometry.
type Point struct{ X, Y, Z float64 }

// point is the Point of a latitude and a longitude in degrees; false where there is none.
func point(latitude, longitude float64) (Point, bool) {
	if !(math.Abs(latitude) <= 90 && math.Abs(longitude) <= 180) {
		return Point{}, false
	}
	latitude, longitude = latitude*math.Pi/180, longitude*math.Pi/180
	return Point{math.Cos(latitude) * math.Cos(longitude), math.Cos(latitude) * math.Sin(longitude), math.Sin(latitude)}, true
}

// Circle is all that is no further than a distance from Centre, along the surface. Chord is the straight line between the
// centre and its edge, on the unit sphere: 2 at most, which is everywhere.
type Circle struct {
	Centre Point
	Chord  float64
}

const (
	// earthRadius is the mean radius of the earth in kilometres (IUGG). Taking the earth for a sphere of it makes a
	// distance wrong by 0.6 per cent at most.
	earthRadius = 6371.0088
	// nearby is how far near reaches, in kilometres, when the search does not say: R4 leaves it to the server.
	nearby = 25
	// rounding is what the coordinates of one place that were computed in two ways may differ by: a few micrometres.
	rounding = 1e-12
)

// around is the Circle of a distance in kilometres.
func around(centre Point, distance float64) *Circle {
	half := min(distance/(2*earthRadius), math.Pi/2)
	return &Circle{centre, 2*math.Sin(half) + rounding}
}

// Holds says whether p is in the circle.
func (c *Circle) Holds(p Point) bool {
	x, y, z := p.X-c.Centre.X, p.Y-c.Centre.Y, p.Z-c.Centre.Z
	return x*x+y*y+z*z <= c.Chord*c.Chord
}

// nearHelp is what Definition says of near: the official text asks for a parameter that R4 no longer has.
const nearHelp = "latitude|longitude|distance|units, as in 62.24|25.75|5|km: positions (WGS 84) no further than the distance from there along " +
	"the surface of a sphere. Units are km (also where none are given), mi or a UCUM code of a length; without a distance 25 km are near."

// lengths are the units of a distance, in kilometres: those of UCUM, and mi, which R4 lets expect.
var lengths = map[string]float64{
	"": 1, "km": 1, "m": 0.001, "cm": 1e-5, "mm": 1e-6,
	"mi": 1.609344, "[mi_i]": 1.609344, "[mi_us]": 6336.0 / 3937, "[nmi_i]": 1.852,
	"[yd_i]": 0.0009144, "[ft_i]": 0.0003048, "[in_i]": 0.0000254,
}

// near reads latitude|longitude|distance|units (FHIR R4, SearchParameter Location-near): without units the distance is in
// kilometres, and without a distance it is nearby, whatever the units.
func (r valueReader) near(s string) (Value, string) {
	const shape = "it must be latitude|longitude|distance|units in decimal degrees (WGS 84), as in 62.24|25.75|5|km"
	parts, _ := split(s, '|')
	if len(parts) < 2 || len(parts) > 4 {
		return Value{}, shape
	}
	degrees := [2]float64{}
	for i := range degrees {
		var ok bool
		if degrees[i], _, ok = decimalSpan(parts[i]); !ok {
			return Value{}, shape
		}
	}
	centre, ok := point(degrees[0], degrees[1])
	if !ok {
		return Value{}, "a latitude is from -90 to 90 and a longitude from -180 to 180"
	}
	if len(parts) < 3 || parts[2] == "" {
		return Value{Circle: around(centre, nearby)}, ""
	}
	distance, _, ok := decimalSpan(parts[2])
	if !ok || distance < 0 {
		return Value{}, "a distance is a number from 0"
	}
	unit := ""
	if len(parts) == 4 {
		unit = unescape(parts[3])
	}
	length, ok := lengths[unit]
	if !ok {
		return Value{}, "the units are km, mi or a UCUM code of a length such as m, [mi_i] or [nmi_i]"
	}
	return Value{Circle: around(centre, distance*length)}, ""
}

// Positioned says whether resources of a type have PositionEntries.
func Positioned(typ string) bool { return Lookup(typ, "near") != nil }

// readPosition reads Location.position. Where there is no such place on the globe, nothing is near it.
func readPosition(x *extraction, p *Param) {
	position := x.resource.Get("position")
	latitude, ok := number(position.Get("latitude").Str())
	longitude, also := number(position.Get("longitude").Str())
	if !ok || !also {
		return
	}
	if at, ok := point(latitude, longitude); ok && x.more() {
		x.index.Positions = append(x.index.Positions, PositionEntry{p.Name, at})
	}
}
