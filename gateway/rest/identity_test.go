package rest

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"sotesilta/internal/finland"
)

// However a code is encoded and wherever it stands apart in a URL, it is found.
func TestAnEncodedIdentityCodeIsFound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := "/fhir/Patient?" + rapid.StringMatching(`[a-z]{0,8}=?[a-z.:|]{0,10}[|=:/, ]`).Draw(t, "before") +
			rapid.StringMatching(`(0[1-9]|1[0-9]|2[0-8])(0[1-9]|1[0-2])[0-9]{2}[-+A-FU-Ya-fu-y]9[0-9]{2}[0-9A-FHJ-NPR-Y]`).Draw(t, "code") +
			rapid.SampledFrom([]string{"", "&a=b", ",x", "/", "|"}).Draw(t, "after")
		for range rapid.IntRange(0, maxDecodings-1).Draw(t, "encodings") {
			text = url.QueryEscape(text)
		}
		if !textCarriesIdentityCode(text) {
			t.Fatalf("not found in %q", text)
		}
	})
}

// Ids that the gateway gives never look like an identity code, so nothing stored becomes unreachable.
func TestNoIDOfOursLooksLikeAnIdentityCode(t *testing.T) {
	for range 200_000 {
		if id := newID(); textCarriesIdentityCode("/fhir/Patient/" + id + "/_history/1") {
			t.Fatal(id)
		}
	}
}

func TestEncodedWithoutEndIsRefused(t *testing.T) {
	text := "-"
	for range 12 {
		text = strings.ReplaceAll(url.QueryEscape(text), "-", "%2D")
	}
	require.True(t, textCarriesIdentityCode("/fhir/Patient?x=010190"+text+"900R"))
}

func FuzzIdentityCode(f *testing.F) {
	f.Add("/fhir/Patient?identifier=010190-900R")
	f.Add("%%%2530")
	f.Add("010190-")
	f.Fuzz(func(t *testing.T, s string) {
		found := textCarriesIdentityCode(s)
		if finland.FindIdentityCode(s) && !found {
			t.Fatal("found in the clear and not in the URL")
		}
	})
}

func TestNoIdentityCodeInAnyURL(t *testing.T) {
	f := newFace(t)
	for _, target := range []string{
		"/Patient?_content=%EF%BC%90%EF%BC%91%EF%BC%90%EF%BC%91%EF%BC%99%EF%BC%90-%EF%BC%99%EF%BC%90%EF%BC%90R", // digits of full width
		"/Patient?_content=010190%CC%81-900R",
		"/Patient?identifier=010190-900R",
		"/Patient?identifier=urn:oid:1.2.246.21|010190-900R",
		"/Patient?identifier=urn%3Aoid%3A1.2.246.21%7C010190-900R",
		"/Patient?identifier=%30%31%30%31%39%30-900R",
		"/Patient?identifier=010190%2D900R",
		"/Patient?identifier=010190%252D900R",
		"/Patient?identifier=010190%25252D900R",
		"/Patient?identifier=010190+900R",
		"/Patient?identifier=010190A900R",
		"/Patient?identifier=010190y900r",
		"/Patient?name=x&010190-900R=y",
		"/Patient/010190-900R",
		"/Patient/010190-900R/_history",
		"/010190-900R",
		"/metadata?x=010190-900R",
		"https://gw.example/auth/token?user=010190-900R",
		"https://gw.example/healthz/010190-900R",
	} {
		for _, method := range []string{"GET", "POST", "PUT", "OPTIONS"} {
			w := f.ask(method, target, "", "Authorization", "Bearer bad")
			is := outcome(t, w, 400, "invalid")
			require.Contains(t, is.Text("diagnostics"), "POST Patient/_search", target)
			require.NotContains(t, w.Body.String(), "900R", target)
		}
	}
	require.Empty(t, f.desk.calls)
	require.NotContains(t, strings.ToUpper(f.log.String()), "900R")

	for _, target := range []string{
		"/Patient/12345678-1234-4abc-8def-123456789abc", "/Patient?_id=x345678-900a", "/Patient/991390-9001",
		"/Patient?_lastUpdated=ge2026-11-21T10:00:00%2B02:00",
	} {
		require.NotContains(t, f.ask("GET", target, "").Body.String(), "identity code", target)
	}
	w := f.ask("POST", "/Patient", `{"resourceType":"Patient"}`, "If-None-Exist", "identifier=urn:oid:1.2.246.21|010190-900R")
	outcome(t, w, 400, "invalid")
}

func TestLogsNameRoutesAndNoValues(t *testing.T) {
	f := newFace(t)
	f.ask("GET", "/Patient?name=Virtanen&birthdate=1990-01-01", "")
	f.ask("POST", "/Patient/_search", "family=Virtanen", "Content-Type", formBody)
	f.ask("GET", "/Patient/aino-virtanen", "")
	f.ask("GET", "https://gw.example/Virtanen", "")
	f.ask("Virtanen", "/Patient", "")
	log := f.log.String()
	require.NotContains(t, strings.ToLower(log), "virtanen")
	require.NotContains(t, log, "1990-01")
	for _, part := range []string{`"route":"/fhir/:type"`, `"type":"Patient"`, `"app":"jukola-ehr"`, `"interaction":"search-type"`, `"status":200`, `"took":`, `"request":"`} {
		require.Contains(t, log, part)
	}
}
