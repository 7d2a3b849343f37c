package sqlite

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/gateway/store/sqlstore"
	"sotesilta/gateway/store/storetest"
)

// walk is a plan's line that walks a whole table or index, except the one that a search is sorted by. What is found of the
// ledger is called e once more when it is sorted; walked, the ledger is by an index of its times.
var walk = regexp.MustCompile(`^SCAN (r|v|x|t|k|y|e USING|l|x\d+|t\d+|resource|version|ix_\w+|ledger_\w+)\b`)

func TestSearchesWalkNoTable(t *testing.T) {
	e, err := newEngine(t.Context(), filepath.Join(t.TempDir(), "store.db"), Options{}, ordinary)
	require.NoError(t, err)
	s := sqlstore.New(storetest.Explained(t, e, "EXPLAIN QUERY PLAN", func(query string, plan sqlstore.Rows) {
		for plan.Next() {
			var id, parent, unused any
			var line string
			require.NoError(t, plan.Scan(&id, &parent, &unused, &line))
			// What has several targets and is nobody's is rare: an index of it alone is walked.
			if walk.MatchString(line) && !strings.HasSuffix(line, "INDEX ledger_entry_several") || strings.Contains(line, "AUTOMATIC") {
				t.Errorf("%s\nin the plan of %s", line, query)
			}
		}
	}))
	defer func() { require.NoError(t, s.Close()) }()
	storetest.Check(t, s, storetest.Skewed(t, s, 12_000))
}
