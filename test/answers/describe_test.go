package answers

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/internal/fhir"
	"sotesilta/internal/terms"
	"sotesilta/test/gatewaytest"
)

// TestTheDescriptionIsTheStatement: /openapi.json and /docs say what /metadata says, no more and no less.
func TestTheDescriptionIsTheStatement(t *testing.T) {
	gatewaytest.Each(t, func(t *testing.T, g *gatewaytest.Gateway) {
		statement := g.Send(t, "GET", "/fhir/metadata", nil).Want(t, 200).Doc(t)
		answer := g.Send(t, "GET", "/openapi.json", nil, "Accept", "*/*").Want(t, 200)
		require.Equal(t, "application/json", answer.Header.Get("Content-Type"))
		g.Send(t, "GET", "/openapi.json", nil, "Accept", "*/*", "If-None-Match", answer.Header.Get("ETag")).Want(t, 304)
		var doc struct {
			OpenAPI string
			Servers []struct{ URL string }
			Paths   map[string]map[string]json.RawMessage
		}
		require.NoError(t, json.Unmarshal(answer.Body, &doc))
		require.Equal(t, "3.1.0", doc.OpenAPI)
		require.Equal(t, g.Root, doc.Servers[0].URL)
		page := string(g.Send(t, "GET", "/docs", nil, "Accept", "text/html").Want(t, 200).Body)

		places := map[string]struct{ method, path string }{
			"search-type": {"get", ""}, "create": {"post", ""}, "read": {"get", "/{id}"}, "update": {"put", "/{id}"},
			"patch": {"patch", "/{id}"}, "delete": {"delete", "/{id}"}, "vread": {"get", "/{id}/_history/{vid}"},
			"history-instance": {"get", "/{id}/_history"}, "history-type": {"get", "/_history"},
		}
		told := 0
		for _, resource := range statement.All("rest", "resource") {
			typ := resource.Text("type")
			require.Contains(t, page, `<h2 id="`+typ+`">`)
			has := map[string]bool{}
			for _, i := range resource.All("interaction", "code") {
				has[i.Str()] = true
			}
			for code, at := range places {
				_, there := doc.Paths["/fhir/"+typ+at.path][at.method]
				require.Equal(t, has[code], there, "%s %s", typ, code)
				if there {
					told++
				}
			}
			var params struct{ Parameters []struct{ Name string } }
			if has["search-type"] {
				require.NoError(t, json.Unmarshal(doc.Paths["/fhir/"+typ]["get"], &params))
			}
			names := map[string]bool{}
			for _, p := range params.Parameters {
				names[p.Name] = true
			}
			for _, p := range resource.All("searchParam", "name") {
				require.True(t, names[p.Str()] || strings.HasPrefix(p.Str(), "_"), "%s?%s", typ, p.Str())
				require.Contains(t, page, "<code>"+p.Str()+"</code>")
			}
			for _, op := range resource.All("operation", "name") {
				_, ofType := doc.Paths["/fhir/"+typ+"/$"+op.Str()]
				_, ofOne := doc.Paths["/fhir/"+typ+"/{id}/$"+op.Str()]
				require.True(t, ofType || ofOne, "%s/$%s", typ, op.Str())
			}
		}
		require.Greater(t, told, 100)

		// Every address takes the methods that are described there, and no others. What lies beside the base is compared
		// with what is mounted as the gateway starts.
		ids := map[string]string{"id": "aino", "vid": "1", "members": "Observation"}
		addresses := map[string]bool{"": true, "/_history": true, "/metadata": true}
		for _, resource := range statement.All("rest", "resource") {
			typ := "/" + resource.Text("type")
			for _, rest := range []string{"", "/_search", "/_history", "/{id}", "/{id}/_history", "/{id}/_history/{vid}", "/{id}/{members}", "/{id}/{members}/_search"} {
				addresses[typ+rest] = true
			}
			for _, op := range append(resource.All("operation", "name"), fhir.NewString("export-status"), fhir.NewString("export-file")) {
				addresses[typ+"/$"+op.Str()], addresses[typ+"/{id}/$"+op.Str()] = true, true
			}
		}
		for path := range doc.Paths {
			if below, ok := strings.CutPrefix(path, "/fhir"); ok && !strings.HasPrefix(below, "/.") {
				addresses[below] = true
			}
		}
		taken := 0
		for address := range addresses {
			sent := address
			for name, value := range ids {
				sent = strings.ReplaceAll(sent, "{"+name+"}", value)
			}
			a := g.Send(t, "OPTIONS", "/fhir"+sent, nil)
			var allowed, described []string
			for method := range strings.SplitSeq(a.Header.Get("Allow"), ", ") {
				if method != "" && method != "HEAD" && method != "OPTIONS" {
					allowed = append(allowed, strings.ToLower(method))
				}
			}
			for method := range doc.Paths["/fhir"+address] {
				if method != "parameters" {
					described = append(described, method)
				}
			}
			require.ElementsMatch(t, allowed, described, "%s: what is taken, what is described", address)
			taken += len(allowed)
		}
		require.Greater(t, taken, 500)

		// What is beside the base is there as well.
		for path, methods := range doc.Paths {
			if _, read := methods["get"]; read && !strings.ContainsAny(path, "{$") && !strings.HasPrefix(path+"/", "/fhir/") {
				want := 200
				if strings.Contains(string(methods["get"]), `"required":true`) {
					want = 400 // it has a parameter, which is not sent
				}
				g.Send(t, "GET", path, nil, "Accept", "*/*").Want(t, want)
			}
			if _, posted := methods["post"]; posted && !strings.HasPrefix(path, "/fhir") {
				require.NotEqual(t, 404, g.Send(t, "POST", path, nil).Status, path)
			}
		}
	})
}

// TestOurOperationsAreDefined: what /metadata names as the definition of an operation of our own is here to be read, and is
// of that operation.
func TestOurOperationsAreDefined(t *testing.T) {
	gatewaytest.Each(t, func(t *testing.T, g *gatewaytest.Gateway) {
		statement := g.Send(t, "GET", "/fhir/metadata", nil).Want(t, 200).Doc(t)
		defined := 0
		for _, resource := range statement.All("rest", "resource") {
			for _, op := range resource.All("operation") {
				canonical := op.Text("definition")
				if !strings.HasPrefix(canonical, terms.Base) {
					continue
				}
				id := strings.TrimPrefix(canonical, terms.Base+"OperationDefinition/")
				definition := g.Nurse().Get(t, "OperationDefinition/"+id).Want(t, 200).Doc(t)
				require.Equal(t, canonical, definition.Text("url"))
				require.Equal(t, op.Text("name"), definition.Text("code"))
				require.Equal(t, resource.Text("type"), definition.All("resource")[0].Str())
				defined++
			}
		}
		require.Equal(t, 6, defined)
	})
}
