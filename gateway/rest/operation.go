package rest

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strconv"

	"sotesilta/gateway/exchange"
	"sotesilta/internal/fhir"
)

// invocation is an operation that is asked, in a request of its own or by an entry of a Bundle.
type invocation struct {
	target
	interaction exchange.Interaction // its kind, one of operations
	post        bool                 // by POST; otherwise its parameters are those of the URL
	query       params
	input       func() (*fhir.Value, error) // what was sent with POST, read when it is asked for; nil where nothing was
	ifMatch     func() (int64, error)       // the version that a change is made of; 0: none was named
}

// operations is what answers each kind of operation, alone or in a Bundle.
var operations = map[exchange.Interaction]func(*visit, *invocation) (answer, error){
	operation:           (*visit).invoke,
	exchange.Everything: (*visit).everything,
	readMeta:            (*visit).meta,
	metaAdd:             (*visit).changeMeta,
	metaDelete:          (*visit).changeMeta,
}

// reads says whether an operation is declared to change nothing.
func (in *invocation) reads() bool {
	switch in.interaction {
	case exchange.Everything, readMeta:
		return true
	}
	return in.operation != nil && (in.operation.Asked != nil || in.operation.Reads)
}

// ask carries out the operation that the request is for; HEAD as GET.
func (v *visit) ask(query params) (answer, error) {
	read := v.r.ContentLength == 0
	a, err := operations[v.interaction](v, &invocation{
		target: v.target, interaction: v.interaction, post: v.r.Method == http.MethodPost, query: query, ifMatch: v.ifMatch,
		input: func() (*fhir.Value, error) {
			if read {
				return nil, nil
			}
			read = true
			return v.document(v.server.Limits.Body)
		},
	})
	if err != nil && !read {
		v.unread = true
	}
	return a, err
}

// params are the parameters of an invocation whose parameters are all simple, wherever they stand. They are the caller's to
// take from: a transaction carries an invocation out twice.
func (in *invocation) params() (params, error) {
	query := slices.Clone(in.query)
	if !in.post {
		return query, nil
	}
	sent, err := in.input()
	if err != nil || sent == nil {
		return query, err
	}
	return inputs(sent, query)
}

// invoke invokes an operation (FHIR R4 § 3.2.1). Its input is a resource in the body, Parameters as a rule, or nothing at
// all; parameters in the URL are not taken, because they may name a person, but with GET of an operation that asks of none.
func (v *visit) invoke(i *invocation) (answer, error) {
	op, query := i.operation, i.query
	var in *fhir.Value
	if !i.post {
		var err error
		if in, query, err = asked(op.Asked, query); err != nil {
			return answer{}, err
		}
	}
	var beside *fhir.Value
	if i.post && op.Beside != nil {
		var err error
		if beside, query, err = asked(op.Beside, query); err != nil {
			return answer{}, err
		}
	}
	if err := v.none(query); err != nil {
		return answer{}, err
	}
	if i.post {
		var err error
		if in, err = i.input(); err != nil {
			var syntax *fhir.SyntaxError
			if op.Unread && errors.As(err, &syntax) && syntax.Formal() { // as of JSON, whose form is looked at later
				return answer{status: http.StatusOK, resource: &exchange.Resource{
					Type: "OperationOutcome", Body: appendOutcome(nil, syntax.Issues()...),
				}}, nil
			}
			return answer{}, err
		}
	}
	if list := beside.Get("parameter"); len(list.Items()) > 0 {
		if fhir.ResourceType(in) == "Parameters" {
			return answer{}, refuse(http.StatusBadRequest, "invalid", "Parameters", "Parameters stand in the body or in the URL, not in both.")
		}
		if in != nil {
			list.Append(object("name", "resource", "resource", in))
		}
		in = beside
	}
	if in != nil && !op.Unread {
		if err := sound(in); err != nil {
			return answer{}, err
		}
	}
	resource, err := op.Handle(v.ctx, v.exchange(), i.id, in)
	if err != nil {
		return answer{}, err
	}
	if resource == nil {
		return answer{status: http.StatusNoContent}, nil
	}
	return answer{status: http.StatusOK, resource: resource}, nil
}

// valued says of the members of Parameters that have a form of their own in URLs what they are.
var valued = map[string]string{"valueInteger": "a whole number", "valueBoolean": "true or false"}

// asked is the Parameters that an operation takes from the URL, each as the member named, and what else stands there.
func asked(takes map[string]string, query params) (in *fhir.Value, rest params, err error) {
	list := fhir.NewArray()
	for _, p := range query {
		member := takes[p.Name]
		value := fhir.NewString(p.Value)
		switch _, err := strconv.ParseInt(p.Value, 10, 32); {
		case member == "":
			rest = append(rest, p)
			continue
		case p.Value == "" || member == "valueInteger" && err != nil || member == "valueBoolean" && p.Value != "true" && p.Value != "false":
			return nil, nil, refuse(http.StatusBadRequest, "value", "http."+p.Name, "The parameter "+p.Name+" is "+cmp.Or(valued[member], "not empty")+".")
		case member == "valueInteger":
			value = fhir.NewNumber(p.Value)
		case member == "valueBoolean":
			value = fhir.NewBool(p.Value == "true")
		}
		list.Append(object("name", p.Name, member, value))
	}
	return object("resourceType", "Parameters", "parameter", orNone(list)), rest, nil
}
