package oracle

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// docRest is the part of a CapabilityStatement that the battery reads.
type docRest struct {
	Resource    []docType
	Interaction []struct{ Code string }
	Operation   []struct{ Name string }
	Compartment []string
}

type docType struct {
	Type              string
	Interaction       []struct{ Code string }
	ConditionalCreate bool
	ConditionalUpdate bool
	ConditionalDelete string
	SearchParam       []struct{ Name, Type string }
	Operation         []struct{ Name string }
}

// capability is what a server says that it serves.
type capability struct {
	software string
	known    bool // false: it says nothing
	system   []string
	types    map[string]*docType
}

// capabilities reads [base]/metadata. A server without one is probed all the same; nothing is "not supported" then.
func capabilities(ctx context.Context, p *party) (*capability, error) {
	c := &capability{types: map[string]*docType{}}
	a, err := p.do(ctx, request{method: http.MethodGet, path: "metadata"})
	if err != nil {
		return nil, fmt.Errorf("the server does not answer: %w", err)
	}
	d, err := a.doc()
	if err != nil || d.Type != "CapabilityStatement" {
		return c, nil
	}
	c.known, c.software = true, strings.TrimSpace(d.Software.Name+" "+d.Software.Version)
	for i := range d.Rest {
		for _, interaction := range d.Rest[i].Interaction {
			c.system = append(c.system, interaction.Code)
		}
		if len(d.Rest[i].Compartment) > 0 {
			c.system = append(c.system, "search-compartment")
		}
		for _, op := range d.Rest[i].Operation {
			c.system = append(c.system, "$"+strings.TrimPrefix(op.Name, "$"))
		}
		for j := range d.Rest[i].Resource {
			t := &d.Rest[i].Resource[j]
			c.types[t.Type] = t
		}
	}
	return c, nil
}

// serves says whether a type has a feature: an interaction's code, $operation, ?parameter, or a conditional write.
func (c *capability) serves(typ, feature string) bool {
	if feature == "" || !c.known {
		return true
	}
	if slices.Contains(c.system, feature) {
		return true
	}
	t := c.types[typ]
	if t == nil {
		return false
	}
	switch feature {
	case "conditional-create":
		return t.ConditionalCreate
	case "conditional-update", "conditional-patch":
		return t.ConditionalUpdate
	case "conditional-delete":
		return t.ConditionalDelete != "" && t.ConditionalDelete != "not-supported"
	}
	if name, ok := strings.CutPrefix(feature, "$"); ok {
		for _, op := range t.Operation {
			if strings.TrimPrefix(op.Name, "$") == name {
				return true
			}
		}
		return false
	}
	if name, ok := strings.CutPrefix(feature, "?"); ok {
		return slices.ContainsFunc(t.SearchParam, func(p struct{ Name, Type string }) bool { return p.Name == name })
	}
	return slices.ContainsFunc(t.Interaction, func(i struct{ Code string }) bool { return i.Code == feature })
}
