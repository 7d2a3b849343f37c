package openapi

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"slices"
	"strings"

	"sotesilta/gateway/rest"
	"sotesilta/internal/fhir"
)

//go:embed docs.html
var page string

var docs = template.Must(template.New("docs").Parse(page))

// readable is the page for people: the same statement, to be read from top to bottom. It is whole in itself and loads
// nothing from anywhere.
func readable(statement *fhir.Value, base string, operations []rest.Operation) ([]byte, error) {
	type param struct{ Name, Type, Text string }
	type op struct{ Method, Address, Text, Definition string }
	type resource struct {
		Type, Text   string
		Interactions string
		Params       []param
		Includes     string
		Operations   []op
	}
	root, _ := split(base)
	server := statement.First("rest")
	data := struct {
		Title, Version, Description, Rules, Security, Base, Root string
		Formats, System                                          string
		Resources                                                []resource
	}{
		Title: statement.Text("title"), Version: statement.Text("version"), Description: statement.Text("description"),
		Rules: server.Text("documentation"), Security: server.Text("security", "description"), Base: base, Root: root,
		Formats: strings.Join(texts(statement.All("format")), ", "), System: strings.Join(texts(server.All("interaction", "code")), ", "),
	}
	for _, r := range server.All("resource") {
		row := resource{
			Type: r.Text("type"), Text: r.Text("documentation"), Interactions: strings.Join(texts(r.All("interaction", "code")), ", "),
			Includes: strings.Join(slices.Concat(texts(r.All("searchInclude")), texts(r.All("searchRevInclude"))), ", "),
		}
		for _, p := range r.All("searchParam") {
			row.Params = append(row.Params, param{p.Text("name"), p.Text("type"), p.Text("documentation")})
		}
		for _, o := range operations {
			if o.Type == row.Type {
				address := base + "/" + o.Type + "/$" + o.Name
				if o.Instance {
					address = base + "/" + o.Type + "/{id}/$" + o.Name
				}
				method := "POST"
				if o.Asked != nil {
					method = "GET, POST"
				}
				row.Operations = append(row.Operations, op{method, address, o.Documentation, o.Definition})
			}
		}
		data.Resources = append(data.Resources, row)
	}
	var out bytes.Buffer
	if err := docs.Execute(&out, data); err != nil {
		return nil, fmt.Errorf("openapi: docs.html: %w", err)
	}
	return out.Bytes(), nil
}

// Documents are both, as the face serves them.
func Documents(statement *fhir.Value, base string, operations []rest.Operation, beside []rest.Route) ([]rest.Document, error) {
	document, err := specification(statement, base, operations, beside)
	if err != nil {
		return nil, err
	}
	page, err := readable(statement, base, operations)
	if err != nil {
		return nil, err
	}
	return []rest.Document{
		{Path: "/openapi.json", ContentType: "application/json", Text: document},
		{Path: "/docs", ContentType: "text/html; charset=utf-8", Text: page},
	}, nil
}
