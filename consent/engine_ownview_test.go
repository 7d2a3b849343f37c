package consent

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Which lines the log report of the own view tells by itself (703/2023 § 74.2; 621/1999 § 11.2; switch O13).
func TestOwnView(t *testing.T) {
	for answer, withheld := range map[string]bool{"": true, "withheld": true, "shown": false} {
		cfg := Config{}
		if answer != "" {
			cfg.Switches = map[string]string{"O13": answer}
		}
		e, err := New(cfg)
		require.NoError(t, err)
		for _, c := range []struct {
			purpose Purpose
			basis   string
			kept    bool
		}{
			{Care, "ATL-4.3-H", false},
			{NeedAssessment, "ATL-53.5b", false},
			{StatutoryAct, "ATL-62", true},
			{StatutoryAct, "ATL-63.1", true},
			{StatutoryAct, "ATL-63.2", true},
			{StatutoryAct, "ATL-63.4", true},
			{StatutoryAct, "LSL-25", true},
			{StatutoryAct, "LSL-25.3", true},
			{StatutoryAct, "LSL-25c", true},
			{StatutoryAct, "LSL-25d", true},
			{StatutoryAct, "SHL-35.2", true},
			{Care, "LSL-25", true}, // child protection reads what it was told
			{StatutoryAct, "ATL-53.5b", false},
			{StatutoryAct, "ATL-56", false},
			{StatutoryAct, "GDPR-16", false},
			{StatutoryAct, "ATL-4.3-H", true}, // what is read and written around an act
			{StatutoryAct, "", true},          // what was tried
			{Care, "", false},
		} {
			var bases []Basis
			if c.basis != "" {
				bases = []Basis{{ID: c.basis}}
			}
			require.Equal(t, c.kept && withheld, !e.OwnView(c.purpose, bases), "%s on %s, O13 %q", c.purpose, c.basis, answer)
		}
	}
}
