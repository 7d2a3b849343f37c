package main

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

// Metrics and profiling are for who reaches this machine by its own names: a page whose name was made to resolve to
// 127.0.0.1 reads nothing (DNS rebinding).
func TestAdminIsServedUnderItsOwnNamesOnly(t *testing.T) {
	for addr, hosts := range map[string]map[string]int{
		"127.0.0.1:9090": {
			"127.0.0.1:9090": 200, "127.0.0.1": 200, "localhost:9090": 200, "LocalHost": 200, "127.8.8.8:1": 200, "[::1]:9090": 200, "[::1]": 200,
			"evil.example:9090": 421, "evil.example": 421, "localhost.evil.example": 421, "127.0.0.1.evil.example": 421, "0.0.0.0:9090": 421,
			"10.0.0.7:9090": 421, "": 421, ":9090": 421, "[evil.example]": 421,
		},
		"metrics.county.example:9090": {"metrics.county.example:9090": 200, "Metrics.County.Example": 200, "localhost": 200, "county.example": 421},
		":9090":                       {"localhost:9090": 200, "evil.example:9090": 421, "": 421, ":9090": 421},
	} {
		handler := newMetrics().handler(addr)
		for host, want := range hosts {
			for _, path := range []string{"/metrics", "/debug/pprof/cmdline"} {
				r := httptest.NewRequest(http.MethodGet, path, nil)
				r.Host = host
				w := httptest.NewRecorder()
				handler.ServeHTTP(w, r)
				require.Equal(t, want, w.Code, "%s asked as %q at %s", path, host, addr)
			}
		}
	}
}
