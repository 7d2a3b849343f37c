package exchange_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"sotesilta/consent"
	"sotesilta/gateway/exchange"
	"sotesilta/gateway/sandbox"
	"sotesilta/internal/fhir"
)

// oracle knows who may see what, by the few rules that the small world needs: one's own register with a running
// relationship of one's own unit (703/2023 § 4.3); patient data in the county's social care with a relationship and the
// client's permit in force (§ 53.2), unless a ban of the county's register stops the county's (§ 59); a system without a
// user, what it wrote itself.
type oracle struct {
	care     map[string]int // unit client → running episodes
	permits  map[string]int // client → permits in force
	bans     map[string]int // client → bans of the county's patient register in force
	rows     []modelRow
	episodes []modelEpisode
	wills    []modelWill
}

type modelRow struct {
	ref, client string
	by          consent.Actor
	deleted     bool
}

type modelEpisode struct {
	id, client, who string
	running         bool
}

type modelWill struct {
	id, client, text string
	ban, active      bool
}

func (o *oracle) sees(a consent.Actor, r modelRow) bool {
	if r.deleted {
		return false
	}
	own := a.Controller == r.by.Controller && a.Register == r.by.Register
	if a.Kind == consent.System {
		return own && a.App == r.by.App
	}
	if o.care[a.Unit+" "+r.client] == 0 {
		return false
	}
	if own {
		return true
	}
	return a.Register == consent.Social && r.by.Register == consent.Health && a.Controller == "Organization/county" &&
		o.permits[r.client] > 0 && (o.bans[r.client] == 0 || r.by.Controller != "Organization/county")
}

const countyBan = `{"resourceType":"Consent","status":"active","scope":{"coding":[{"code":"patient-privacy"}]},"category":[{"coding":[{"system":"https://sotesilta.example/fhir/CodeSystem/directive","code":"ban"}]}],"patient":{"reference":"Patient/%s"},"policyRule":{"text":"kielto"},"provision":{"type":"deny","actor":[{"role":{"text":"controller"},"reference":{"reference":"Organization/county"}}],"class":[{"system":"https://sotesilta.example/fhir/CodeSystem/register","code":"health"}]}}`

// Whatever systems and users write in whatever order, a reader sees exactly what the oracle says: never a row without
// relationship and basis, and never less than its basis gives; and what was read was recorded.
func TestReadersSeeExactlyWhatTheirBasisGives(t *testing.T) {
	w := newWorld(t)
	writers := []string{nurse, worker, physician, "digi-nurse@omaks", "jukola-ehr", "county-social"}
	readers := []string{nurse, doctor, worker, physician, "digi-nurse@omaks", "jukola-ehr", "county-social", "private-clinic"}
	round := 0
	rapid.Check(t, func(t *rapid.T) {
		round++
		clients := []string{fmt.Sprintf("p%d-a", round), fmt.Sprintf("p%d-b", round)}
		for _, client := range clients {
			v, err := fhir.Parse([]byte(`{"resourceType":"Patient","id":"`+client+`","birthDate":"1980-01-01"}`), fhir.DefaultLimits)
			require.NoError(t, err)
			_, err = w.Publish(w.ctx, as("operator").Actor, []*fhir.Value{v})
			require.NoError(t, err)
		}
		o := &oracle{care: map[string]int{}, permits: map[string]int{}, bans: map[string]int{}}
		who := rapid.SampledFrom(writers)
		whom := rapid.SampledFrom(clients)
		parse := func(text string) *fhir.Value {
			v, err := fhir.Parse([]byte(text), fhir.DefaultLimits)
			require.NoError(t, err)
			return v
		}
		set := func(i exchange.Interaction, typ, id, text string) exchange.Op {
			op := exchange.Op{Interaction: i, Type: typ, ID: id}
			if text != "" {
				op.Doc = parse(text)
			}
			return op
		}
		give := func(c exchange.Caller, client, text, id string) ([]exchange.Written, error) {
			ops := directive(w.t, nurse, client, text)
			if id != "" {
				ops[0].Interaction, ops[0].ID = exchange.Update, id
			}
			return w.Transact(w.ctx, c, ops)
		}
		steps := rapid.IntRange(5, 25).Draw(t, "steps")
		for range steps {
			switch rapid.SampledFrom([]string{"care", "care", "end", "write", "write", "move", "delete", "permit", "ban", "withdraw"}).Draw(t, "step") {
			case "care":
				by, client := who.Draw(t, "who"), whom.Draw(t, "whom")
				out, err := w.Transact(w.ctx, as(by), []exchange.Op{set(exchange.Create, "EpisodeOfCare", "", episode(client, "", "active"))})
				require.NoError(t, err)
				o.care[as(by).Actor.Unit+" "+client]++
				o.episodes = append(o.episodes, modelEpisode{out[0].ID, client, by, true})
			case "end":
				i := slices.IndexFunc(o.episodes, func(e modelEpisode) bool { return e.running })
				if i < 0 {
					continue
				}
				e := &o.episodes[i]
				text := episode(e.client, "", rapid.SampledFrom([]string{"finished", "cancelled", "entered-in-error"}).Draw(t, "how"))
				_, err := w.Transact(w.ctx, as(e.who), []exchange.Op{set(exchange.Update, "EpisodeOfCare", e.id, text)})
				require.NoError(t, err)
				e.running = false
				o.care[as(e.who).Actor.Unit+" "+e.client]--
			case "write":
				by, client := who.Draw(t, "who"), whom.Draw(t, "whom")
				out, err := w.Transact(w.ctx, as(by), []exchange.Op{set(exchange.Create, "Observation", "", observation(client, "2026-01-01"))})
				require.NoError(t, err)
				o.rows = append(o.rows, modelRow{ref: out[0].ID, client: client, by: as(by).Actor})
			case "move", "delete":
				if len(o.rows) == 0 {
					continue
				}
				r := &o.rows[rapid.IntRange(0, len(o.rows)-1).Draw(t, "row")]
				by, client := who.Draw(t, "who"), whom.Draw(t, "to whom")
				actor := as(by).Actor
				// A change needs the same of the row as it was and as it will be.
				next := *r
				next.client = client
				if rapid.Bool().Draw(t, "delete") {
					next = *r
					next.deleted = true
				}
				own := actor.Controller == r.by.Controller && actor.Register == r.by.Register
				target := next
				target.deleted = false
				may := own && o.sees(actor, *r) && o.sees(actor, target)
				op := set(exchange.Update, "Observation", r.ref, observation(client, "2026-01-02"))
				if next.deleted {
					op = set(exchange.Delete, "Observation", r.ref, "")
				}
				out, err := w.Transact(w.ctx, as(by), []exchange.Op{op})
				done := err == nil && out[0].Version > 0
				require.Equal(t, may, done, "%s changes %s: %v", by, r.ref, err)
				if done {
					*r = next
				}
			case "permit", "ban":
				client := whom.Draw(t, "whose")
				ban := rapid.Bool().Draw(t, "ban")
				text := sandbox.PermitToSocial(client, sandbox.Period{From: "2020-01-01"})
				if ban {
					text = fmt.Sprintf(countyBan, client)
				}
				out, err := give(as(nurse), client, text, "")
				require.Equal(t, o.care["Organization/jukola "+client] > 0, err == nil, "recorded with a relationship only: %v", err)
				if err != nil {
					continue
				}
				o.wills = append(o.wills, modelWill{out[0].ID, client, text, ban, true})
				if ban {
					o.bans[client]++
				} else {
					o.permits[client]++
				}
			case "withdraw":
				i := slices.IndexFunc(o.wills, func(v modelWill) bool { return v.active })
				if i < 0 {
					continue
				}
				will := &o.wills[i]
				_, err := give(as(nurse), will.client, strings.Replace(will.text, `"status":"active"`, `"status":"inactive"`, 1), will.id)
				require.Equal(t, o.care["Organization/jukola "+will.client] > 0, err == nil, "%v", err)
				if err != nil {
					continue
				}
				will.active = false
				if will.ban {
					o.bans[will.client]--
				} else {
					o.permits[will.client]--
				}
			}
			if len(o.rows) == 0 {
				continue
			}
			reader := rapid.SampledFrom(readers).Draw(t, "reader")
			r := o.rows[rapid.IntRange(0, len(o.rows)-1).Draw(t, "read")]
			commits := w.records(func() {
				_, err := w.Read(w.ctx, as(reader), "Observation", r.ref)
				require.Equal(t, o.sees(as(reader).Actor, r), err == nil, "%s reads a row of %s about %s: %v", reader, r.by.App, r.client, err)
			})
			require.Len(t, flat(commits), 1)
		}
		for _, reader := range readers {
			for _, client := range clients {
				want := []string{}
				for _, r := range o.rows {
					if r.client == client && o.sees(as(reader).Actor, r) {
						want = append(want, "Observation/"+r.ref)
					}
				}
				page, err := w.Search(w.ctx, as(reader), query(w.t, "Observation", "patient="+client+"&_total=accurate"))
				require.NoError(t, err)
				require.ElementsMatch(t, want, refs(page.Matches), "%s searches %s", reader, client)
				require.Equal(t, int64(len(want)), page.Total)
				out, err := w.Gather(w.ctx, as(reader), append([]string{}, refsOf(o.rows)...)...)
				require.NoError(t, err)
				for i, got := range out {
					if got != nil {
						r := o.rows[i]
						unit := as(reader).Actor
						require.True(t, unit.Kind == consent.System && unit.Controller == r.by.Controller && unit.Register == r.by.Register &&
							o.care[unit.Unit+" "+r.client] > 0, "%s is told of what is not its unit's", reader)
					}
				}
			}
		}
	})
}

func refsOf(rows []modelRow) []string {
	var out []string
	for _, r := range rows {
		out = append(out, "Observation/"+r.ref)
	}
	return out
}
