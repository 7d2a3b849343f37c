package rest

import (
	"net/http"
	"slices"

	"sotesilta/gateway/exchange"
	"sotesilta/internal/fhir"
)

// The operations that change what a resource's meta says of it; to the Desk they are patches.
const (
	metaAdd    exchange.Interaction = "meta-add"
	metaDelete exchange.Interaction = "meta-delete"
)

// metaList is a list of meta that clients may add to and take from, with what tells its items apart.
type metaList struct {
	name string
	key  func(*fhir.Value) [2]string
}

var metaLists = []metaList{
	{"profile", func(v *fhir.Value) [2]string { return [2]string{v.Str()} }},
	{"tag", func(v *fhir.Value) [2]string { return [2]string{v.Text("system"), v.Text("code")} }},
}

// changeMeta adds profiles and tags to a resource, or takes them away (FHIR R4 Resource/$meta-add and $meta-delete). It is
// a change as every other: decided, recorded, a new version where something changes, so that who reads a tag can tell since when it is there. The
// labels of meta.security say whose data it is and how it is protected: they are changed with the resource alone.
func (v *visit) changeMeta(i *invocation) (answer, error) {
	if err := v.none(i.query); err != nil {
		return answer{}, err
	}
	in, err := i.input()
	if err != nil {
		return answer{}, err
	}
	given, err := metaIn(in)
	if err != nil {
		return answer{}, err
	}
	version, err := i.ifMatch()
	if err != nil {
		return answer{}, err
	}
	written, err := v.server.Desk.Transact(v.ctx, v.exchange(), []exchange.Op{{
		Interaction: exchange.Patch, Type: i.typ, ID: i.id, IfMatch: version,
		Patch: func(current *fhir.Value) (*fhir.Value, error) {
			out := current.Clone()
			out.Set("meta", changedMeta(current.Get("meta"), given, i.interaction == metaDelete))
			return out, nil
		},
	}})
	if err != nil {
		return answer{}, err
	}
	return metaOf(written[0].Body)
}

// metaIn is the meta of the Parameters of such an operation.
func metaIn(in *fhir.Value) (*fhir.Value, error) {
	if fhir.ResourceType(in) != "Parameters" {
		return nil, refuse(http.StatusBadRequest, "structure", "Parameters", "The operation takes Parameters with the parameter meta.")
	}
	if err := sound(in); err != nil {
		return nil, err
	}
	items := in.Get("parameter").Items()
	if len(items) != 1 || items[0].Text("name") != "meta" || items[0].Get("valueMeta") == nil {
		return nil, refuse(http.StatusBadRequest, "required", "Parameters.parameter", "The operation takes one parameter, meta, with a valueMeta.")
	}
	for _, m := range items[0].Get("valueMeta").Members() {
		if !slices.ContainsFunc(metaLists, func(l metaList) bool { return l.name == m.Name }) {
			return nil, refuse(http.StatusBadRequest, "not-supported", "Parameters.parameter[0].value."+m.Name,
				"Profiles and tags are added and deleted in this way; labels of security are changed with the resource itself, all else is the gateway's.")
		}
	}
	return items[0].Get("valueMeta"), nil
}

// changedMeta is a meta with what is given added to it, or taken away; nil where nothing is left. A body holds many items:
// each is looked up, not looked for.
func changedMeta(meta, given *fhir.Value, without bool) *fhir.Value {
	out := fhir.NewObject(meta.Members()...)
	for _, c := range metaLists {
		list, sent := fhir.NewArray(), given.Get(c.name).Items()
		listed := make(map[[2]string]bool, len(sent))
		if without {
			for _, item := range sent {
				listed[c.key(item)] = true
			}
		}
		for _, item := range meta.Get(c.name).Items() {
			if without && listed[c.key(item)] {
				continue
			}
			list.Append(item)
			if !without {
				listed[c.key(item)] = true
			}
		}
		for _, item := range sent {
			if key := c.key(item); !without && !listed[key] {
				listed[key] = true
				list.Append(item)
			}
		}
		out.Set(c.name, orNone(list))
	}
	return out
}
