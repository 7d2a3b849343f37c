package rest

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"sotesilta/gateway/exchange"
	"sotesilta/internal/fhir"
)

// batch carries out each entry for itself (FHIR R4 § 3.1.0.11.1): one that fails is answered with its own status and
// outcome, just as if it had been sent alone, and the others go on. Faulty are the entries whose resource was not read.
func (v *visit) batch(items []*fhir.Value, faulty map[int]error) (answer, error) {
	entries := make([]entry, len(items))
	answers := make([]answer, len(items))
	for i, item := range items {
		var err error
		if entries[i], err = v.entry(item); faulty[i] != nil {
			err = faulty[i]
		}
		if err != nil {
			answers[i] = v.refusedAnswer(err)
		}
	}
	order, whole := processingOrder(entries), v.ctx
	defer func() { v.ctx = whole }()
	for done, i := range order {
		if answers[i].status != 0 {
			continue
		}
		v.ctx = exchange.Among(whole, len(order)-done)
		a, err := v.perform(entries[i])
		if err != nil {
			a = v.refusedAnswer(err)
		}
		answers[i] = v.kept(a)
	}
	return v.responses("batch-response", entries, answers), nil
}

// faultyEntries is a batch in XML of which some entries hold a resource that has not the form of its type, and what is
// wrong with the form of each, at places within the resource: the other entries are carried out, as those of a batch in
// JSON are, of which no more than the JSON is read before. Nil where something else is wrong.
func faultyEntries(err error) (*fhir.Value, map[int]error) {
	var syntax *fhir.SyntaxError
	if !errors.As(err, &syntax) {
		return nil, nil
	}
	doc, faults := syntax.Read()
	if fhir.ResourceType(doc) != "Bundle" || doc.Text("type") != "batch" {
		return nil, nil
	}
	items, issues := doc.Get("entry").Items(), map[int][]fhir.Issue{}
	for _, fault := range faults {
		within, ok := strings.CutPrefix(fault.Expression, "Bundle.entry[")
		index, place, closed := strings.Cut(within, "].resource")
		i, err := strconv.Atoi(index)
		if !ok || !closed || err != nil || i >= len(items) || place != "" && place[0] != '.' {
			return nil, nil
		}
		fault.Expression = strings.TrimPrefix(fhir.ResourceType(items[i].Get("resource"))+place, ".")
		issues[i] = append(issues[i], fault)
	}
	refusals := make(map[int]error, len(issues))
	for i, all := range issues {
		refusals[i] = &refusal{status: http.StatusBadRequest, issues: all[:min(len(all), maxTold)]}
	}
	return doc, refusals
}

// maxTold bounds what is told of one entry.
const maxTold = 50

// perform carries out one entry of a batch.
func (v *visit) perform(e entry) (answer, error) {
	switch {
	case !e.writes():
		return v.get(e)
	case e.op.Interaction == exchange.Delete:
		return v.delete(e.op)
	default:
		return v.change(e.op)
	}
}

// kept is an answer of a batch until all are there: of what was written the resource is kept only where it is sent back,
// which is a preference that the room for answers limits.
func (v *visit) kept(a answer) answer {
	if !a.written || a.resource == nil {
		return a
	}
	if v.wants.returns == returnRepresentation && v.answered < v.server.Limits.Answer {
		v.answered += len(a.resource.Body)
		return a
	}
	resource := *a.resource
	resource.Body = nil
	a.resource = &resource
	return a
}

// refusedAnswer is a refusal as the answer to one entry.
func (v *visit) refusedAnswer(err error) answer {
	r := refused(err)
	v.logCause(r)
	return answer{status: r.status, body: appendOutcome(nil, r.issues...)}
}
