// Package openapi tells what the gateway's CapabilityStatement says in the words of people and tools that do not speak
// FHIR: an OpenAPI 3.1 document (/openapi.json) and a page for people (/docs). Both are made of the statement, so they
// cannot say anything else; only what lies beside the FHIR base (tokens, decisions, ledger, health) is written by hand,
// in beside.json.
package openapi

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"sotesilta/gateway/rest"
	"sotesilta/gateway/search"
	"sotesilta/internal/fhir"
)

//go:embed beside.json
var beside []byte

type (
	object = map[string]any
	list   = []any
)

// specification is the OpenAPI 3.1 document of a CapabilityStatement. base is the FHIR base, such as
// http://localhost:8080/fhir; what lies beside it is found at its root. The operations are those of the statement, which
// does not say whether they are of a type or of one resource. A route beside the base that is not described is an error.
func specification(statement *fhir.Value, base string, operations []rest.Operation, mounted []rest.Route) ([]byte, error) {
	root, path := split(base)
	var other struct {
		Paths map[string]any
		Tags  list
	}
	if err := json.Unmarshal(beside, &other); err != nil {
		return nil, fmt.Errorf("openapi: beside.json: %w", err)
	}
	for _, r := range mounted {
		if at, ok := other.Paths[inBraces(r.Path)].(object); !ok || at[strings.ToLower(r.Method)] == nil {
			return nil, fmt.Errorf("openapi: %s %s is served and beside.json does not describe it", r.Method, r.Path)
		}
	}
	server := statement.First("rest")
	formats := texts(statement.All("format"))
	d := document{path: path, formats: formats, paths: map[string]any{}}
	d.system(server)
	tags := list{object{"name": "system", "description": "Batches, transactions and what concerns all types."}}
	for _, resource := range server.All("resource") {
		typ := resource.Text("type")
		tags = append(tags, object{"name": typ, "description": resource.Text("documentation")})
		d.resource(typ, resource)
	}
	if served := texts(server.All("resource", "type")); len(server.All("compartment")) > 0 {
		for _, of := range search.Compartments() {
			if slices.Contains(served, of) {
				d.compartment(of, served)
			}
		}
	}
	for _, op := range operations {
		d.operation(op)
	}
	maps.Copy(d.paths, other.Paths)
	doc := object{
		"openapi": "3.1.0",
		"info": object{
			"title": statement.Text("title"), "version": statement.Text("version"), "summary": statement.Text("description"),
			"description": server.Text("documentation"),
			"license":     object{"name": "Apache 2.0", "identifier": "Apache-2.0"},
		},
		"servers":  list{object{"url": root}},
		"security": list{object{"token": list{}}},
		"tags":     append(tags, other.Tags...),
		"paths":    d.paths,
		"components": object{
			"securitySchemes": object{"token": object{
				"type": "oauth2", "description": server.Text("security", "description"),
				"flows": object{"clientCredentials": object{"tokenUrl": root + "/auth/token", "scopes": object{
					"system/*.cruds": "All interactions of all types that the client is registered for; narrower ones as in SMART App Launch 2.",
				}}},
			}},
			"parameters": parameters,
			"headers":    headers,
			"schemas":    schemas,
			"responses":  responses(formats),
		},
	}
	return json.Marshal(doc)
}

// split is a base as root and path.
func split(base string) (root, path string) {
	at := strings.Index(base, "://") + len("://")
	if slash := strings.IndexByte(base[at:], '/'); slash >= 0 {
		return base[:at+slash], strings.TrimRight(base[at+slash:], "/")
	}
	return base, ""
}

func texts(values []*fhir.Value) []string {
	var out []string
	for _, v := range values {
		for _, item := range append(v.Items(), v) {
			if item.Str() != "" {
				out = append(out, item.Str())
			}
		}
	}
	return out
}

// document collects the paths.
type document struct {
	path    string
	formats []string
	paths   map[string]any
}

// add registers an operation of a path below the base.
func (d *document) add(path, method, id, tag, summary string, more object, answers map[string]any) {
	at, ok := d.paths[d.path+path].(object)
	if !ok {
		at = object{}
		if names := placeholders(path); len(names) > 0 {
			var refs list
			for _, name := range names {
				refs = append(refs, ref("parameters", name))
			}
			at["parameters"] = refs
		}
		d.paths[d.path+path] = at
	}
	answers["default"] = ref("responses", "Refused")
	op := object{"operationId": id, "tags": list{tag}, "summary": summary, "responses": answers}
	maps.Copy(op, more)
	at[method] = op
}

// inBraces is a path of gin's with its parameters, :name and *name, as OpenAPI writes them.
func inBraces(path string) string {
	parts := strings.Split(path, "/")
	for i, part := range parts {
		if part != "" && (part[0] == ':' || part[0] == '*') {
			parts[i] = "{" + part[1:] + "}"
		}
	}
	return strings.Join(parts, "/")
}

// placeholders are the names in braces of a path.
func placeholders(path string) []string {
	var names []string
	for part := range strings.SplitSeq(path, "/") {
		if name, ok := strings.CutPrefix(part, "{"); ok {
			names = append(names, strings.TrimSuffix(name, "}"))
		}
	}
	return names
}

func ref(kind, name string) object { return object{"$ref": "#/components/" + kind + "/" + name} }

// content is a body of a schema in every format.
func (d *document) content(schema object, formats ...string) object {
	if formats == nil {
		formats = d.formats
	}
	out := object{}
	for _, format := range formats {
		if strings.Contains(format, "/") {
			out[format] = object{"schema": schema}
		}
	}
	return out
}

func (d *document) body(typ string, formats ...string) object {
	return object{"required": true, "description": typ + " (FHIR R4)", "content": d.content(ref("schemas", "Resource"), formats...)}
}

// described are the interactions of a type (FHIR R4, value set type-restful-interaction): where, how, and what comes.
var described = []struct {
	code, path, method, summary string
	body                        []string // formats of the body; empty, not nil: those of resources
	params                      []string
	answers                     []string
}{
	{"search-type", "/%s", "get", "Search", nil, nil, []string{"Bundle"}},
	{"create", "/%s", "post", "Create", []string{}, []string{"If-None-Exist", "Prefer"}, []string{"Created", "Unchanged"}},
	{"read", "/%s/{id}", "get", "Read", nil, []string{"If-None-Match", "If-Modified-Since"}, []string{"Resource"}},
	{"update", "/%s/{id}", "put", "Update", []string{}, []string{"If-Match", "Prefer"}, []string{"Resource"}},
	{"patch", "/%s/{id}", "patch", "Patch", []string{"application/json-patch+json", "application/fhir+json"}, []string{"If-Match", "Prefer"}, []string{"Resource"}},
	{"delete", "/%s/{id}", "delete", "Delete", nil, []string{"If-Match"}, []string{"Deleted"}},
	{"update", "/%s", "put", "Update what a search finds", []string{}, []string{"If-Match", "Prefer"}, []string{"Resource"}},
	{"patch", "/%s", "patch", "Patch what a search finds", []string{"application/json-patch+json", "application/fhir+json"}, []string{"If-Match", "Prefer"}, []string{"Resource"}},
	{"delete", "/%s", "delete", "Delete what a search finds", nil, []string{"If-Match"}, []string{"Deleted"}},
	{"vread", "/%s/{id}/_history/{vid}", "get", "Read a version", nil, nil, []string{"Resource"}},
	{"history-instance", "/%s/{id}/_history", "get", "History of one", nil, []string{"_since", "_at", "_count", "_summary", "_elements"}, []string{"Bundle"}},
	{"history-type", "/%s/_history", "get", "History of the type", nil, []string{"_since", "_at", "_count", "_summary", "_elements"}, []string{"Bundle"}},
}

// statuses are the HTTP statuses of our named responses.
var statuses = map[string]string{"Accepted": "202", "Resource": "200", "Unchanged": "200", "Created": "201", "Bundle": "200", "Deleted": "204"}

func answersOf(names []string) map[string]any {
	out := map[string]any{}
	for _, name := range names {
		out[statuses[name]] = ref("responses", name)
	}
	return out
}

func (d *document) resource(typ string, resource *fhir.Value) {
	allowed := texts(resource.All("interaction", "code"))
	for _, i := range described {
		if !slices.Contains(allowed, i.code) {
			continue
		}
		more := object{}
		params := list{}
		for _, name := range i.params {
			params = append(params, ref("parameters", name))
		}
		if i.code == "search-type" {
			params = append(params, searchParams(resource)...)
		}
		if len(params) > 0 {
			more["parameters"] = params
		}
		if i.body != nil {
			formats := i.body
			if len(formats) == 0 {
				formats = d.formats
			}
			more["requestBody"] = d.body(typ, formats...)
		}
		id := strings.ReplaceAll(i.code, "-", "_") + "_" + typ
		if i.path == "/%s" && i.method != "get" && i.method != "post" {
			id = "conditional_" + id
			more["description"] = "The parameters of the URL are a search that one resource meets; several are 412."
		}
		d.add(fmt.Sprintf(i.path, typ), i.method, id, typ, i.summary+": "+typ, more, answersOf(i.answers))
	}
	if slices.Contains(allowed, "search-type") {
		d.add("/"+typ+"/_search", "post", "search_post_"+typ, typ, "Search with the parameters in the body: "+typ, object{
			"requestBody": searchForm,
		}, answersOf([]string{"Bundle"}))
	}
}

// searchForm is the body of a search by POST.
var searchForm = object{
	"description": "The parameters of the search, as a form; personal identity codes are taken here only.",
	"content": object{"application/x-www-form-urlencoded": object{
		"schema": object{"type": "object", "additionalProperties": object{"type": "string"}},
	}},
}

// operation adds a FHIR operation.
func (d *document) operation(op rest.Operation) {
	place := "/" + op.Type + "/$" + op.Name
	if op.Instance {
		place = "/" + op.Type + "/{id}/$" + op.Name
	}
	id := fmt.Sprintf("operation_%s_%s", strings.ReplaceAll(op.Name, "-", "_"), op.Type)
	if op.Instance {
		id += "_instance"
	}
	answers := []string{"Resource"}
	if op.Name == "export" {
		answers = []string{"Accepted"}
		d.export(place, id, op)
	}
	if op.Asked != nil {
		in := list{} // null is no list
		for _, name := range slices.Sorted(maps.Keys(op.Asked)) {
			in = append(in, queryParam(name, "", object{"type": "string"}))
		}
		d.add(place, "get", id+"_get", op.Type, "$"+op.Name+": "+op.Type, object{
			"description": op.Documentation, "externalDocs": object{"url": op.Definition}, "parameters": in,
		}, answersOf(answers))
	}
	post := object{
		"description": op.Documentation, "externalDocs": object{"url": op.Definition},
		"requestBody": object{"content": d.content(ref("schemas", "Resource"))},
	}
	if op.Beside != nil {
		beside := list{}
		for _, name := range slices.Sorted(maps.Keys(op.Beside)) {
			beside = append(beside, queryParam(name, "", object{"type": "string"}))
		}
		post["parameters"] = beside
	}
	d.add(place, "post", id, op.Type, "$"+op.Name+": "+op.Type, post, answersOf(answers))
}

// export adds the addresses that an export leads to; they are opaque, and named by the answers before them.
func (d *document) export(place, id string, op rest.Operation) {
	job := list{object{"name": "_job", "in": "query", "required": true, "description": "The export, sealed for its caller.", "schema": object{"type": "string"}}}
	more := func(description string) object { return object{"description": description, "parameters": job} }
	d.add(place+"-status", "get", id+"_status", op.Type, "The manifest of an export: "+op.Type,
		more("The address that Content-Location of the export named."), object{
			"200": object{"description": "The manifest: a file for each type.", "content": object{"application/json": object{"schema": object{"type": "object"}}}},
		})
	d.add(place+"-status", "delete", id+"_cancel", op.Type, "Cancel an export: "+op.Type,
		more("The address that Content-Location of the export named."), answersOf([]string{"Accepted"}))
	d.add(place+"-file", "get", id+"_file", op.Type, "A file of an export: "+op.Type,
		more("An address that the manifest named; decided and recorded page by page as it is downloaded."), object{
			"200": object{"description": "A resource a line.", "content": object{"application/fhir+ndjson": object{"schema": object{"type": "string"}}}},
		})
}

// searchParams are the parameters that the statement lists for a type.
func searchParams(resource *fhir.Value) list {
	out := list{ref("parameters", "_count"), ref("parameters", "_sort"), ref("parameters", "_total"), ref("parameters", "_include"), ref("parameters", "_revinclude")}
	seen := []string{"_count", "_sort", "_total", "_include", "_revinclude"}
	for _, p := range resource.All("searchParam") {
		name := p.Text("name")
		if slices.Contains(seen, name) {
			continue
		}
		seen = append(seen, name)
		out = append(out, object{
			"name": name, "in": "query", "description": strings.TrimSpace("(" + p.Text("type") + ") " + p.Text("documentation")),
			"schema": object{"type": "array", "items": object{"type": "string"}}, "explode": true,
		})
	}
	return out
}

// compartment adds the search of what belongs to a resource, for each type of which something may belong.
func (d *document) compartment(of string, served []string) {
	var members []string
	for _, typ := range served {
		if len(search.Compartment(of, typ)) > 0 {
			members = append(members, typ)
		}
	}
	if len(members) == 0 {
		return
	}
	d.add("/"+of+"/{id}/{members}", "get", "search_compartment_"+of, of, "Search a type in the compartment of one: "+of, object{
		"description": "Takes the parameters that a search of the type takes; * stands for the types that _type names. Types: " + strings.Join(members, ", ") + ".",
		"parameters":  list{ref("parameters", "_count"), ref("parameters", "_sort"), ref("parameters", "_total"), ref("parameters", "_include"), ref("parameters", "_revinclude")},
	}, answersOf([]string{"Bundle"}))
	d.add("/"+of+"/{id}/{members}/_search", "post", "search_compartment_post_"+of, of, "The same with the parameters in the body: "+of, object{
		"requestBody": searchForm,
	}, answersOf([]string{"Bundle"}))
}

func (d *document) system(server *fhir.Value) {
	allowed := texts(server.All("interaction", "code"))
	if slices.Contains(allowed, "transaction") || slices.Contains(allowed, "batch") {
		d.add("", "post", "bundle", "system", "Batch or transaction", object{
			"parameters": list{ref("parameters", "Prefer")}, "requestBody": d.body("Bundle"),
		}, answersOf([]string{"Bundle"}))
	}
	if slices.Contains(allowed, "search-system") {
		d.add("", "get", "search_system", "system", "Search across the types that _type names", object{
			"description": "Takes, besides these, the parameters that all the types have.", "parameters": searchParams(server),
		}, answersOf([]string{"Bundle"}))
		d.add("/_search", "post", "search_post_system", "system", "The same with the parameters in the body", object{
			"requestBody": searchForm,
		}, answersOf([]string{"Bundle"}))
	}
	if slices.Contains(allowed, "history-system") {
		d.add("/_history", "get", "history_system", "system", "History of all types", object{
			"parameters": list{ref("parameters", "_since"), ref("parameters", "_at"), ref("parameters", "_count"), ref("parameters", "_summary"), ref("parameters", "_elements")},
		}, answersOf([]string{"Bundle"}))
	}
	d.add("/metadata", "get", "capabilities", "system", "CapabilityStatement: what this document is made of", object{
		"security":   list{object{}},
		"parameters": list{ref("parameters", "mode"), ref("parameters", "_summary"), ref("parameters", "_elements"), ref("parameters", "If-None-Match")},
	}, answersOf([]string{"Resource"}))
}
