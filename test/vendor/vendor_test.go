// Package vendor_test integrates with the gateway as vendors do: with the clients they use, from npm, on both stores.
package vendor_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/test/gatewaytest"
)

func TestMain(m *testing.M) { os.Exit(gatewaytest.Main(m)) }

// TestClientsOfVendors runs each script with its client: login, create, search, patch, transaction, history, paging, XML,
// errors.
func TestClientsOfVendors(t *testing.T) {
	modules := filepath.Join(gatewaytest.ProjectRoot(), "tmp", "vendor", "node_modules")
	if _, err := os.Stat(modules); err != nil {
		t.Skip("the clients are not here: make prepare fetches them, where npm is")
	}
	scripts, err := filepath.Glob("*.mjs")
	require.NoError(t, err)
	gatewaytest.Each(t, func(t *testing.T, g *gatewaytest.Gateway) {
		// Node.js looks for a module's imports beside it.
		dir := t.TempDir()
		require.NoError(t, os.Symlink(modules, filepath.Join(dir, "node_modules")))
		for _, script := range scripts {
			text, err := os.ReadFile(script)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(filepath.Join(dir, script), text, 0o600))
		}
		for _, name := range []string{"fhir-kit-client", "fhirclient", "openapi"} {
			t.Run(name, func(t *testing.T) {
				cmd := exec.CommandContext(t.Context(), "node", "--test", "--test-reporter=spec", name+".test.mjs")
				cmd.Dir = dir
				cmd.Env = append(os.Environ(), "BASE="+g.Root+"/fhir", "KEY="+filepath.Join(g.Keys, "clients", "jukola-ehr.jwk"))
				out, err := cmd.CombinedOutput()
				require.NoError(t, err, "%s", out)
				require.Contains(t, string(out), "fail 0")
				require.NotContains(t, string(out), "pass 0")
			})
		}
	})
}
