package fhirpath

import (
	"strings"

	"sotesilta/internal/fhir"
)

// supertypes are the data types of R4 that specialise another (FHIR R4 § 2.24), and profiles on Quantity that the
// definitions treat as types of their own.
var supertypes = map[string]string{
	"code": "string", "id": "string", "markdown": "string",
	"url": "uri", "canonical": "uri", "uuid": "uri", "oid": "uri",
	"unsignedInt": "integer", "positiveInt": "integer",
	"Age": "Quantity", "Count": "Quantity", "Distance": "Quantity", "Duration": "Quantity", "MoneyQuantity": "Quantity",
	"SimpleQuantity": "Quantity",
}

// notDomain are the resources that are no DomainResource.
var notDomain = map[string]bool{"Bundle": true, "Binary": true, "Parameters": true}

// isA says whether the type called name is of the type wanted, or of one that specialises it.
func isA(name, want string) bool {
	if name == want {
		return true
	}
	switch want {
	case "Resource":
		return fhir.IsResource(name)
	case "DomainResource":
		return fhir.IsResource(name) && !notDomain[name]
	case "BackboneElement":
		return strings.Contains(name, ".")
	case "Element":
		return name != "" && !fhir.IsResource(name)
	}
	return supertypes[name] == want
}

// system are the types of FHIRPath itself, and what they are called here.
var system = map[string]kind{
	"Boolean": kindBoolean, "String": kindString, "Integer": kindInteger, "Decimal": kindDecimal,
	"Date": kindDate, "DateTime": kindDateTime, "Time": kindTime, "Quantity": kindQuantity,
}

// typeTest is a compiled type specifier.
type typeTest struct {
	made     kind   // made values of this kind pass
	elements []bool // by TypeNumber: elements of these types pass
}

// newTypeTest compiles a type specifier. FHIR.x and System.x are told apart; a bare name is either: rules of R4 ask for
// Boolean and for boolean and mean the same.
func newTypeTest(spec *node) (typeTest, error) {
	namespace, name := "", spec.text
	if spec.kind == nodeMember && spec.left != nil && spec.left.kind == nodeMember && spec.left.left == nil { // as an argument of ofType()
		namespace = spec.left.text
	} else if at := strings.IndexByte(name, '.'); at >= 0 {
		namespace, name = name[:at], name[at+1:]
	}
	if spec.kind != nodeMember || namespace != "" && namespace != "FHIR" && namespace != "System" {
		return typeTest{}, fail(spec.at, "the name of a type is missing here")
	}
	t := typeTest{elements: make([]bool, fhir.TypeNumbers())}
	known := false
	if k, ok := system[name]; ok && namespace != "FHIR" {
		t.made, known = k, true
	}
	if namespace != "System" {
		wants := []string{name}
		if k, ok := system[name]; ok && namespace == "" && k != kindQuantity {
			wants = append(wants, strings.ToLower(name[:1])+name[1:])
		}
		for i := range t.elements {
			typ := fhir.TypeName(i)
			for _, want := range wants {
				t.elements[i] = t.elements[i] || typ != "" && isA(typ, want)
			}
			known = known || t.elements[i]
		}
	}
	if !known {
		return t, fail(spec.at, "this is not a type of FHIR R4")
	}
	return t, nil
}

func (t *typeTest) has(it *Item) bool {
	if it.kind != kindNone {
		return it.kind == t.made
	}
	number := it.node.TypeNumber()
	return number < len(t.elements) && t.elements[number]
}
