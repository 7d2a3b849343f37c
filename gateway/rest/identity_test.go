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
