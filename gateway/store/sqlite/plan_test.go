package sqlite

import (
	"context"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/gateway/store/sqlstore"
	"sotesilta/gateway/store/storetest"
)

// planned is an engine whose readers look at the plan of each query first.
type planned struct {
	*engine
	t *testing.T
}

func (p planned) Read(ctx context.Context) (sqlstore.Reader, error) {
	r, err := p.engine.Read(ctx)
	return plannedReader{r, p.t}, err
}

type plannedReader struct {
	sqlstore.Reader
	t *testing.T
}

// walk is a plan's line that walks a whole table or index, except the one that a search is sorted by. What is found of the
// ledger is called e once more when it is sorted; walked, the ledger is by an index of its times.
var walk = regexp.MustCompile(`^SCAN (r|v|x|t|k|y|e USING|l|x\d+|t\d+|resource|version|ix_\w+|ledger_\w+)\b`)

func (r plannedReader) Query(ctx context.Context, text string, args ...any) (sqlstore.Rows, error) {
	rows, err := r.Reader.Query(ctx, "EXPLAIN QUERY PLAN "+text, args...)
	require.NoError(r.t, err)
	for rows.Next() {
		var id, parent, unused any
		var line string
		require.NoError(r.t, rows.Scan(&id, &parent, &unused, &line))
		// What has several targets and is nobody's is rare: an index of it alone is walked.
		if walk.MatchString(line) && !strings.HasSuffix(line, "INDEX ledger_entry_several") || strings.Contains(line, "AUTOMATIC") {
			r.t.Errorf("%s\nin the plan of %s", line, text)
		}
	}
	rows.Close()
	return r.Reader.Query(ctx, text, args...)
}

func TestSearchesWalkNoTable(t *testing.T) {
	e, err := newEngine(t.Context(), filepath.Join(t.TempDir(), "store.db"), Options{}, ordinary)
	require.NoError(t, err)
	s := sqlstore.New(planned{e, t})
	defer func() { require.NoError(t, s.Close()) }()
	storetest.Check(t, s, storetest.Skewed(t, s, 12_000))
}
