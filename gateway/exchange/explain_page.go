package exchange

import (
	"encoding/base64"
	"slices"
	"strconv"
	"strings"

	"sotesilta/consent"
	"sotesilta/gateway/store"
)

// Narrowing says which classes of an exchange are explained. What is empty does not narrow.
type Narrowing struct {
	Type        string           // FHIR resource type
	Register    consent.Register // a joint document is of both
	Controller  string           // Organization/…
	ServiceTask string
	DataClass   string
	Client      string // Patient id that the class names
	After       string // Explanation.Next of the page before
}

func (n *Narrowing) holds(class *consent.Class) bool {
	return (n.Type == "" || n.Type == class.Type) &&
		(n.Register == "" || class.In(n.Register)) &&
		(n.Controller == "" || n.Controller == class.Controller) &&
		(n.ServiceTask == "" || n.ServiceTask == class.ServiceTask) &&
		(n.DataClass == "" || n.DataClass == class.DataClass) &&
		(n.Client == "" || slices.Contains(class.Clients, n.Client))
}

// explainable is one class of an exchange as the law was asked about it, and the rows of it that moved.
type explainable struct {
	req   consent.Request
	class consent.Class
	facts map[string]*consent.Facts
	rows  []store.Row
}

// maxExplained bounds the classes of one page of an explanation: a class weighs every policy and every directive.
const maxExplained = 50

// tell explains a page of the classes that are asked for. All classes are decided, so that what the exchange came to is
// told alike on every page.
func (x *Explanation) tell(law explainer, cases []explainable, of Narrowing) error {
	decided := make([]ExplainedPart, len(cases))
	var wanted []int
	for i := range cases {
		c := &cases[i]
		made := law.Decide(c.req, c.class, ofClass(c.class, c.facts))
		decided[i] = ExplainedPart{Action: c.req.Action, Class: c.class, Result: made, Outcome: made.Outcome.String()}
		decided[i].narrow(c.rows)
		if of.holds(&c.class) {
			wanted = append(wanted, i)
		}
	}
	x.Total = len(wanted)
	begin, err := x.place(cases, wanted, of.After)
	if err != nil {
		return err
	}
	explain := func(i int) *ExplainedPart {
		if decided[i].Clients == nil {
			decided[i].Clients = part(law, cases[i].req, cases[i].class, cases[i].facts).Clients
		}
		return &decided[i]
	}
	page := wanted[begin:]
	if len(page) > maxExplained {
		page = page[:maxExplained]
		x.Next = x.cursor(cases, page[maxExplained-1])
	}
	for _, i := range page {
		x.Parts = append(x.Parts, *explain(i))
	}
	x.conclude(decided, explain)
	return nil
}

// cursor names the last class of a page: by its number, as a record's classes stay, or by its key where the labels are those
// of now and others may come between.
func (x *Explanation) cursor(cases []explainable, last int) string {
	if x.Labels == "" {
		return strconv.Itoa(last)
	}
	return base64.RawURLEncoding.EncodeToString([]byte(cases[last].class.Key()))
}

// place is where among the wanted classes a page begins.
func (x *Explanation) place(cases []explainable, wanted []int, after string) (int, error) {
	if after == "" {
		return 0, nil
	}
	wrong := Refuse(Invalid, "value", "", "after is the next of the page before.")
	var passed func(i int) bool
	if x.Labels == "" {
		last, err := strconv.Atoi(after)
		if err != nil || last < 0 {
			return 0, wrong
		}
		passed = func(i int) bool { return i <= last }
	} else {
		key, err := base64.RawURLEncoding.DecodeString(after)
		if err != nil {
			return 0, wrong
		}
		passed = func(i int) bool { return strings.Compare(cases[i].class.Key(), string(key)) <= 0 }
	}
	if begin := slices.IndexFunc(wanted, func(i int) bool { return !passed(i) }); begin >= 0 {
		return begin, nil
	}
	return len(wanted), nil
}

// conclude is the whole of the parts, and its plain words: those of the first part that stops it. A search is stopped by
// no part: it answers with what is permitted, so the words are those of the first part that is. explain explains a part.
func (x *Explanation) conclude(parts []ExplainedPart, explain func(i int) *ExplainedPart) {
	permits := func(p ExplainedPart) bool { return p.Result.Outcome == consent.Permitted }
	if x.Labels != "" {
		if i := slices.IndexFunc(parts, permits); i >= 0 {
			x.Permitted, x.Plain = true, explain(i).Clients[0].Plain()
			return
		}
	}
	x.Permitted = len(parts) > 0 && !slices.ContainsFunc(parts, func(p ExplainedPart) bool { return !permits(p) || len(p.Rows) > 0 })
	if x.Permitted {
		x.Plain = explain(0).Clients[0].Plain()
		return
	}
	x.Plain = map[string]string{
		"fi": "Tietoa ei anneta: se jää luvan ulkopuolelle tai on kielletty erikseen.",
		"en": "The data are not given: they lie outside the permit, or are banned by themselves.",
	}
	for i := range parts {
		if permits(parts[i]) {
			continue
		}
		for _, client := range explain(i).Clients {
			if client.Outcome != consent.Permitted.String() {
				x.Plain = client.Plain()
				return
			}
		}
	}
}
