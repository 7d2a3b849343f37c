//go:build soak

package exchange_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"sotesilta/gateway/exchange"
	"sotesilta/gateway/sandbox"
	"sotesilta/gateway/store"
	"sotesilta/gateway/store/pgtest"
	"sotesilta/gateway/store/postgres"
	"sotesilta/gateway/store/sqlite"
)

// How much longer what is hidden takes than what is absent, before either waits for its mark, as the median of pairs. The
// marks take the rest away; what they need not hide cannot be told by anybody. LEAK_PAIRS takes another sample.
func TestSoakOwnTimes(t *testing.T) {
	pairs := 4000
	if given := os.Getenv("LEAK_PAIRS"); given != "" {
		var err error
		pairs, err = strconv.Atoi(given)
		require.NoError(t, err)
	}
	for name, open := range map[string]func(t *testing.T) (store.Store, error){
		"sqlite": func(t *testing.T) (store.Store, error) {
			return sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "s.db"), sqlite.Options{Readers: 4})
		},
		"postgres": func(t *testing.T) (store.Store, error) {
			return postgres.Open(t.Context(), pgtest.Postgres(t), postgres.Options{})
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := open(t)
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, s.Close()) })
			desk, err := newDesk(s, exchange.Config{Wait: func(context.Context, time.Duration) {}})
			require.NoError(t, err)
			_, err = sandbox.Load(t.Context(), desk, registry())
			require.NoError(t, err)
			w := &world{Desk: desk, t: t, ctx: t.Context()}
			row := w.put(nurse, observation("aino", "2026-02-01")).ID
			patient := w.put(physician, `{"resourceType":"Patient","active":true,"name":[{"family":"Klinikan"}]}`).ID
			for _, q := range questions(w, row, patient) {
				t.Run(q.name, func(t *testing.T) {
					var took [2][]time.Duration
					var differ []time.Duration
					for n := range 100 + pairs {
						var own [2]time.Duration
						for _, side := range [][2]int{{0, 1}, {1, 0}}[rand.N(2)] {
							of := q.hidden
							if side == 1 {
								of = uuid.NewString()
							}
							began := time.Now()
							q.ask(of)
							own[side] = time.Since(began)
						}
						if n >= 100 {
							took[0], took[1] = append(took[0], own[0]), append(took[1], own[1])
							differ = append(differ, own[0]-own[1])
						}
					}
					median := func(d []time.Duration) time.Duration { slices.Sort(d); return d[len(d)/2] }
					fmt.Printf("%-10s %-28s hidden %8s, absent %8s, differing by %8s (quartiles %s, %s)\n", name, q.name,
						median(took[0]).Round(time.Microsecond), median(took[1]).Round(time.Microsecond), median(differ).Round(100*time.Nanosecond),
						differ[len(differ)/4].Round(time.Microsecond), differ[len(differ)*3/4].Round(time.Microsecond))
				})
			}
		})
	}
}

// question is a way to ask about something hidden, or absent, by its id.
type question struct {
	name, hidden string
	ask          func(id string)
}

// questions are those of the social worker about an Observation of the health register, a clinic's own record of a Patient,
// and a client of whom social care sees no Observations.
func questions(w *world, row, patient string) []question {
	op := func(op exchange.Op) { _, _ = w.Transact(w.ctx, as(worker), []exchange.Op{op}) }
	return []question{
		{"read", row, func(id string) { _, _ = w.Read(w.ctx, as(worker), "Observation", id) }},
		{"vread", row, func(id string) { _, _ = w.VRead(w.ctx, as(worker), "Observation", id, 1) }},
		{"history", row, func(id string) {
			_, _, _ = w.History(w.ctx, as(worker), "Observation", id, exchange.Past{Count: 10})
		}},
		{"search by _id", row, func(id string) { _, _ = w.Search(w.ctx, as(worker), query(w.t, "Observation", "_id="+id)) }},
		{"search by patient", "aino", func(id string) {
			_, _ = w.Search(w.ctx, as(worker), query(w.t, "Observation", "patient=Patient/"+id))
		}},
		{"evaluate", row, func(id string) { _, _ = w.Evaluate(w.ctx, as(worker), exchange.Read, "Observation", id) }},
		{"explain", row, func(id string) {
			_, _ = w.ExplainHypothesis(w.ctx, as("lumi@omaks"), exchange.Hypothesis{Interaction: exchange.Read, Type: "Observation", ID: id})
		}},
		{"update", row, func(id string) { op(update(w.t, id, observation("aino", "2026-02-01"))) }},
		{"delete", row, func(id string) { op(remove("Observation", id)) }},
		{"conditional delete", row, func(id string) {
			op(exchange.Op{Interaction: exchange.Delete, Type: "Observation", Where: query(w.t, "Observation", "_id="+id)})
		}},
		{"create about a Patient", patient, func(id string) { op(create(w.t, observation(id, "2026-02-01"))) }},
		{"create referring", row, func(id string) {
			op(create(w.t, `{"resourceType":"Provenance","target":[{"reference":"Observation/`+id+`"}],"recorded":"2026-01-01T00:00:00Z","agent":[{"who":{"display":"x"}}]}`))
		}},
	}
}
