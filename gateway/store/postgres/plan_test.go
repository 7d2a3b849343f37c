package postgres

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/gateway/store/pgtest"
	"sotesilta/gateway/store/sqlstore"
	"sotesilta/gateway/store/storetest"
)

// step is a step of a plan, as EXPLAIN tells it.
type step struct {
	Kind     string  `json:"Node Type"`
	Relation string  `json:"Relation Name"`
	Index    string  `json:"Index Name"`
	Rows     float64 `json:"Actual Rows"`
	Loops    float64 `json:"Actual Loops"`
	Filtered float64 `json:"Rows Removed by Filter"`
	Joined   float64 `json:"Rows Removed by Join Filter"`
	Plans    []step
}

// looked is how many rows a step and those below it looked at.
func (s step) looked() float64 {
	n := (s.Rows + s.Filtered + s.Joined) * s.Loops
	for _, p := range s.Plans {
		n += p.looked()
	}
	return n
}

// maxLooked is more than any of the searches needs, and less than half of the table.
const maxLooked = 6500

// Plans are the same without statistics, as in a new database, and with them.
func TestSearchesWalkNoTable(t *testing.T) {
	e, err := newEngine(t.Context(), pgtest.Postgres(t), Options{})
	require.NoError(t, err)
	s := sqlstore.New(storetest.Explained(t, e, "EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON)", func(query string, rows sqlstore.Rows) {
		for rows.Next() {
			var plan []byte
			require.NoError(t, rows.Scan(&plan))
			var plans []struct{ Plan step }
			require.NoError(t, json.Unmarshal(plan, &plans))
			if n := plans[0].Plan.looked(); n > maxLooked {
				t.Errorf("%.0f rows looked at in %s\n%s", n, query, plan)
			}
		}
	}))
	defer func() { require.NoError(t, s.Close()) }()
	// However long the filling takes, no table gets statistics by itself meanwhile.
	_, err = e.writer.Exec(t.Context(), `DO $$ DECLARE name text; BEGIN
		FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP
			EXECUTE format('ALTER TABLE %I SET (autovacuum_enabled = off)', name);
		END LOOP; END $$`)
	require.NoError(t, err)
	cases := storetest.Skewed(t, s, 15_000)
	t.Run("without statistics", func(t *testing.T) { storetest.Check(t, s, cases) })
	_, err = e.readers.Exec(t.Context(), "ANALYZE")
	require.NoError(t, err)
	t.Run("with statistics", func(t *testing.T) { storetest.Check(t, s, cases) })
}
