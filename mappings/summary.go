package mappings

import "slices"

// Summary says in lines, for people, what a lens moves and what it leaves out on purpose.
type Summary struct {
	In, Out bool
	Moves   []string // Type.element ↔ place in the message
	Ignored []string // places and elements that are left out without a word in the loss report
}

// Direction is the direction in Finnish.
func (s Summary) Direction() string {
	switch {
	case s.In && s.Out:
		return "sisään ja ulos"
	case s.In:
		return "sisään"
	default:
		return "ulos"
	}
}

// Summary tells what the lens does.
func (l *Lens) Summary() Summary {
	s := Summary{In: l.in, Out: l.out}
	add := func(line string) {
		if !slices.Contains(s.Moves, line) {
			s.Moves = append(s.Moves, line)
		}
	}
	var tell func(of string, rules []*rule)
	tell = func(of string, rules []*rule) {
		for _, r := range rules {
			to := of
			if r.to != nil && r.to.String() != "" {
				to += "." + r.to.String()
			}
			if r.at != nil && len(r.rules) == 0 {
				add(to + " ↔ " + r.at.String())
			}
			tell(to, r.rules)
		}
	}
	tell("asiakas", l.client)
	for _, r := range l.resources {
		tell(r.typ, r.rules)
	}
	for _, i := range l.ignored {
		if i.at.segment != "" {
			s.Ignored = append(s.Ignored, i.at.String())
		} else {
			s.Ignored = append(s.Ignored, i.element)
		}
	}
	return s
}
