package rest

import (
	"net/http"
	"strconv"
	"time"

	"sotesilta/gateway/exchange"
	"sotesilta/internal/fhir"
)

// bundle builds a Bundle as text (FHIR R4 § 2.36): resources are appended as they are kept, never parsed again.
type bundle struct {
	base    string
	text    []byte
	entries int
}

// newBundle begins a Bundle of a type, with an estimate of its size in bytes. Total is left out below 0, and links
// without a URL as well.
func newBundle(base, kind string, total int64, estimate int, links ...link) *bundle {
	b := &bundle{base: base, text: make([]byte, 0, 512+estimate)}
	b.add(`{"resourceType":"Bundle","type":"`, kind, `"`)
	if total >= 0 {
		b.add(`,"total":`, strconv.FormatInt(total, 10))
	}
	open := `,"link":[`
	for _, l := range links {
		if l.url == "" {
			continue
		}
		b.add(open, `{"relation":"`, l.relation, `","url":`)
		b.text = append(appendText(b.text, l.url), '}')
		open = ","
	}
	if open == "," {
		b.add("]")
	}
	return b
}

// link is one link of a Bundle.
type link struct{ relation, url string }

func (b *bundle) add(texts ...string) {
	for _, text := range texts {
		b.text = append(b.text, text...)
	}
}

// entry begins an entry; fullURL is relative to the base and may be "". What follows begins with a comma unless the
// entry is empty so far, which open tells.
func (b *bundle) entry(fullURL string, resource []byte) (open string) {
	if b.entries == 0 {
		b.add(`,"entry":[{`)
	} else {
		b.add(`,{`)
	}
	b.entries++
	if fullURL != "" {
		b.add(`"fullUrl":"`, b.base, "/", fullURL, `"`)
		open = ","
	}
	if resource != nil {
		b.add(open, `"resource":`)
		b.text = append(b.text, resource...)
		open = ","
	}
	return open
}

// found adds a row of a searchset; mode is match or include.
func (b *bundle) found(r *exchange.Resource, mode string) {
	open := b.entry(r.Type+"/"+r.ID, r.Body)
	b.add(open, `"search":{"mode":"`, mode, `"}}`)
}

// notice adds an OperationOutcome to a searchset (FHIR R4 § 3.1.1.2, mode outcome).
func (b *bundle) notice(issues ...fhir.Issue) {
	open := b.entry("", appendOutcome(nil, issues...))
	b.add(open, `"search":{"mode":"outcome"}}`)
}

// version adds a row of a history: the request that made it and what it was answered with.
func (b *bundle) version(r *exchange.Resource) {
	open := b.entry(r.Type+"/"+r.ID, r.Body)
	address, status := r.Type+"/"+r.ID, statusLine(http.StatusOK)
	switch r.Method {
	case http.MethodPost:
		address, status = r.Type, statusLine(http.StatusCreated)
	case http.MethodDelete:
		status = statusLine(http.StatusNoContent)
	}
	b.add(open, `"request":{"method":"`, r.Method, `","url":"`, address, `"},`)
	b.response(status, "", r.Version, r.Updated, nil)
	b.add("}")
}

// response adds Bundle.entry.response; location may be "", a version of 0 is left out, and so is a nil outcome.
func (b *bundle) response(status, location string, version int64, updated time.Time, outcome []byte) {
	b.add(`"response":{"status":"`, status, `"`)
	if location != "" {
		b.add(`,"location":"`, location, `"`)
	}
	if version > 0 {
		b.add(`,"etag":`)
		b.text = appendText(b.text, etag(version))
		b.add(`,"lastModified":"`, fhir.Instant(updated), `"`)
	}
	if outcome != nil {
		b.add(`,"outcome":`)
		b.text = append(b.text, outcome...)
	}
	b.add("}")
}

// done is the finished Bundle.
func (b *bundle) done() []byte {
	if b.entries > 0 {
		b.add("]")
	}
	b.add("}")
	return b.text
}

// statusLine is a status as Bundle.entry.response says it.
func statusLine(status int) string { return strconv.Itoa(status) + " " + http.StatusText(status) }

// sizeOf estimates the bytes that rows take in a Bundle.
func sizeOf(rows []exchange.Resource) int {
	n := 0
	for i := range rows {
		n += len(rows[i].Body) + 160
	}
	return n
}
