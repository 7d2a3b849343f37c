package scenario

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"sotesilta/consent"
)

// verbs are the actions in plain words.
var verbs = map[consent.Action]string{
	consent.Read: "reads", consent.Record: "records", consent.Change: "changes", consent.Identify: "identifies the client by",
	consent.Invite: "invites", consent.Direct: "records the client's", consent.Audit: "reads", consent.Notify: "is told of",
	consent.Ask: "asks for a decision by", consent.Disclose: "discloses", consent.Correct: "mends",
}

// given tells what is so before anybody asks.
func given(g *Given) string {
	parts := []string{known("the client", &g.Client)}
	if g.Second != nil {
		parts = append(parts, known("a second client", g.Second))
	}
	for _, name := range slices.Sorted(maps.Keys(g.Switches)) {
		parts = append(parts, "the county answers "+name+": "+g.Switches[name])
	}
	return strings.Join(parts, "; ")
}

func known(whom string, k *Known) string {
	if k.Unknown {
		return "nothing is known of " + whom
	}
	var parts []string
	if k.Born != "" {
		parts = append(parts, "born "+k.Born)
	}
	if k.Deceased {
		parts = append(parts, "dead")
	}
	if k.Turvakielto {
		parts = append(parts, "under turvakielto")
	}
	if k.GuardianDenied {
		parts = append(parts, "denies giving patient data to the guardian")
	}
	if k.Dependent {
		parts = append(parts, "assessed not to be capable of deciding")
	}
	for _, r := range k.Relationships {
		text := ""
		switch {
		case r.Care != "":
			text = "in the care of " + r.Care
		case r.Registered != "":
			text = "registered by " + r.Registered
		case r.Participant != "":
			text = r.Participant + " takes part in " + or(r.Process, "a process")
		case r.Invited != "":
			text = r.Invited + " is invited into " + or(r.Process, "a process")
		case r.Received != "":
			text = r.Received + " was disclosed something by " + or(r.Process, "an act")
		}
		if r.Service != "" {
			text += ", service " + r.Service + " at " + r.Location
		}
		if r.Basis != "" {
			text += " on " + r.Basis
		}
		parts = append(parts, text+span(", ", Span{r.From, r.To}))
	}
	for i := range k.Directives {
		parts = append(parts, directive(&k.Directives[i]))
	}
	if len(parts) == 0 {
		return whom + " without relationships or directives"
	}
	return whom + ": " + strings.Join(parts, "; ")
}

func directive(d *Directive) string {
	text := ""
	switch {
	case d.Permit != "":
		text = "permit, " + d.Permit
	case d.Consent != "":
		text = "consent of " + d.Consent
	case d.Denial:
		text = "the minor's denial of social care data to the guardian"
	default:
		text = "ban of " + strings.TrimPrefix(d.Ban, "a ")
	}
	var detail []string
	for _, list := range [][]string{d.Data, d.ServiceTasks, d.Events, d.Documents} {
		detail = append(detail, list...)
	}
	if d.Controller != "" {
		detail = append(detail, string(d.Register)+" of "+d.Controller)
	}
	if to := slices.Concat(d.To, d.Named); len(to) > 0 {
		detail = append(detail, "for "+strings.Join(to, ", "))
	}
	if r := span("recorded ", d.Recorded); r != "" {
		detail = append(detail, r)
	}
	if v := span("in force ", d.Valid); v != "" {
		detail = append(detail, v)
	}
	if len(detail) > 0 {
		text += " (" + strings.Join(detail, ", ") + ")"
	}
	if d.GivenBy != "" {
		text += " given by the " + string(d.GivenBy)
	}
	if d.Withdrawn {
		text = "withdrawn " + text
	}
	return text
}

func span(before string, s Span) string {
	switch {
	case s == Span{}:
		return ""
	case s.From == "":
		return before + "until " + s.To
	case s.To == "":
		return before + "from " + s.From
	}
	return before + s.From + "–" + s.To
}

// when tells who does what.
func (s *Suite) when(one *Scenario) string {
	w := &one.When
	d := &w.Data
	var b strings.Builder
	p := s.cast.People[w.Who]
	b.WriteString(w.Who)
	switch {
	case p.Task != "" && p.Service != "":
		fmt.Fprintf(&b, " (task %s, service %s)", p.Task, p.Service)
	case p.Task != "":
		fmt.Fprintf(&b, " (task %s)", p.Task)
	}
	b.WriteString(" " + or(verbs[w.Does], string(w.Does)) + " ")
	to := ""
	switch {
	case w.Recipient != "":
		to = " to: " + w.Recipient
	case w.Invites != "" && w.Does == consent.Invite:
		b.WriteString("the " + w.Invites + " by ")
	case w.Invites != "":
		to = " to: the " + w.Invites
	}
	if d.Joint {
		b.WriteString("joint ")
	}
	b.WriteString(d.Type)
	var label []string
	if d.Register != "" {
		label = append(label, string(d.Register))
	}
	for _, text := range []string{d.ServiceTask, d.DataClass, d.Protection, d.ServiceEvent} {
		if text != "" {
			label = append(label, text)
		}
	}
	if d.Process != "" {
		label = append(label, "of "+d.Process)
	}
	if d.Act != "" {
		label = append(label, "of a human's act")
	}
	if d.Controller != "" {
		label = append(label, "of "+d.Controller)
	}
	if d.Unit != "" {
		label = append(label, "by "+d.Unit)
	} else if d.Author != "" {
		label = append(label, "by "+d.Author)
	}
	if len(label) > 0 {
		b.WriteString(" [" + strings.Join(label, ", ") + "]")
	}
	b.WriteString(to)
	if w.Purpose != "" && w.Purpose != consent.Care {
		b.WriteString(", purpose " + string(w.Purpose))
	}
	if w.At != "" {
		b.WriteString(", at " + w.At)
	}
	b.WriteString(asserts(w))
	return b.String()
}

func asserts(w *When) string {
	a := &w.Assertion
	var parts []string
	if a.Ground != "" {
		parts = append(parts, "ground "+a.Ground)
	}
	if a.Task != "" {
		parts = append(parts, "task “"+a.Task+"”")
	}
	for _, name := range slices.Sorted(maps.Keys(a.Facts)) {
		parts = append(parts, name+" “"+a.Facts[name]+"”")
	}
	if a.Reason != "" {
		parts = append(parts, "reason “"+a.Reason+"”")
	}
	if a.Confirm {
		parts = append(parts, "confirmed")
	}
	if len(parts) == 0 {
		return ""
	}
	return ", asserting " + strings.Join(parts, ", ")
}

// then tells what must follow.
func then(t *Then) string {
	parts := []string{t.Outcome}
	if len(t.Bases) > 0 {
		parts[0] += " on " + strings.Join(t.Bases, ", ")
	}
	if t.Disclosure != nil && t.Outcome == "permit" {
		parts = append(parts, map[bool]string{true: "a disclosure", false: "a use, no disclosure"}[*t.Disclosure])
	}
	for _, p := range t.Recorded {
		parts = append(parts, span("only recorded ", p))
	}
	if len(t.Exclude) > 0 {
		parts = append(parts, "without "+strings.Join(t.Exclude, ", "))
	}
	if t.Redacted != nil {
		parts = append(parts, map[bool]string{true: "without whereabouts", false: "with whereabouts"}[*t.Redacted])
	}
	if t.Demand != "" {
		parts = append(parts, "the person is told “"+t.Demand+"”")
	}
	if t.Reason != "" {
		parts = append(parts, "because “"+t.Reason+"”")
	}
	return strings.Join(parts, ", ")
}

func or(s, otherwise string) string {
	if s != "" {
		return s
	}
	return otherwise
}
