package leak

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sotesilta/gateway/auth"
	"sotesilta/test/gatewaytest"
	"sotesilta/test/leak/oracle"
)

// access is a user of an API client, with the client's own key.
func access(t *testing.T, g *gatewaytest.Gateway, client, user string) oracle.Access {
	return &oracle.Backend{TokenURL: g.TokenURL(), Client: client, Key: g.Key(t, client), Claims: auth.Claims{User: user}}
}

// The battery finds nothing here, whoever the client is denied to: data of the other register, a client under a ban, one
// whom social care does not know, one of another controller.
func TestBatteryIsClean(t *testing.T) {
	gatewaytest.Own(t, func(t *testing.T, g *gatewaytest.Gateway) {
		for name, c := range map[string]struct {
			asker, preparer        [2]string // API client and user
			denied, own, twin, typ string    // each client is denied to one asker: a preparer of one is no asker about the same of another
		}{
			"health data of a known client from social care": {[2]string{"county-social", "social-worker"}, [2]string{"jukola-ehr", "nurse"}, "aino", "onni", "", "Observation"},
			"social data of a known client from health care": {[2]string{"jukola-ehr", "nurse"}, [2]string{"county-social", "social-worker"}, "lumi", "onni", "", "DocumentReference"},
			"a client under a ban":                           {[2]string{"county-social", "social-worker"}, [2]string{"jukola-ehr", "nurse"}, "eino", "onni", "", "Condition"},
			"a client unknown to social care":                {[2]string{"county-social", "social-worker"}, [2]string{"jukola-ehr", "nurse"}, "veikko", "onni", "toivo", "Observation"},
			"a client of another controller":                 {[2]string{"private-clinic", "physician"}, [2]string{"jukola-ehr", "nurse"}, "aino", "", "veikko", "ServiceRequest"},
		} {
			t.Run(name, func(t *testing.T) {
				report, err := oracle.Run(t.Context(), oracle.Config{
					Base: g.Root + "/fhir", Asker: access(t, g, c.asker[0], c.asker[1]), Preparer: access(t, g, c.preparer[0], c.preparer[1]),
					Patient: c.denied, Own: c.own, Twin: c.twin, Type: c.typ, Write: true, Listen: "127.0.0.1:0", Patience: 3 * time.Second,
				})
				require.NoError(t, err)
				for _, f := range report.Leaks() {
					t.Errorf("%s: %s: %s", f.Oracle, f.Probe, f.Evidence)
				}
				clean := 0
				for _, row := range report.Table() {
					if row.Verdict == oracle.Clean {
						clean++
					} else {
						t.Logf("%s: %s: %s", row.Oracle, row.Verdict, row.Evidence)
					}
				}
				require.GreaterOrEqual(t, clean, 24, "most oracles were tried")
			})
		}
	})
}

// How long an answer takes does not tell either, in a small sample; TestSoakTimes takes a larger one.
func TestTimesTellNothing(t *testing.T) {
	gatewaytest.Own(t, func(t *testing.T, g *gatewaytest.Gateway) { times(t, g, "veikko", 40) })
}

// times measures what the social worker is answered about health data of a client.
func times(t *testing.T, g *gatewaytest.Gateway, patient string, pairs int) {
	t.Helper()
	report, err := oracle.Run(t.Context(), oracle.Config{
		Base: g.Root + "/fhir", Asker: access(t, g, "county-social", "social-worker"), Preparer: access(t, g, "jukola-ehr", "nurse"),
		Patient: patient, Own: "onni", Write: true, Pairs: pairs, Subject: `{"type":"user","id":"social-worker"}`,
	})
	require.NoError(t, err)
	for _, f := range report.Findings {
		switch {
		case f.Oracle != oracle.Time:
		case f.Verdict == oracle.Leak:
			t.Errorf("%s: %s: %s", f.Verdict, f.Probe, f.Evidence)
		default:
			t.Logf("%s: %s: %s", f.Verdict, f.Probe, f.Evidence)
		}
	}
}
