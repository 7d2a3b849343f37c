package rest

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"sotesilta/gateway/exchange"
	"sotesilta/internal/fhir"
	"sotesilta/internal/terms"
)

// everythings are the types that have $everything, with what it is and what its URL takes.
var everythings = map[string]struct {
	definition, documentation string
	asked                     map[string]string
}{
	"Patient": {
		"http://hl7.org/fhir/OperationDefinition/Patient-everything",
		"What the caller may see of the client: current versions, the oldest first, in pages (_count, _since, _type), or parts of them (_summary, _elements). start and end keep what has a date of care in that time, or tells no such date. By GET or POST.",
		gatheringTakes,
	},
	"CarePlan": {
		terms.Base + "OperationDefinition/CarePlan-everything",
		"The plan with the rows of its process and what it refers to, as far as the caller may see each, as $everything of a client: in pages, with the same parameters. By GET or POST.",
		gatheringTakes,
	},
}

// gatheringTakes are the parameters of $everything.
var gatheringTakes = map[string]string{
	"start": "valueDate", "end": "valueDate", "_count": "valueInteger", "_since": "valueInstant", "_type": "valueCode", "_summary": "valueCode", "_elements": "valueString",
}

// Own are the operations that the face answers by itself for types that are read, by GET and POST; they have no Handle.
func Own(types []Type) []Operation {
	var out []Operation
	for _, t := range types {
		if !slices.Contains(t.Interactions, exchange.Read) {
			continue
		}
		if all, has := everythings[t.Name]; has {
			out = append(out, Operation{Type: t.Name, Name: "everything", Instance: true, Definition: all.definition, Documentation: all.documentation, Asked: all.asked})
		}
		if bulk, has := exports[t.Name]; has {
			out = append(out, Operation{
				Type: t.Name, Name: export, Instance: bulk.instance, Definition: bulk.definition,
				Asked:         map[string]string{"_since": "valueInstant", "_type": "valueCode", "_outputFormat": "valueString"},
				Documentation: "Bulk export with Prefer: respond-async (_since, _type, _outputFormat; patient by POST): the files are decided and recorded page by page as they are downloaded.",
			})
		}
		out = append(out, Operation{
			Type: t.Name, Name: meta, Instance: true, Definition: "http://hl7.org/fhir/OperationDefinition/Resource-meta",
			Documentation: "The meta of an instance. By GET or POST.", Asked: map[string]string{},
		})
		if !slices.Contains(t.Interactions, exchange.Patch) {
			continue
		}
		for _, i := range []exchange.Interaction{metaAdd, metaDelete} {
			out = append(out, Operation{
				Type: t.Name, Name: string(i), Instance: true, Definition: "http://hl7.org/fhir/OperationDefinition/Resource-" + string(i),
				Documentation: "Adds or deletes profiles and tags of an instance (parameter meta), as a new version; labels of security are changed with the resource alone.",
			})
		}
	}
	return out
}

// everything answers $everything of a client or a plan, as a searchset (FHIR R4 Patient/$everything).
func (v *visit) everything(i *invocation) (answer, error) {
	query, err := i.params()
	if err != nil {
		return answer{}, err
	}
	typ, id := i.typ, i.id
	p, types, err := v.understandEverything(typ, id, query)
	if err != nil {
		return answer{}, err
	}
	caller := v.exchange()
	page, err := v.server.Desk.Everything(v.ctx, caller, typ, id, exchange.Gathering{
		Types: types, Since: moment(p.Since), Care: exchange.Span{From: moment(p.From), To: moment(p.To)}, Cursor: p.Cursor, Count: p.Count,
	})
	if err != nil {
		return answer{}, err
	}
	address := v.server.Base + "/" + typ + "/" + id + "/$everything?" + pageParam + "="
	links := []link{{"self", address + v.server.seal(caller, p)}}
	if page.Next != "" {
		p.Cursor = page.Next
		links = append(links, link{"next", address + v.server.seal(caller, p)})
	}
	return v.gathered(caller, page.Matches, p.subset, links...)
}

// understandEverything reads which page of $everything is asked for: what is its own beside what it shares with histories.
func (v *visit) understandEverything(typ, id string, query params) (p place, types []string, err error) {
	if _, other := query.value("_at"); other {
		return p, nil, refuse(http.StatusBadRequest, "not-supported", "http._at", "$everything has no parameter _at.")
	}
	var own params
	var care exchange.Span
	if _, later := query.value(pageParam); !later {
		if care, err = takeCare(&query); err != nil {
			return p, nil, err
		}
		if list, ok := query.takeList("_type"); ok {
			own = params{{Name: "_type", Value: list}}
		}
	}
	if p, err = v.understandHistory(typ, id, query); err != nil {
		return p, nil, err
	}
	asked, err := readParams(p.Params)
	if err != nil {
		return p, nil, err
	}
	if p.Cursor == "" && len(own) > 0 {
		asked = append(asked, own...)
		p.Params = asked.encode()
	}
	if !care.From.IsZero() {
		p.From = care.From.UnixMilli()
	}
	if !care.To.IsZero() {
		p.To = care.To.UnixMilli()
	}
	if list, _ := asked.value("_type"); list != "" {
		types = strings.Split(list, ",")
		for _, typ := range types {
			if v.server.types[typ] == nil {
				return p, nil, refuse(http.StatusBadRequest, "value", "http._type", "_type names resource types that are served here, separated by commas.")
			}
		}
	}
	return p, types, nil
}

// takeCare takes start and end, the days of care that are wanted, both inside (FHIR R4 Patient/$everything).
func takeCare(query *params) (care exchange.Span, err error) {
	for _, name := range []string{"start", "end"} {
		text, ok := query.take(name)
		if !ok {
			continue
		}
		from, to, ok := dateGiven(text)
		switch {
		case !ok:
			return care, noMoment(name)
		case name == "start":
			care.From = from
		default:
			care.To = to
		}
	}
	if !care.From.IsZero() && !care.To.IsZero() && !care.From.Before(care.To) {
		return care, refuse(http.StatusBadRequest, "value", "http.end", "end is before start.")
	}
	return care, nil
}

// gathered is a searchset of rows, of each the part that is wanted.
func (v *visit) gathered(caller exchange.Caller, rows []exchange.Resource, part wanted, links ...link) (answer, error) {
	b := newBundle(v.server.Base, "searchset", -1, sizeOf(rows), links...)
	for i := range rows {
		row, err := part.of(&rows[i])
		if err != nil {
			return answer{}, err
		}
		b.found(row, "match")
	}
	return answer{status: http.StatusOK, body: b.done(), origin: originOf(caller.RequestID, rows)}, nil
}

// inputs are the parameters of an operation as Parameters say them, beside those of the address.
func inputs(in *fhir.Value, query params) (params, error) {
	if fhir.ResourceType(in) != "Parameters" {
		return nil, refuse(http.StatusBadRequest, "structure", "Parameters", "The operation takes Parameters.")
	}
	if err := sound(in); err != nil {
		return nil, err
	}
	for i, p := range in.Get("parameter").Items() {
		value := ""
		for _, m := range p.Members() {
			if strings.HasPrefix(m.Name, "value") {
				value = m.Value.Str()
			}
		}
		if value == "" {
			return nil, refuse(http.StatusBadRequest, "invalid", "Parameters.parameter["+strconv.Itoa(i)+"]", "The parameter has no simple value.")
		}
		query = append(query, params{{Name: p.Text("name"), Value: value}}...)
	}
	return query, nil
}
