package finland

import "strings"

// codeService is where THL's code service keeps the code structures of social and health care.
const codeService = "1.2.246.537."

// OID is the bare OID of a system: without urn:oid: and without the version that the code service appends to its code
// structures, a year (…6.202.2008) or a year and a count (…6.49.201501). version is what was cut off, so that nothing
// is lost; systems differ in whether they write it, and mean the same code structure. OIDs of others are left whole,
// and text that is no OID is returned as it is.
func OID(s string) (oid, version string) {
	oid = strings.TrimPrefix(s, "urn:oid:")
	if !ValidOID(oid) {
		return s, ""
	}
	structure, ok := strings.CutPrefix(oid, codeService)
	if !ok || strings.Count(structure, ".") < 2 { // kind, structure, version
		return oid, ""
	}
	at := strings.LastIndexByte(oid, '.')
	if version = oid[at+1:]; !isYear(version) {
		return oid, ""
	}
	return oid[:at], version
}

// SameOID says whether two systems are the same code structure, in whatever way each writes its OID.
func SameOID(a, b string) bool {
	a, _ = OID(a)
	b, _ = OID(b)
	return a == b
}

// ValidOID says whether s is an OID in dots: numbers without leading zeros, the first 0, 1 or 2, at least two of them.
func ValidOID(s string) bool {
	if len(s) < 3 || len(s) > 128 || s[0] > '2' || s[1] != '.' {
		return false
	}
	for arc := range strings.SplitSeq(s, ".") {
		if arc == "" || len(arc) > 1 && arc[0] == '0' || strings.Trim(arc, "0123456789") != "" {
			return false
		}
	}
	return true
}

// isYear says whether an arc is a year from 1990 to 2099, alone or with a count of two digits.
func isYear(arc string) bool {
	return (len(arc) == 4 || len(arc) == 6) && (arc[:2] == "20" || arc[:3] == "199")
}
