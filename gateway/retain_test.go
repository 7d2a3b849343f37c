package main

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sotesilta/consent"
	"sotesilta/consent/ledger"
	"sotesilta/gateway/exchange"
	"sotesilta/gateway/store"
	"sotesilta/gateway/store/pgtest"
	"sotesilta/internal/fhir"
)

// The operator sees what is kept how long, erases what is over its time, and puts and ends legal holds, also beside a gateway
// that runs.
func TestRetain(t *testing.T) {
	for name, place := range map[string]func(p *production) string{
		"sqlite":   func(p *production) string { return "sqlite:" + p.path("gateway.db") },
		"postgres": func(*production) string { return pgtest.Postgres(t) },
	} {
		t.Run(name, func(t *testing.T) {
			p := newProduction(t)
			at := place(p)
			_, err := openKeys(p.path("keys"), true)
			require.NoError(t, err)
			command := func(want int, words ...string) (map[string]any, string) {
				t.Helper()
				var out, errs bytes.Buffer
				code := run(t.Context(), append(words, "--store", at, "--keys", p.path("keys")), &out, &errs)
				require.Equal(t, want, code, out.String()+errs.String())
				var doc map[string]any
				_ = json.Unmarshal(out.Bytes(), &doc)
				return doc, out.String() + errs.String()
			}
			s, err := openStore(t.Context(), at)
			require.NoError(t, err)
			_, said := command(exitFailed, "retain")
			require.Contains(t, said, "is not known", "no gateway said how long it keeps its records")

			for i := range 5 {
				id := ledger.NewID()
				require.NoError(t, s.Commit(t.Context(), store.Change{Records: []ledger.Record{{
					ID: id, Exchange: id, Time: time.Now().UTC().AddDate(-12, 0, -10+i).Truncate(time.Millisecond), Interaction: "read", Outcome: "deny",
					Actor: consent.Actor{Kind: consent.System, App: "ehr", Controller: "Organization/county"}, Client: []string{"pekka", "liisa"}[i%2],
					Disclosure: i == 4,
				}}}))
			}
			law, err := consent.New(consent.Config{})
			require.NoError(t, err)
			desk, err := exchange.New(exchange.Config{Store: s, Law: law, Person: func(string) (consent.Actor, bool) { return consent.Actor{}, false }})
			require.NoError(t, err)
			operator := consent.Actor{Kind: consent.Operator, App: "operator", Controller: "Organization/county"}
			terms, err := ledger.ParseTerms([]string{"disclosure=13"})
			require.NoError(t, err)
			_, err = desk.KeepTerms(t.Context(), operator, terms)
			require.NoError(t, err)
			patient, err := fhir.Parse([]byte(`{"resourceType":"Patient","id":"liisa"}`), fhir.DefaultLimits)
			require.NoError(t, err)
			_, err = desk.Publish(t.Context(), operator, []*fhir.Value{patient})
			require.NoError(t, err)
			require.NoError(t, s.Close())

			of := func(doc map[string]any, class string) map[string]any {
				for _, c := range doc["classes"].([]any) {
					if c := c.(map[string]any); c["class"] == class {
						return c
					}
				}
				t.Fatalf("no class %s", class)
				return nil
			}
			counted, _ := command(0, "retain", "--dry-run", "--json")
			require.NotContains(t, counted, "erased")
			require.EqualValues(t, 4, of(counted, "use")["over"])
			require.EqualValues(t, 0, of(counted, "disclosure")["over"])
			require.EqualValues(t, 13, of(counted, "disclosure")["years"])
			require.EqualValues(t, 12, of(counted, "disclosure")["least"])
			_, said = command(0, "retain", "--dry-run")
			require.Regexp(t, `disclosure +13 years from the event \(the law: 12\) +1 +0 +0 `, said)
			require.Regexp(t, `use +12 years from the event +4 +4 +0 `, said)

			_, said = command(exitFailed, "retain", "--hold", "Patient/liisa", "--by", "Maija Virtanen")
			require.Contains(t, said, "a person's decision")
			_, said = command(exitFailed, "retain", "--hold", "nobody", "--by", "Maija Virtanen", "--reason", "dispute")
			require.Contains(t, said, "There is no client Patient/nobody")
			put, _ := command(0, "retain", "--hold", "Patient/liisa", "--by", "Maija Virtanen", "--reason", "hallinto-oikeus 1/2038", "--json")
			hold := put["hold"].(map[string]any)["id"].(string)

			erased, _ := command(0, "retain", "--json")
			require.EqualValues(t, 2, erased["erased"])
			require.EqualValues(t, 2, of(erased, "use")["held"])
			_, said = command(0, "verify")
			require.Contains(t, said, "0 waiting", "the command gave its records their places")

			p.running(t, p.args("--store", at, "--retention", "disclosure=13"), func(string, *logs) {
				_, said = command(0, "retain")
				require.Contains(t, said, "0 records erased now\n2 records without content, erased before")
				require.Contains(t, said, "legal hold "+hold+": Patient/liisa")
				command(0, "retain", "--release", hold, "--by", "Maija Virtanen", "--reason", "ratkaistu")
				erased, _ = command(0, "retain", "--json")
				require.EqualValues(t, 2, erased["erased"])
				require.Empty(t, erased["holds"])
			})
			command(0, "verify")
		})
	}
}

// A term that is shorter than the law's, or of no class, stops the start with a word that a person understands.
func TestATermShorterThanTheLawIsRefused(t *testing.T) {
	p := newProduction(t)
	for _, c := range [][2]string{{"use=10", "shorter than the law: these are kept 12 years"}, {"logs=20", "the classes are use,"}, {"erasure=30", "kept for ever"}} {
		var out, errs bytes.Buffer
		require.Equal(t, exitFailed, run(t.Context(), p.args("--init-keys", "--store", "sqlite:"+p.path("gateway.db"), "--retention", c[0]), &out, &errs))
		require.Contains(t, errs.String(), "SOTESILTA_RETENTION")
		require.Contains(t, errs.String(), c[1])
		_, err := os.Stat(p.path("gateway.db"))
		require.ErrorIs(t, err, os.ErrNotExist, "nothing was made")
	}
}
