package fhir

import "strings"

// Withhold takes a member out of a resource: a member name such as address, or extension[url] for one extension.
func Withhold(doc *Value, member string) {
	url, isExtension := extensionURL(member)
	if !isExtension {
		doc.Set(member, nil)
		doc.Set("_"+member, nil)
		return
	}
	var kept []*Value
	for _, ext := range doc.Get("extension").Items() {
		if ext.Text("url") != url {
			kept = append(kept, ext)
		}
	}
	if len(kept) == 0 {
		doc.Set("extension", nil)
		return
	}
	doc.Set("extension", NewArray(kept...))
}

// Restore puts back from before a member that Withhold took away, unless doc has got one anew.
func Restore(doc, before *Value, member string) {
	url, isExtension := extensionURL(member)
	if !isExtension {
		for _, name := range []string{member, "_" + member} {
			if doc.Get(name) == nil {
				doc.Set(name, before.Get(name).Clone())
			}
		}
		return
	}
	for _, ext := range before.Get("extension").Items() {
		if ext.Text("url") != url {
			continue
		}
		if doc.Get("extension") == nil {
			doc.Set("extension", NewArray())
		}
		doc.Get("extension").Append(ext.Clone())
	}
}

// extensionURL reads extension[url].
func extensionURL(member string) (string, bool) {
	inner, ok := strings.CutPrefix(member, "extension[")
	return strings.TrimSuffix(inner, "]"), ok
}
