package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/test/leak/oracle"
)

// The exit code says what came of it: 0 nothing tells, 1 something does, 2 it could not be run.
func TestExitCodes(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status := http.StatusNotFound
		if strings.HasSuffix(r.URL.Path, "/leaks/Patient/kielto") {
			status = http.StatusForbidden
		}
		w.WriteHeader(status)
	}))
	defer server.Close()
	command := func(args ...string) (int, string, error) {
		var out, aside bytes.Buffer
		code, err := run(context.Background(), args, &out, &aside)
		return code, out.String(), err
	}
	code, out, err := command("--base", server.URL, "--patient", "kielto", "--pairs", "0")
	require.NoError(t, err)
	require.Zero(t, code, out)
	require.Contains(t, out, "0 leaks")

	code, out, err = command("--base", server.URL+"/leaks", "--patient", "kielto", "--pairs", "0", "--json")
	require.NoError(t, err)
	require.Equal(t, 1, code)
	var report oracle.Report
	require.NoError(t, json.Unmarshal([]byte(out), &report))
	require.NotEmpty(t, report.Leaks())
	require.Equal(t, oracle.Status, report.Leaks()[0].Oracle)

	for _, args := range [][]string{
		{"--base", "http://127.0.0.1:1", "--patient", "x"},
		{"--base", server.URL},
		{"--patient", "x"},
		{"--base", server.URL, "--patient", "x", "--colour", "blue"},
		{"--base", server.URL, "--patient", "x", "--token", "t", "--client", "c"},
		{"--base", server.URL, "--patient", "x", "--client", "c", "--key", "/no/such/key"},
	} {
		code, _, err := command(args...)
		require.Error(t, err, args)
		require.Equal(t, 2, code, args)
	}
}
