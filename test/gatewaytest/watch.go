package gatewaytest

import (
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// codes are the identity codes of everybody in the county, as they are in its population data.
var codes = sync.OnceValue(func() []string {
	text, err := os.ReadFile(filepath.Join(ProjectRoot(), "gateway", "sandbox", "county", "population.json"))
	if err != nil {
		panic(err)
	}
	var bundle struct {
		Entry []struct {
			Resource struct {
				Identifier []struct{ System, Value string }
			}
		}
	}
	if err := json.Unmarshal(text, &bundle); err != nil {
		panic(err)
	}
	var all []string
	for _, entry := range bundle.Entry {
		for _, id := range entry.Resource.Identifier {
			if id.System == "urn:oid:1.2.246.21" {
				all = append(all, id.Value)
			}
		}
	}
	if len(all) == 0 {
		panic("gatewaytest: the population data name no identity codes")
	}
	return all
})

// IdentityCodes are the identity codes of everybody in the county.
func IdentityCodes() []string { return codes() }

// watch notes every identity code of the county in a text that may hold none, in any letter case and also encoded.
func (g *Gateway) watch(where, text string) {
	if found := Leak(text); found != "" {
		g.leak(where + ": " + found)
	}
}

// Leak is the place of the first identity code of the county in a text, or "".
func Leak(text string) string {
	forms := []string{text}
	if decoded, err := url.QueryUnescape(text); err == nil {
		forms = append(forms, decoded)
	}
	for _, form := range forms {
		form = strings.ToUpper(form)
		for _, code := range codes() {
			if at := strings.Index(form, code); at >= 0 {
				return "…" + form[max(0, at-80):min(len(form), at+len(code)+40)] + "…"
			}
		}
	}
	return ""
}

func (g *Gateway) leak(text string) {
	g.mu.Lock()
	g.leaks = append(g.leaks, text)
	g.mu.Unlock()
}

// watchAnswer looks at the parts of an answer that may never hold an identity code: headers, the bodies of errors,
// links, and AuditEvents.
func (g *Gateway) watchAnswer(a *Answer) {
	for name, values := range a.Header {
		g.watch(a.Request+" "+name, strings.Join(values, " "))
	}
	if a.Status >= 300 {
		g.watch(a.Request+" (error)", string(a.Body))
		return
	}
	var doc struct {
		ResourceType string `json:"resourceType"`
		Link         []struct{ URL string }
		Entry        []struct {
			FullURL  string `json:"fullUrl"`
			Resource json.RawMessage
			Response json.RawMessage
		}
	}
	if json.Unmarshal(a.Body, &doc) != nil {
		return
	}
	if doc.ResourceType == "AuditEvent" {
		g.watch(a.Request, string(a.Body))
	}
	for _, link := range doc.Link {
		g.watch(a.Request+" link", link.URL)
	}
	for _, entry := range doc.Entry {
		g.watch(a.Request+" entry", entry.FullURL+" "+string(entry.Response))
		if strings.Contains(string(entry.Resource[:min(len(entry.Resource), 60)]), "AuditEvent") {
			g.watch(a.Request+" AuditEvent", string(entry.Resource))
		}
	}
}
