package hl7v2

import (
	"fmt"
	"strconv"
	"strings"
)

// Place is where a value stands in a segment, each part counted from 1. Zero is "not said": the first one for reading
// and writing.
type Place struct {
	Field, Repetition, Component, Subcomponent int
}

// Path is where a value stands in a message: SEG[occurrence]-field[repetition].component.subcomponent.
type Path struct {
	Segment    string
	Occurrence int // from 1; 0: not said
	Place
}

// ParsePath reads PID-3, PID-3[1].1, PID-3[1].4.2, NTE[2]-3. The parts that are not said are 0.
func ParsePath(s string) (Path, error) {
	bad := func() (Path, error) { return Path{}, fmt.Errorf("hl7v2: %q is not a path such as PID-3[1].1", s) }
	segment, rest, found := strings.Cut(s, "-")
	if !found {
		return bad()
	}
	var p Path
	var ok bool
	if p.Segment, p.Occurrence, ok = indexed(segment); !ok || !isName(p.Segment) {
		return bad()
	}
	parts := strings.Split(rest, ".")
	if len(parts) > 3 {
		return bad()
	}
	field, repetition, ok := indexed(parts[0])
	if !ok {
		return bad()
	}
	p.Repetition = repetition
	for i, part := range append([]string{field}, parts[1:]...) {
		n, err := strconv.Atoi(part)
		if err != nil || n < 1 || n > 9999 {
			return bad()
		}
		*[]*int{&p.Field, &p.Component, &p.Subcomponent}[i] = n
	}
	return p, nil
}

// indexed divides "PID[2]" into PID and 2; without brackets the index is 0.
func indexed(s string) (string, int, bool) {
	name, index, found := strings.Cut(s, "[")
	if !found {
		return s, 0, true
	}
	index, found = strings.CutSuffix(index, "]")
	n, err := strconv.Atoi(index)
	return name, n, found && err == nil && n >= 1 && n <= 99999
}

// String spells the path; first occurrences and repetitions are left unsaid.
func (p Path) String() string {
	var b strings.Builder
	b.WriteString(p.Segment)
	if p.Occurrence > 1 {
		fmt.Fprintf(&b, "[%d]", p.Occurrence)
	}
	if p.Field > 0 {
		fmt.Fprintf(&b, "-%d", p.Field)
	}
	if p.Repetition > 1 {
		fmt.Fprintf(&b, "[%d]", p.Repetition)
	}
	if p.Component > 0 {
		fmt.Fprintf(&b, ".%d", p.Component)
	}
	if p.Subcomponent > 0 {
		fmt.Fprintf(&b, ".%d", p.Subcomponent)
	}
	return b.String()
}

// isName says whether s can name a segment: a capital and two capitals or digits.
func isName(s string) bool {
	if len(s) != 3 || s[0] < 'A' || s[0] > 'Z' {
		return false
	}
	for i := 1; i < 3; i++ {
		if (s[i] < 'A' || s[i] > 'Z') && (s[i] < '0' || s[i] > '9') {
			return false
		}
	}
	return true
}
