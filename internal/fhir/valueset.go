package fhir

// ValueSetCodes are the codes of a value set that R4 binds some element to as required, by its canonical URL without a
// version; false when it is none of these, or has codes of a system that cannot be enumerated.
func ValueSetCodes(url string) ([]Coding, bool) {
	sets := definitions().sets
	for i := range sets {
		if sets[i].url != url {
			continue
		}
		var codes []Coding
		for _, list := range sets[i].systems {
			if list.open {
				return nil, false
			}
			for _, code := range list.codes {
				codes = append(codes, Coding{System: list.system, Code: code})
			}
		}
		return codes, true
	}
	return nil, false
}
