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
	same func(a, b *fhir.Value) bool
}

var metaLists = []metaList{
	{"profile", func(a, b *fhir.Value) bool { return a.Str() == b.Str() }},
	{"tag", func(a, b *fhir.Value) bool {
		return a.Text("system") == b.Text("system") && a.Text("code") == b.Text("code")
	}},
}

// changeMeta adds profiles and tags to a resource, or takes them away (FHIR R4 Resource/$meta-add and $meta-delete). It is
// a change as every other: decided, recorded, a new version, so that who reads a tag can tell since when it is there. The
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
	written, err := v.server.Desk.Transact(v.ctx, v.exchange(), []exchange.Op{{
		Interaction: exchange.Patch, Type: i.typ, ID: i.id,
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

// changedMeta is a meta with what is given added to it, or taken away; nil where nothing is left.
func changedMeta(meta, given *fhir.Value, without bool) *fhir.Value {
	out := fhir.NewObject(meta.Members()...)
	for _, c := range metaLists {
		list := fhir.NewArray()
		listed := func(in []*fhir.Value, item *fhir.Value) bool {
			return slices.ContainsFunc(in, func(other *fhir.Value) bool { return c.same(item, other) })
		}
		for _, item := range meta.Get(c.name).Items() {
			if !without || !listed(given.Get(c.name).Items(), item) {
				list.Append(item)
			}
		}
		for _, item := range given.Get(c.name).Items() {
			if !without && !listed(list.Items(), item) {
				list.Append(item)
			}
		}
		out.Set(c.name, orNone(list))
	}
	return out
}
