package rest

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"sotesilta/gateway/exchange"
)

// body3K is a resource of 3 KB.
var body3K = []byte(`{"resourceType":"CarePlan","id":"c1","description":"` + strings.Repeat("x", 3000) + `"}`)

type fixedDesk struct {
	Desk
	resource exchange.Resource
}

func (d *fixedDesk) Read(context.Context, exchange.Caller, string, string) (*exchange.Resource, error) {
	return &d.resource, nil
}

// discard is a connection that costs nothing.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(int)             {}

func serve(b *testing.B, h http.Handler, target string) {
	r := httptest.NewRequest("GET", target, nil)
	r.Header.Set("Authorization", "Bearer nurse")
	r.Header.Set("Accept", fhirJSON)
	w := &discard{header: http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		clear(w.header)
		h.ServeHTTP(w, r)
	}
}

func BenchmarkReadOf3KB(b *testing.B) {
	f := newFace(b, func(c *Config) {
		c.Log = nil
		c.Desk = &fixedDesk{resource: exchange.Resource{Type: "CarePlan", ID: "c1", Version: 1, Updated: someTime, Body: body3K}}
	})
	serve(b, f, base+"/Patient/c1")
}

func BenchmarkReadOf3KBLogged(b *testing.B) {
	f := newFace(b, func(c *Config) {
		c.Desk = &fixedDesk{resource: exchange.Resource{Type: "CarePlan", ID: "c1", Version: 1, Updated: someTime, Body: body3K}}
	})
	serve(b, f, base+"/Patient/c1")
}

func BenchmarkBareGinOf3KB(b *testing.B) {
	gin.SetMode(gin.ReleaseMode)
	e := gin.New()
	e.GET("/fhir/:type/:id", func(c *gin.Context) { c.Data(200, fhirJSON, body3K) })
	serve(b, e, base+"/Patient/c1")
}

func BenchmarkSearchsetOfFifty(b *testing.B) {
	rows := make([]exchange.Resource, 50)
	for i := range rows {
		rows[i] = exchange.Resource{Type: "CarePlan", ID: "c1", Version: 1, Updated: someTime, Body: body3K}
	}
	b.ReportAllocs()
	for b.Loop() {
		bundle := newBundle(base, "searchset", 50, sizeOf(rows), link{"self", base})
		for i := range rows {
			bundle.found(&rows[i], "match")
		}
		bundle.done()
	}
}
