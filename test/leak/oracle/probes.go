package oracle

import (
	"net/http"
	"strings"
)

// probe is one question that is put about a hidden thing and about absent ones.
type probe struct {
	oracle  Oracle
	feature string // that the CapabilityStatement names when the server has it; "": it goes without saying
	// broad probes look at whatever differs, and the differing part says which oracle it is; the others are of their
	// own oracle whatever differs.
	broad bool
	write bool // it would change something if it were let
	request
}

func get(path string, header ...string) request {
	return request{method: http.MethodGet, path: path, header: header}
}

func post(path, body string, header ...string) request {
	return request{method: http.MethodPost, path: path, body: body, header: header}
}

const patchJSON = "application/json-patch+json"

// bundle is a Bundle of one entry.
func bundle(kind, method, url, resource string) string {
	if resource != "" {
		resource = `"resource":` + resource + `,`
	}
	return `{"resourceType":"Bundle","type":"` + kind + `","entry":[{` + resource + `"request":{"method":"` + method + `","url":"` + url + `"}}]}`
}

// ofResource are the probes about a resource {type}/{id}. {value} is its identifier in {system}, {code} its code in
// {codes}, {resource} one with its id, {fresh} one without.
var ofResource = []probe{
	{oracle: Body, broad: true, request: get("{type}/{id}")},
	{oracle: Body, broad: true, request: request{method: http.MethodHead, path: "{type}/{id}"}},
	{oracle: Body, broad: true, request: get("{type}/{id}?_pretty=true")},
	{oracle: ETag, request: get("{type}/{id}", "If-None-Match", `W/"1"`)},
	{oracle: ETag, request: get("{type}/{id}", "If-None-Match", "*")},
	{oracle: ETag, request: get("{type}/{id}", "If-Modified-Since", "Fri, 01 Jan 2100 00:00:00 GMT")},
	{oracle: Elements, feature: "read", request: get("{type}/{id}?_elements=id")},
	{oracle: Elements, feature: "read", request: get("{type}/{id}?_summary=text")},
	{oracle: Version, feature: "vread", request: get("{type}/{id}/_history/1")},
	{oracle: Version, feature: "vread", request: get("{type}/{id}/_history/2")},
	{oracle: Version, feature: "vread", request: request{method: http.MethodHead, path: "{type}/{id}/_history/1"}},
	{oracle: Version, feature: "vread", request: get("{type}/{id}/_history/999")},
	{oracle: History, feature: "history-instance", request: get("{type}/{id}/_history")},
	{oracle: History, feature: "history-instance", request: get("{type}/{id}/_history?_count=1")},
	{oracle: History, feature: "history-instance", request: get("{type}/{id}/_history?_since=2000-01-01T00:00:00Z")},
	{oracle: History, feature: "history-instance", request: get("{type}/{id}/_history?_at=2026")},

	{oracle: Search, broad: true, request: get("{type}?_id={id}")},
	{oracle: Search, broad: true, request: get("{type}?_id={id}&_lastUpdated=gt2000-01-01")},
	{oracle: Search, broad: true, request: post("{type}/_search", "_id={id}")},
	{oracle: Search, broad: true, feature: "?identifier", request: get("{type}?identifier={system}%7C{value}")},
	{oracle: Search, broad: true, feature: "?identifier", request: post("{type}/_search", "identifier={system}%7C{value}")},
	{oracle: Search, broad: true, feature: "?identifier", request: get("{type}?_id={id}&identifier:of-type=http://terminology.hl7.org/CodeSystem/v2-0203%7CACSN%7C{value}")},
	{oracle: Search, broad: true, feature: "?code", request: get("{type}?code={codes}%7C{code}")},
	{oracle: Search, broad: true, feature: "?code", request: get("{type}?_id={id}&code:not=x")},
	{oracle: Search, broad: true, feature: "?code", request: get("{type}?_id={id}&code:text={code}")},
	{oracle: Search, broad: true, feature: "?code", request: get("{type}?_id={id}&code:missing=false")},
	{oracle: Search, broad: true, feature: "?code-value-quantity", request: get("{type}?_id={id}&code-value-quantity={codes}%7C{code}$gt0")},
	{oracle: Search, broad: true, feature: "?_content", request: get("{type}?_content={value}&_total=accurate")},
	{oracle: Search, broad: true, feature: "?_content", request: get("{type}?_id={id}&_content:missing=false")},
	{oracle: Search, broad: true, feature: "?_content", request: post("{type}/_search", "identifier={system}%7C{value}&_content:contains={value}")},
	{oracle: Count, feature: "?_content", request: get("{type}?_content:exact={value}&_summary=count")},
	{oracle: Search, broad: true, feature: "?_text", request: get("{type}?_id={id}&_text:missing=true")},
	{oracle: SearchSystem, broad: true, feature: "search-system", request: get("?_type={type}&_id={id}")},
	{oracle: SearchSystem, feature: "search-system", request: get("?_type={type},Patient&_id={id}&_total=accurate&_sort=-_lastUpdated")},
	{oracle: SearchSystem, feature: "search-system", request: get("?_type={type},{other}&identifier={system}%7C{value}&_summary=count")},
	{oracle: SearchSystem, feature: "search-system", request: post("_search", "_type={type},{other}&_id={id}&_count=1")},
	{oracle: Total, broad: true, request: get("{type}?_id={id}&_total=accurate")},
	{oracle: Total, broad: true, request: get("{type}?_id={id}&_total=estimate")},
	{oracle: Total, broad: true, request: post("{type}/_search", "_id={id}&_total=accurate")},
	{oracle: Count, request: get("{type}?_id={id}&_summary=count")},
	{oracle: Count, request: post("{type}/_search", "_id={id}&_summary=count")},
	{oracle: Count, request: get("{type}?_id={id}&_count=0")},
	{oracle: Count, feature: "?identifier", request: get("{type}?identifier={system}%7C{value}&_summary=count")},
	{oracle: SearchSystem, feature: "?_content", request: get("?_type={type},{other}&_content={value}&_total=accurate")},
	{oracle: Elements, request: get("{type}?_id={id}&_elements=id")},
	{oracle: Elements, request: get("{type}?_id={id}&_summary=true")},
	{oracle: Sort, request: get("{type}?_id={id}&_sort=-_lastUpdated")},
	{oracle: Sort, request: get("{type}?_id={id}&_sort=_id&_count=1")},
	{oracle: Link, broad: true, request: get("{type}?_id={id}&_count=1")},
	{oracle: Include, request: get("{type}?_id={id}&_include=*")},
	{oracle: Include, request: get("{type}?_id={id}&_include={type}:subject")},
	{oracle: RevInclude, request: get("{type}?_id={id}&_revinclude=Provenance:target")},
	{oracle: RevInclude, request: get("{type}?_id={id}&_revinclude={other}:{param}")},
	{oracle: Chain, request: get("{other}?{param}:{type}._id={id}")},
	{oracle: Chain, feature: "?identifier", request: get("{other}?{param}:{type}.identifier={system}%7C{value}")},
	{oracle: Chain, feature: "?identifier", request: get("{other}?{param}:{type}.identifier={system}%7C{value}&_summary=count")},
	{oracle: Everything, feature: "$everything", request: get("{type}/{id}/$everything")},
	{oracle: Body, broad: true, feature: "$meta", request: get("{type}/{id}/$meta")},
	{oracle: Body, broad: true, feature: "$validate", request: post("{type}/{id}/$validate", "")},
	{oracle: Search, broad: true, feature: "?_list", request: get("{type}?_list={id}")},

	{oracle: Update, feature: "update", write: true, request: request{method: http.MethodPut, path: "{type}/{id}", body: "{resource}"}},
	{oracle: Update, feature: "update", write: true, request: request{
		method: http.MethodPut, path: "{type}/{id}", body: "{resource}", header: []string{"If-None-Match", "*"},
	}},
	{oracle: Precondition, feature: "update", write: true, request: request{
		method: http.MethodPut, path: "{type}/{id}", body: "{resource}", header: []string{"If-Match", `W/"999"`},
	}},
	{oracle: Precondition, feature: "update", write: true, request: request{
		method: http.MethodPut, path: "{type}/{id}", body: "{resource}", header: []string{"If-Match", `W/"1"`},
	}},
	{oracle: Patch, feature: "patch", write: true, request: request{
		method: http.MethodPatch, path: "{type}/{id}", body: `[{"op":"test","path":"/id","value":"{id}"}]`, header: []string{"Content-Type", patchJSON},
	}},
	{oracle: Patch, feature: "patch", write: true, request: request{
		method: http.MethodPatch, path: "{type}/{id}", body: `[{"op":"remove","path":"/nothing"}]`, header: []string{"Content-Type", patchJSON},
	}},
	{oracle: Patch, feature: "patch", write: true, request: request{
		method: http.MethodPatch, path: "{type}/{id}", body: `[{"op":"test","path":"/id","value":"{id}"}]`,
		header: []string{"Content-Type", patchJSON, "If-Match", `W/"999"`},
	}},
	{oracle: Patch, feature: "patch", write: true, request: request{
		method: http.MethodPatch, path: "{type}/{id}", body: `{"resourceType":"Parameters","parameter":[{"name":"operation","part":[` +
			`{"name":"type","valueCode":"delete"},{"name":"path","valueString":"{type}.nothing"}]}]}`,
	}},
	{oracle: ConditionalCreate, feature: "conditional-create", write: true, request: post("{type}", "{fresh}", "If-None-Exist", "_id={id}")},
	{oracle: ConditionalCreate, feature: "conditional-create", write: true, request: post("{type}", "{fresh}", "If-None-Exist", "identifier={system}|{value}")},
	{oracle: ConditionalUpdate, feature: "conditional-update", write: true, request: request{
		method: http.MethodPut, path: "{type}?identifier={system}%7C{value}", body: "{fresh}",
	}},
	{oracle: ConditionalUpdate, feature: "conditional-update", write: true, request: request{method: http.MethodPut, path: "{type}?_id={id}", body: "{resource}"}},
	{oracle: ConditionalPatch, feature: "conditional-patch", write: true, request: request{
		method: http.MethodPatch, path: "{type}?identifier={system}%7C{value}", body: `[{"op":"test","path":"/resourceType","value":"{type}"}]`,
		header: []string{"Content-Type", patchJSON},
	}},
	{oracle: ConditionalPatch, feature: "conditional-patch", write: true, request: request{
		method: http.MethodPatch, path: "{type}?_id={id}", body: `[{"op":"test","path":"/resourceType","value":"{type}"}]`,
		header: []string{"Content-Type", patchJSON},
	}},
	{oracle: Reference, feature: "create", write: true, request: post("{other}", "{referring}")},
	{oracle: Transaction, feature: "transaction", write: true, request: post("", bundle("transaction", "PUT", "{type}/{id}", "{resource}"))},
	{oracle: Transaction, feature: "transaction", write: true, request: post("", bundle("transaction", "GET", "{type}/{id}", ""))},
	{oracle: Transaction, feature: "transaction", write: true, request: post("", bundle("transaction", "GET", "{type}?_id={id}", ""))},
	{oracle: Transaction, feature: "transaction", write: true, request: post("", bundle("transaction", "POST", "{other}", "{conditional}"))},
	{oracle: Batch, feature: "batch", write: true, request: post("", bundle("batch", "PUT", "{type}/{id}", "{resource}"))},
	{oracle: Batch, feature: "batch", write: true, request: post("", bundle("batch", "GET", "{type}/{id}", ""))},
	{oracle: Batch, feature: "batch", write: true, request: post("", bundle("batch", "GET", "{type}?_id={id}&_total=accurate", ""))},
	{oracle: Batch, feature: "batch", write: true, request: post("", bundle("batch", "GET", "{type}/{id}/_history", ""))},
	{oracle: Batch, feature: "batch", write: true, request: post("", bundle("batch", "GET", "{type}/{id}/$everything", ""))},
	{oracle: Batch, feature: "batch", write: true, request: post("", bundle("batch", "GET", "{type}/{id}/$meta", ""))},
	{oracle: Batch, feature: "batch", write: true, request: post("", bundle("batch", "GET", "?_type={type}&_id={id}", ""))},
	{oracle: Transaction, feature: "transaction", write: true, request: post("", bundle("transaction", "GET", "{type}/{id}/$everything", ""))},

	// Deleting comes last.
	{oracle: Precondition, feature: "delete", write: true, request: request{method: http.MethodDelete, path: "{type}/{id}", header: []string{"If-Match", `W/"999"`}}},
	{oracle: Transaction, feature: "transaction", write: true, request: post("", bundle("transaction", "DELETE", "{type}/{id}", ""))},
	{oracle: Batch, feature: "batch", write: true, request: post("", bundle("batch", "DELETE", "{type}/{id}", ""))},
	{oracle: ConditionalDelete, feature: "conditional-delete", write: true, request: request{method: http.MethodDelete, path: "{type}?identifier={system}%7C{value}"}},
	{oracle: ConditionalDelete, feature: "conditional-delete", write: true, request: request{method: http.MethodDelete, path: "{type}?_id={id}"}},
	{oracle: Delete, feature: "delete", write: true, request: request{method: http.MethodDelete, path: "{type}/{id}"}},
	{oracle: Body, broad: true, request: get("{type}/{id}")}, // it is as it was
}

// ofPatient are the probes about the client {patient} by what is linked to them; {type} is the type of hidden data.
var ofPatient = []probe{
	{oracle: Search, broad: true, request: get("{type}?patient=Patient/{patient}&_sort=_id")},
	{oracle: Search, broad: true, request: get("{type}?patient={patient}")},
	{oracle: Search, broad: true, request: get("{type}?subject=Patient/{patient}")},
	{oracle: Search, broad: true, request: get("{type}?patient=Patient/{patient}&_lastUpdated=gt2000-01-01")},
	{oracle: Search, broad: true, feature: "?_content", request: get("{type}?patient=Patient/{patient}&_content:missing=false&_total=accurate")},
	{oracle: Count, feature: "?_text", request: get("{type}?patient=Patient/{patient}&_text:missing=true&_summary=count")},
	{oracle: SearchSystem, broad: true, feature: "search-system", request: get("?_type={type},{other}&patient=Patient/{patient}&_total=accurate")},
	{oracle: SearchSystem, feature: "search-system", request: get("?_type={type}&patient=Patient/{patient}&_sort=-_lastUpdated&_count=1")},
	{oracle: SearchSystem, feature: "search-system", request: get("Patient/{patient}/*?_type={type}&_total=accurate")},
	{oracle: Search, broad: true, request: post("{type}/_search", "patient=Patient/{patient}")},
	{oracle: Total, broad: true, request: get("{type}?patient=Patient/{patient}&_total=accurate")},
	{oracle: Count, request: get("{type}?patient=Patient/{patient}&_summary=count")},
	{oracle: Count, request: post("{type}/_search", "patient=Patient/{patient}&_summary=count")},
	{oracle: Elements, request: get("{type}?patient=Patient/{patient}&_elements=id")},
	{oracle: Sort, request: get("{type}?patient=Patient/{patient}&_sort=-_lastUpdated&_count=1")},
	{oracle: Link, broad: true, request: get("{type}?patient=Patient/{patient}&_count=1")},
	{oracle: Include, request: get("{type}?patient=Patient/{patient}&_include={type}:subject")},
	{oracle: RevInclude, request: get("{type}?patient=Patient/{patient}&_revinclude={other}:{param}")},
	{oracle: Chain, request: get("{type}?subject:Patient._id={patient}")},
	{oracle: Compartment, feature: "search-compartment", request: get("Patient/{patient}/{type}")},
	{oracle: Compartment, feature: "search-compartment", request: get("Patient/{patient}/{type}?_summary=count")},
	{oracle: Compartment, feature: "search-compartment", request: get("Patient/{patient}/{type}?_total=accurate&_count=1")},
	{oracle: Compartment, feature: "search-compartment", request: post("Patient/{patient}/{type}/_search", "_lastUpdated=gt2000-01-01")},
	{oracle: Batch, feature: "batch", write: true, request: post("", bundle("batch", "GET", "{type}?patient=Patient/{patient}&_total=accurate", ""))},
}

// ofHiddenPatient are the probes about a client whom the asker may not know to be there at all.
var ofHiddenPatient = []probe{
	{oracle: Body, broad: true, request: get("Patient/{patient}")},
	{oracle: Body, broad: true, request: request{method: http.MethodHead, path: "Patient/{patient}"}},
	{oracle: ETag, request: get("Patient/{patient}", "If-None-Match", `W/"1"`)},
	{oracle: Version, feature: "vread", request: get("Patient/{patient}/_history/1")},
	{oracle: History, feature: "history-instance", request: get("Patient/{patient}/_history")},
	{oracle: Search, broad: true, request: get("Patient?_id={patient}")},
	{oracle: Total, broad: true, request: get("Patient?_id={patient}&_total=accurate")},
	{oracle: Count, request: get("Patient?_id={patient}&_summary=count")},
	{oracle: Search, broad: true, request: post("Patient/_search", "identifier={psystem}%7C{pvalue}")},
	{oracle: Count, request: post("Patient/_search", "identifier={psystem}%7C{pvalue}&_summary=count")},
	{oracle: Search, broad: true, request: post("Patient/_search", "family={family}&given={given}&birthdate={born}")},
	{oracle: Search, broad: true, feature: "?_content", request: post("Patient/_search", "_id={patient}&_content={family}&_total=accurate")},
	{oracle: Chain, request: post("{type}/_search", "subject:Patient.identifier={psystem}%7C{pvalue}")},
	{oracle: Chain, request: post("{type}/_search", "patient.identifier={psystem}%7C{pvalue}&_summary=count")},
	{oracle: RevInclude, request: get("Patient?_id={patient}&_revinclude={type}:subject")},
	{oracle: Has, request: get("Patient?_id={patient}&_has:{type}:subject:code={codes}%7C{code}")},
	{oracle: Everything, feature: "$everything", request: get("Patient/{patient}/$everything")},
	{oracle: Everything, feature: "$everything", request: get("Patient/{patient}/$everything?_count=1&_type={type}")},
	{oracle: Export, feature: "$export", request: post("Patient/$export",
		`{"resourceType":"Parameters","parameter":[{"name":"patient","valueReference":{"reference":"Patient/{patient}"}}]}`, "Prefer", "respond-async")},
	{oracle: Reference, feature: "create", write: true, request: post("{type}", "{about}")},
	{oracle: Update, feature: "update", write: true, request: request{method: http.MethodPut, path: "Patient/{patient}", body: `{"resourceType":"Patient","id":"{patient}"}`}},
	{oracle: Delete, feature: "delete", write: true, request: request{method: http.MethodDelete, path: "Patient/{patient}"}},
}

// ofReferrer are the probes about {own}, a resource of the asker's own that refers to {type}/{id}: hidden or absent.
var ofReferrer = []probe{
	{oracle: Include, request: get("{other}?_id={own}&_include={other}:{param}")},
	{oracle: Include, request: get("{other}?_id={own}&_include={other}:{param}&_total=accurate")},
	{oracle: Include, request: get("{other}?_id={own}&_include:iterate={other}:{param}")},
	{oracle: Include, request: get("{other}?_id={own}&_include=*")},
	{oracle: Chain, request: get("{other}?_id={own}&{param}:{type}.status=final,current,active")},
	{oracle: Chain, request: get("{other}?_id={own}&{param}:{type}.identifier={system}%7C{value}")},
	{oracle: Chain, request: get("{other}?_id={own}&{param}:{type}.identifier={system}%7C{value}&_summary=count")},
	{oracle: Chain, request: get("{other}?_id={own}&{param}:{type}.patient=Patient/{patient}&_total=accurate")},
	{oracle: Search, broad: true, request: get("{other}?_id={own}&{param}:missing=false")},
	{oracle: Everything, feature: "$everything", request: get("{other}/{own}/$everything")},
}

// ofReferred are the probes about {own}, a resource of the asker's own that something hidden refers to, or nothing.
var ofReferred = []probe{
	{oracle: RevInclude, request: get("{other}?_id={own}&_revinclude={other}:{param}")},
	{oracle: RevInclude, request: get("{other}?_id={own}&_revinclude={other}:{param}&_total=accurate")},
	{oracle: RevInclude, request: get("{other}?_id={own}&_revinclude=*")},
	{oracle: Has, request: get("{other}?_id={own}&_has:{other}:{param}:status=current,active,requested")},
	{oracle: Has, request: get("{other}?_id={own}&_has:{other}:{param}:status=current,active,requested&_summary=count")},
	{oracle: Has, request: get("{other}?_id={own}&_has:{other}:{param}:_id={referrer}&_total=accurate")},
}

// standing are the questions that name nothing hidden: asked before and after something hidden is written.
var standing = []probe{
	{oracle: Search, broad: true, request: get("{type}")},
	{oracle: Search, broad: true, request: get("{type}?_lastUpdated=gt2000-01-01")},
	{oracle: SearchSystem, feature: "search-system", request: get("?_type={type}&_total=accurate&_count=1")},
	{oracle: SearchSystem, feature: "search-system", request: get("?_type={type}&_summary=count")},
	{oracle: SearchSystem, feature: "search-system", request: get("?_type={type}&_sort=-_lastUpdated&_count=1")},
	{oracle: Search, broad: true, feature: "?_content", request: get("{type}?_content:missing=false&_total=accurate&_count=1")},
	{oracle: Total, broad: true, request: get("{type}?_total=accurate")},
	{oracle: Total, broad: true, request: get("{type}?_total=estimate&_count=1")},
	{oracle: Count, request: get("{type}?_summary=count")},
	{oracle: Sort, request: get("{type}?_sort=-_lastUpdated&_count=1")},
	{oracle: Link, broad: true, request: get("{type}?_count=1")},
	{oracle: Has, request: get("Patient?_has:{type}:subject:code={codes}%7C{code}&_total=accurate")},
	{oracle: Has, request: get("Patient?_has:{type}:patient:code={codes}%7C{code}&_summary=count")},
	{oracle: HistoryType, feature: "history-type", request: get("{type}/_history")},
	{oracle: HistoryType, feature: "history-type", request: get("{type}/_history?_count=1")},
	{oracle: HistorySystem, feature: "history-system", request: get("_history")},
	{oracle: HistorySystem, feature: "history-system", request: get("_history?_count=1")},
	{oracle: Header, broad: true, request: get("metadata")},
}

// templates are resources that the battery writes, by type: {mark} is unlike any other, {subject} the member of the
// client, {target} the reference of what they refer to.
var templates = map[string]string{
	"Observation": `{"resourceType":"Observation",{subject}"identifier":[{"system":"{system}","value":"{value}"}],"status":"final",` +
		`"code":{"coding":[{"system":"{codes}","code":"{code}"}]},"effectiveDateTime":"2026-11-01","valueQuantity":{"value":7.5,"unit":"mmol/l"}}`,
	"Condition": `{"resourceType":"Condition",{subject}"identifier":[{"system":"{system}","value":"{value}"}],` +
		`"code":{"coding":[{"system":"{codes}","code":"{code}"}]}}`,
	"DocumentReference": `{"resourceType":"DocumentReference",{subject}"identifier":[{"system":"{system}","value":"{value}"}],"status":"current",` +
		`"content":[{"attachment":{"title":"{code}"}}]}`,
	"ServiceRequest": `{"resourceType":"ServiceRequest",{subject}"identifier":[{"system":"{system}","value":"{value}"}],"status":"active","intent":"order",` +
		`"code":{"coding":[{"system":"{codes}","code":"{code}"}]}}`,
}

// referring are resources that refer to {target} by a search parameter that takes every type, in the order of trial.
var referring = []struct{ typ, param, resource string }{
	{
		"DocumentReference", "related", `{"resourceType":"DocumentReference",{subject}"identifier":[{"system":"{system}","value":"{mark}"}],"status":"current",` +
			`"content":[{"attachment":{"title":"x"}}],"context":{"related":[{"reference":"{target}"}]}}`,
	},
	{
		"List", "item", `{"resourceType":"List",{subject}"identifier":[{"system":"{system}","value":"{mark}"}],"status":"current","mode":"working",` +
			`"entry":[{"item":{"reference":"{target}"}}]}`,
	},
	{
		"Task", "focus", `{"resourceType":"Task",{for}"identifier":[{"system":"{system}","value":"{mark}"}],"status":"requested","intent":"order",` +
			`"focus":{"reference":"{target}"}}`,
	},
}

// about puts the subject of a client, or of nobody, into a template.
func about(template, patient string) string {
	subject, task := "", ""
	if patient != "" {
		subject, task = `"subject":{"reference":"Patient/`+patient+`"},`, `"for":{"reference":"Patient/`+patient+`"},`
	}
	return strings.NewReplacer("{subject}", subject, "{for}", task).Replace(template)
}
