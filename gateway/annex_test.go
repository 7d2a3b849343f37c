package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/consent"
	"sotesilta/gateway/sandbox"
)

// The annex names every row of the law and every mapping, and changes with an answer to an open question.
func TestTheAnnexSaysWhatTheGatewayDoes(t *testing.T) {
	annex := func(args ...string) string {
		var out, errs bytes.Buffer
		require.Zero(t, run(t.Context(), append([]string{"annex"}, args...), &out, &errs), errs.String())
		return out.String()
	}
	text := annex()
	law, err := consent.New(consent.Config{})
	require.NoError(t, err)
	for _, r := range law.Rows() {
		require.True(t, strings.Contains(text, "| "+r.ID+" | "), "%s is missing", r.ID)
		require.Equal(t, r.Scope == "", r.ScopeFi == "", "%s tells its data in both languages", r.ID)
		require.Equal(t, r.Direction == "", r.DirectionFi == "", "%s tells its direction in both languages", r.ID)
	}
	for _, part := range []string{
		"703/2023 § 53.2", "jukola-", "12 vuotta", "| O1 | needs-human |", "ihminen päättää (O1)",
		"| terveydenhuolto → sosiaalihuollon viranomainen (health → social authority) |", law.Version(),
		"| välttämättömät potilastiedot; enintään § 19.2 (necessary patient data; cap § 19.2) |", "| SHL-42 | Omatyöntekijä | 1301/2014 § 42 |",
	} {
		require.True(t, strings.Contains(text, part), "%q is missing", part)
	}
	require.True(t, strings.Contains(annex("--switch", "O1=passes"), "ei estä (O1)"))
	// The version is the one that the records of a gateway with these settings name.
	joint, err := sandbox.JointServices()
	require.NoError(t, err)
	law, err = consent.New(consent.Config{JointServices: joint, Switches: map[string]string{"O11": "on"}})
	require.NoError(t, err)
	require.Contains(t, annex("--sandbox"), law.Version())
}
