package consent

import (
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

// A text makes the Engine that it is of again, and no other.
func TestAnEngineIsRestoredFromItsText(t *testing.T) {
	e, err := New(Config{
		Switches: map[string]string{"O11": "on"}, Public: []string{"Organization/county"},
		JointServices: []JointService{{"HealthcareService/b", "Location/1", "Organization/county"}, {"HealthcareService/a", "Location/1", "Organization/other"}},
	})
	require.NoError(t, err)
	kept, err := e.Text().Marshal()
	require.NoError(t, err)
	again, err := Restore(e.Version(), kept)
	require.NoError(t, err)
	require.Equal(t, e.Version(), again.Version())
	require.Equal(t, e.Text(), again.Text())
	req, class, facts := aQuestion(3, false)
	require.Equal(t, e.Decide(req, class, facts), again.Decide(req, class, facts))

	for name, change := range map[string]func(map[string][]byte){
		"a policy":             func(f map[string][]byte) { f["permits.cedar"] = append(f["permits.cedar"], '\n') },
		"a missing file":       func(f map[string][]byte) { delete(f, "permits.cedar") },
		"an answer":            func(f map[string][]byte) { f["settings.json"] = []byte(`{"switches":{"O11":"off"}}`) },
		"what is no answer":    func(f map[string][]byte) { f["settings.json"] = []byte(`{"switches":{"O11":"maybe"}}`) },
		"settings that are no": func(f map[string][]byte) { f["settings.json"] = []byte(`{`) },
	} {
		kept, err := e.Text().Marshal()
		require.NoError(t, err)
		change(kept)
		_, err = Restore(e.Version(), kept)
		require.Error(t, err, name)
	}
	_, err = Restore("0000", kept)
	require.ErrorContains(t, err, "not that of policy version 0000")
}

// A county answers open questions in a file beside its policies.
func TestAnswersInTheFolderOfPolicies(t *testing.T) {
	of := func(text string, switches map[string]string) (*Engine, error) {
		return New(Config{Switches: switches, Bases: fstest.MapFS{"answers.yaml": {Data: []byte(text)}}})
	}
	plain, err := New(Config{Switches: map[string]string{"O11": "on"}})
	require.NoError(t, err)
	e, err := of("O11: on\n", nil)
	require.NoError(t, err)
	require.Equal(t, "on", e.Switches()["O11"])
	require.Equal(t, plain.Version(), e.Version(), "an answer is an answer, wherever it is given")
	_, err = of("O11: on\n", map[string]string{"O11": "on"})
	require.NoError(t, err)
	for text, told := range map[string]string{
		"O11: on\nO99: on\n":  "answers.yaml:2",
		"O11: perhaps\n":      "answers.yaml:1",
		"O1: stops\nO11: off": "answered \"off\" here and \"on\" in the settings",
		"O11: [on]\n":         "not answered by a word",
		"O11: on: off\n":      "answers.yaml",
	} {
		_, err := of(text, map[string]string{"O11": "on"})
		require.ErrorContains(t, err, told, text)
	}
}

// Exchanges that begin after another law came into force are decided by it.
func TestTheLawInForceIsReplaced(t *testing.T) {
	before := propertyEngine(t)
	text, err := os.ReadFile(filepath.Join("bases", "permits.cedar"))
	require.NoError(t, err)
	after, err := New(Config{Bases: fstest.MapFS{"permits.cedar": {Data: append(text, "\n// another edition\n"...)}}})
	require.NoError(t, err)
	law := NewInForce(before)
	underway := law.Current()
	law.Replace(after)
	require.Equal(t, before.Version(), underway.Version(), "an exchange ends under the law that it began under")
	require.Equal(t, after.Version(), law.Version())
	require.Same(t, after, law.Engine())
	req, class, facts := aQuestion(0, false)
	require.Equal(t, after.Decide(req, class, facts), law.Decide(req, class, facts))
}
