package consent

import (
	"regexp"
	"slices"
	"strings"
)

// unmet says, for the ledger, on what each row that speaks of the case failed.
func (e *Engine) unmet(r *ruling, w *weighing, req *Request) string {
	if len(e.law.slice(req.Actor.Kind, req.Action, req.Purpose).permits) == 0 {
		return "no row speaks of " + string(req.Action) + " by " + string(req.Actor.Kind) + " for the purpose " + string(req.Purpose)
	}
	if len(r.failed) == 0 {
		return "no row speaks of this case: " + string(w.class.Register) + " data of " + nonempty(w.class.Controller, "no controller") +
			" to " + nonempty(string(req.Actor.Register), string(req.Actor.Kind)) + " of " + nonempty(req.Actor.Controller, "no controller")
	}
	var b strings.Builder
	b.Grow(256)
	if w.facts == nil && len(w.class.Clients) > 0 {
		b.WriteString("nothing is known of the client; ")
	}
	for i, f := range r.failed {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(f.policy.basis.ID)
		b.WriteString(": ")
		e.tell(&b, f.clause, w, req)
	}
	return b.String()
}

// tell says what a clause that failed was about.
func (e *Engine) tell(b *strings.Builder, c *clause, w *weighing, req *Request) {
	switch c.about {
	case "related":
		b.WriteString("no relationship of ")
		b.WriteString(nonempty(req.Actor.Unit, req.Actor.App))
	case "participant":
		b.WriteString("no care by ")
		b.WriteString(nonempty(req.Actor.Unit, req.Actor.App))
		b.WriteString(" and no part in ")
		b.WriteString(nonempty(w.class.Process, "a process"))
	case "permits":
		switch {
		case w.unfit > 0:
			b.WriteString("permit ")
			b.WriteString(directiveVersion(&w.facts.Directives[w.unfit-1]))
			b.WriteString(" does not cover these data or this recipient")
		case w.gone > 0:
			b.WriteString("permit ")
			gone := &w.facts.Directives[w.gone-1]
			b.WriteString(directiveVersion(gone))
			b.WriteString(" is not in force: ")
			b.WriteString(w.notInForce(gone))
		default:
			b.WriteString("no permit")
		}
	case "assents":
		b.WriteString("no consent of the client in force")
	case "localPermits":
		b.WriteString("permits kept locally do not count (O11)")
	case "answers":
		b.WriteString("the county's answer to an open question stops it: ")
		b.WriteString(c.text)
	case "jointService":
		b.WriteString("no part in a joint service on the signed list")
	case "task":
		b.WriteString("task ")
		b.WriteString(nonempty(req.Actor.Task, "missing"))
		switch tasks := c.tasks(); {
		case req.Actor.Task == "" || len(tasks) == 0:
		case slices.Contains(tasks, req.Actor.Task):
			b.WriteString(" in the service ")
			b.WriteString(nonempty(req.Actor.Service, "missing"))
		default:
			b.WriteString(" is none of ")
			b.WriteString(strings.Join(tasks, ", "))
		}
	case "ground":
		b.WriteString("neither the ground nor a statutory task is asserted")
	case "reasoned":
		b.WriteString("no reason is told (")
		b.WriteString(e.acts.reason.String())
		b.WriteString(")")
	case "deceased":
		b.WriteString("the client is not dead by population data")
	case "authority":
		b.WriteString("not a social authority")
	case "facts":
		b.WriteString("of the facts ")
		b.WriteString(strings.Join(c.words, ", "))
		if strings.Contains(c.text, "containsAny") {
			b.WriteString(" none is told")
		} else {
			b.WriteString(" not all are told")
		}
	case "limb":
		b.WriteString("the limb named is none of ")
		b.WriteString(strings.Join(c.words, ", "))
	case "recipientKind":
		b.WriteString("the recipient is none of ")
		b.WriteString(strings.Join(c.words, ", "))
	default:
		if words := said[c.text]; words != "" {
			b.WriteString(words)
			return
		}
		b.WriteString("not ")
		b.WriteString(c.text)
	}
}

// namedTask is a task of decree 457/2024 §§ 3, 10 and 20, as clauses name it.
var namedTask = regexp.MustCompile(`^(3|10|20)\.[0-9.]+$`)

// tasks are the tasks that a clause names.
func (c *clause) tasks() []string {
	return slices.DeleteFunc(slices.Clone(c.words), func(word string) bool { return !namedTask.MatchString(word) })
}

// said is what it means that a condition of one attribute does not hold, for people who do not read policies.
var said = map[string]string{
	"when { !context.clientless }":                         "the data are about nobody",
	"when { context.mine }":                                "the data are not the asker's own",
	"when { context.dependent }":                           "the client is no minor who was assessed not to be capable of deciding",
	"when { context.minor }":                               "the client is no minor",
	"when { !context.minor }":                              "the client is a minor",
	"when { context.guest }":                               "no invitation of the asker concerns the client",
	"when { context.authored }":                            "another API client wrote it",
	"when { context.recordedHere }":                        "the asker's unit did not record it",
	"when { context.recordedHere && !context.clientless }": "the asker's unit did not record it",
	"when { context.sameController }":                      "the data are of another controller",
	"when { !context.inviteeSameController }":              "the invited one is of the same controller",
	"when { !context.socialDenied }":                       "the minor denies giving it to the guardian",
}

// stopped says, for the ledger, what stopped the rows that would have permitted.
func (e *Engine) stopped(permits, forbids []*policy, w *weighing, req *Request, outcome Outcome) string {
	var b strings.Builder
	b.WriteString(permits[0].basis.ID)
	for _, p := range permits[1:] {
		if !strings.Contains(b.String(), p.basis.ID) {
			b.WriteString(", ")
			b.WriteString(p.basis.ID)
		}
	}
	if len(forbids) == 0 {
		b.WriteString(": a human decides")
		return b.String()
	}
	b.WriteString(" stopped by ")
	for i, f := range forbids {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(f.basis.ID)
		switch {
		case f.ban && w.banning > 0:
			b.WriteString(" (ban ")
			ban := &w.facts.Directives[w.banning-1]
			b.WriteString(directiveVersion(ban))
			if len(ban.ServiceEvents) > 0 && w.eventless() {
				b.WriteString(" of a service event; the data name none (O14)")
			}
			b.WriteString(")")
		case f.basis.ID == "ATL-26.2":
			b.WriteString(" (not confirmed)")
		case strings.HasPrefix(f.basis.ID, "STM457"):
			b.WriteString(" (task ")
			b.WriteString(nonempty(req.Actor.Task, "missing"))
			b.WriteString(")")
		}
	}
	if outcome == NeedsHuman {
		b.WriteString(": a human decides")
	}
	return b.String()
}

func nonempty(s, otherwise string) string {
	if s != "" {
		return s
	}
	return otherwise
}
