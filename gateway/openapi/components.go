package openapi

// What many operations share.
var (
	parameters = object{
		"id":                pathParam("id", "Logical id", `^[A-Za-z0-9\-.]{1,64}$`),
		"members":           pathParam("members", "Resource type of what belongs to it", `^[A-Z][A-Za-z]{1,63}$`),
		"vid":               pathParam("vid", "Version", `^[0-9]{1,18}$`),
		"If-Match":          headerParam("If-Match", `ETag of the version that the change was made of, such as W/"1"; 412 when it is another.`),
		"If-None-Match":     headerParam("If-None-Match", `ETag that the caller holds; 304 when it is still the current one.`),
		"If-Modified-Since": headerParam("If-Modified-Since", "Time of what the caller holds; 304 when nothing is newer."),
		"If-None-Exist":     headerParam("If-None-Exist", "Search that makes the create conditional: what it finds is not made again."),
		"Prefer":            headerParam("Prefer", "return=minimal, return=representation or return=OperationOutcome."),
		"_count":            queryParam("_count", "Rows a page", object{"type": "integer", "minimum": 0}),
		"_since":            queryParam("_since", "Versions made at or after this instant", object{"type": "string"}),
		"_at":               queryParam("_at", "Versions that were current at some moment of this time: a date with a prefix as in a search; of all that are given", object{"type": "string"}),
		"mode":              queryParam("mode", "The statement, its normative part, or the TerminologyCapabilities", object{"type": "string", "enum": list{"full", "normative", "terminology"}}),
		"_summary":          queryParam("_summary", "The part of each resource that is sent; count: of a search, the number only", object{"type": "string", "enum": list{"true", "text", "data", "count", "false"}}),
		"_elements":         queryParam("_elements", "Elements that are sent, separated by commas; mandatory ones always are", object{"type": "string"}),
		"_sort":             queryParam("_sort", "Parameters to sort by, separated by commas; - before one: descending", object{"type": "string"}),
		"_total":            queryParam("_total", "Whether to count the matches", object{"type": "string", "enum": list{"none", "estimate", "accurate"}}),
		"_include":          queryParam("_include", "Type:parameter of references to follow", object{"type": "string"}),
		"_revinclude":       queryParam("_revinclude", "Type:parameter of references to come back by", object{"type": "string"}),
	}
	headers = object{
		"X-Request-Id":     object{"description": "Id of the ledger's record of the exchange, to quote to the auditor.", "schema": object{"type": "string"}},
		"ETag":             object{"description": `Version, such as W/"1".`, "schema": object{"type": "string"}},
		"Last-Modified":    object{"description": "When the version was made.", "schema": object{"type": "string"}},
		"Content-Location": object{"description": "Where the manifest of the export is.", "schema": object{"type": "string"}},
		"Location":         object{"description": "Address of the version that was made.", "schema": object{"type": "string"}},
	}
	schemas = object{
		"Resource": object{
			"description": "A FHIR R4 resource (http://hl7.org/fhir/R4/resourcelist.html).",
			"type":        "object", "required": list{"resourceType"}, "properties": object{"resourceType": object{"type": "string"}},
		},
		"OperationOutcome": object{
			"type": "object", "required": list{"resourceType", "issue"},
			"properties": object{
				"resourceType": object{"const": "OperationOutcome"},
				"issue": object{"type": "array", "minItems": 1, "items": object{
					"type": "object", "required": list{"severity", "code"},
					"properties": object{
						"severity": object{"type": "string"}, "code": object{"type": "string"}, "diagnostics": object{"type": "string"},
						"expression": object{"type": "array", "items": object{"type": "string"}},
					},
				}},
			},
		},
	}
)

func pathParam(name, description, pattern string) object {
	return object{"name": name, "in": "path", "required": true, "description": description, "schema": object{"type": "string", "pattern": pattern}}
}

func headerParam(name, description string) object {
	return object{"name": name, "in": "header", "description": description, "schema": object{"type": "string"}}
}

func queryParam(name, description string, schema object) object {
	return object{"name": name, "in": "query", "description": description, "schema": schema}
}

// responses are the answers by name, in the formats of the statement.
func responses(formats []string) object {
	d := document{formats: formats}
	answer := func(description, schema string, of ...string) object {
		told := object{"X-Request-Id": ref("headers", "X-Request-Id")}
		for _, name := range of {
			told[name] = ref("headers", name)
		}
		out := object{"description": description, "headers": told}
		if schema != "" {
			out["content"] = d.content(ref("schemas", schema))
		}
		return out
	}
	return object{
		"Resource": answer("The resource.", "Resource", "ETag", "Last-Modified"),
		"Accepted": object{"description": "Begun, or cancelled; Content-Location of the former says where to ask for the manifest.", "headers": object{
			"X-Request-Id": ref("headers", "X-Request-Id"), "Content-Location": ref("headers", "Content-Location"),
		}},
		"Unchanged": answer("A conditional create found what is there.", "Resource", "ETag", "Last-Modified"),
		"Created":   answer("Made.", "Resource", "Location", "ETag", "Last-Modified"),
		"Bundle":    answer("A Bundle.", "Resource"),
		"Deleted":   answer("There is nothing of that id any more, or there never was anything that the caller may see.", ""),
		"Refused": answer("Refused: 400 malformed, 401 no token, 403 scope, 404 absent or denied, 409 and 412 versions, 422 rules, "+
			"429 too many requests (Retry-After), 503 nothing can be recorded now.", "OperationOutcome"),
	}
}
