package process

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"sotesilta/consent"
	"sotesilta/internal/fhir"
	"sotesilta/internal/terms"
)

// whole checks what must hold of every process at every moment.
func whole(t require.TestingT, w *world) {
	evidence := map[string]consent.Relation{}
	for _, rel := range w.facts[client].Relationships {
		if rel.Kind == consent.Participant || rel.Kind == consent.Invited {
			require.NotContains(t, evidence, rel.Evidence, "one relationship rests on an invitation")
			evidence[rel.Evidence] = rel.Kind
			require.NotEmpty(t, rel.Basis, "%s rests on a recorded decision", rel.Evidence)
			require.Equal(t, w.rows[rel.Evidence].Class.Process, rel.Process)
		}
	}
	running := 0
	for _, ref := range w.order {
		if w.rows[ref].Class.Process != ref {
			continue
		}
		status := w.status(ref)
		runsNow := status == "draft" || status == "active"
		if runsNow {
			running++
		}
		entries := map[string]bool{} // invitations with a participant entry whose period runs
		answering := 0
		for _, p := range w.team(ref).Doc.Get("participant").Items() {
			if !runs(p, w.now) {
				continue
			}
			require.True(t, runsNow, "%s: nobody takes part in a process that has ended", ref)
			switch p.Text("role", "coding", "code") {
			case participant:
				entries["Task/"+p.Text("id")] = true
			case responsible:
				answering++
			}
		}
		accepted, crossed, assessed := false, false, false
		steps, taking := 0, 0
		var lastStatus, lastStep string
		for _, task := range w.order {
			row := w.rows[task]
			if row.Type != "Task" || row.Class.Process != ref {
				continue
			}
			at := row.Doc.Text("status")
			if !runsNow {
				require.False(t, openStatuses[at], "%s is over with its process", task)
			}
			if step(row.Doc) != terms.StepInvite {
				lastStatus, lastStep = at, step(row.Doc)
				if openStatuses[at] {
					steps++
				}
				assessed = assessed || step(row.Doc) == terms.StepAssess
				accepted = accepted || step(row.Doc) == terms.StepDiscuss && at == "completed" && output(row.Doc, answer).Str() == "accepted"
				continue
			}
			require.Equal(t, membership[at], entries[task], "%s: a participant's period runs if and only if the invitation is accepted (%s)", task, at)
			want := map[bool]consent.Relation{true: consent.Participant}[membership[at]]
			if at == "requested" || at == "received" {
				want = consent.Invited
			}
			require.Equal(t, want, evidence[task], "%s: %s", task, at)
			delete(entries, task)
			if membership[at] {
				taking++
			}
			crossed = crossed || w.everAccepted[task] && w.people[w.user(row.Doc)].Actor.Register != w.rows[ref].Class.Register && w.people[w.user(row.Doc)].Actor.Controller == county
		}
		require.Empty(t, entries, "no participant without an invitation")
		require.LessOrEqual(t, answering, 1)
		require.LessOrEqual(t, steps, 1, "one line of steps")
		if runsNow && assessed {
			require.Equal(t, 1, answering, "%s: exactly one responsible worker from assess on", ref)
		}
		if runsNow && steps == 0 && lastStatus != "failed" {
			require.Contains(t, []string{terms.StepAssess, terms.StepReview}, lastStep, "a process without an open step waits for a participant")
			require.Equal(t, "completed", lastStatus)
			require.Zero(t, taking, "and has none")
		}
		joint := w.rows[ref].Class.Joint
		require.Equal(t, accepted && crossed, joint, "%s: joint if and only if the client accepted and somebody accepted across", ref)
		for _, doc := range w.order {
			row := w.rows[doc]
			if row.Class.Process == ref && row.Class.Joint {
				require.True(t, joint, "%s is joint only with its plan", doc)
			}
			if row.Class.Process == ref && joint && row.Type == "Task" && runsNow && shared(row.Doc) {
				require.Equal(t, row.Class.Controller == county, row.Class.Joint, "%s: later documents are joint", doc)
			}
		}
		for invitation := range evidence {
			if w.rows[invitation].Class.Process == ref {
				require.True(t, runsNow, "%s: no relationship outlives its process", invitation)
			}
		}
	}
	require.LessOrEqual(t, running, 2, "at most one in each register")
}

// user is who an invitation was sent to.
func (w *world) user(task *fhir.Value) string {
	return task.Text("owner", "reference")[len("PractitionerRole/"):]
}

// TestMembershipsFollowInvitations plays random sequences of steps, invitations, answers and ends by everybody, and
// holds the process against what must always be so.
func TestMembershipsFollowInvitations(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		w := newWorld(r)
		users := []string{"nurse", "doctor", "digi-nurse", "social-worker", "counsellor", "digi-counsellor", "clinic-doctor", "neighbour", "jukola-ehr"}
		user := rapid.SampledFrom(users)
		for _, starter := range []string{"nurse", "social-worker"} {
			stages := []string{"", "", "", terms.StepAssess, terms.StepCheckResponsible, terms.StepDiscuss, terms.StepIdentify, "-"}
			if stage := rapid.SampledFrom(stages).Draw(r, "stage of "+starter); stage != "-" {
				w.until(starter, stage)
			}
		}
		professional := rapid.SampledFrom(users[:8])
		outputs := map[string][]string{
			terms.StepDiscuss:          {code(answer, "accepted"), code(answer, "accepted"), code(answer, "accepted"), code(answer, "declined")},
			terms.StepCheckResponsible: {code(responsible, "none"), refTo(responsible, "PractitionerRole/doctor"), refTo(responsible, "PractitionerRole/counsellor")},
			terms.StepReview:           {code(outcome, "continue"), code(outcome, "end")},
		}
		pick := func(match func(string) bool) string {
			var refs []string
			for _, ref := range w.order {
				if match(ref) {
					refs = append(refs, ref)
				}
			}
			if len(refs) == 0 {
				r.Skip("nothing to pick")
			}
			return rapid.SampledFrom(refs).Draw(r, "ref")
		}
		task := func(invite bool) string {
			return pick(func(ref string) bool {
				return w.rows[ref].Type == "Task" && (step(w.rows[ref].Doc) == terms.StepInvite) == invite
			})
		}
		plan := func() string { return pick(func(ref string) bool { return w.rows[ref].Class.Process == ref }) }
		successor := func() []string {
			if rapid.Bool().Draw(r, "names a successor") {
				return []string{refTo(responsible, "PractitionerRole/"+professional.Draw(r, "successor"))}
			}
			return nil
		}
		results := func(doc *fhir.Value) []string {
			if step(doc) == terms.StepBookAssessment {
				return []string{w.booking(w.user(doc))}
			}
			return outputs[step(doc)]
		}
		r.Repeat(map[string]func(*rapid.T){
			"": func(r *rapid.T) { whole(r, w) },
			"apply": func(r *rapid.T) {
				_, _ = w.apply(rapid.SampledFrom([]string{"nurse", "social-worker", "counsellor"}).Draw(r, "user"))
			},
			"complete": func(r *rapid.T) { // by the owner: the usual way on
				ref := task(false)
				doc := w.rows[ref].Doc
				out := successor()
				if choices := results(doc); choices != nil {
					out = []string{rapid.SampledFrom(choices).Draw(r, "output")}
				}
				_ = w.put(w.user(doc), ref, to("completed", out...))
			},
			"go on": func(r *rapid.T) {
				p := plan()
				for _, ref := range w.order {
					doc := w.rows[ref].Doc
					if w.rows[ref].Type != "Task" || w.rows[ref].Class.Process != p || step(doc) == terms.StepInvite || !openStatuses[w.status(ref)] {
						continue
					}
					out := successor()
					if choices := results(doc); choices != nil {
						out = choices[:1]
					}
					err := w.put(w.user(doc), ref, func(doc *fhir.Value) {
						doc.Set("output", nil) // what others wrote there before
						to("completed", out...)(doc)
					})
					if len(out) == 0 || step(doc) != terms.StepAssess && step(doc) != terms.StepDeliver {
						require.NoError(r, err, "who is asked to do a step can do it")
					}
					return
				}
				r.Skip("nothing to go on with")
			},
			"move a step": func(r *rapid.T) {
				_ = w.put(user.Draw(r, "user"), task(false), to(rapid.SampledFrom(taskStatuses).Draw(r, "status"), successor()...))
			},
			"invite": func(r *rapid.T) {
				_, _ = w.invite(professional.Draw(r, "from"), plan(), professional.Draw(r, "owner"))
			},
			"invite and accept": func(r *rapid.T) {
				p := plan()
				from := personOf(w.people["nurse"].Actor)
				if members := w.team(p).Doc.All("participant", "member", "reference"); len(members) > 0 {
					from = rapid.SampledFrom(members).Draw(r, "member").Str()
				}
				_, _ = w.accept(from[len("PractitionerRole/"):], p, professional.Draw(r, "owner"))
			},
			"answer": func(r *rapid.T) { // by the owner
				ref := task(true)
				_ = w.put(w.user(w.rows[ref].Doc), ref, to(rapid.SampledFrom(taskStatuses).Draw(r, "status"), successor()...))
			},
			"move an invitation": func(r *rapid.T) {
				ref, by := task(true), user.Draw(r, "user")
				status := rapid.SampledFrom(taskStatuses).Draw(r, "status")
				before := w.status(ref)
				if w.put(by, ref, to(status, successor()...)) == nil && membership[status] && !membership[before] {
					require.Equal(r, w.user(w.rows[ref].Doc), by, "nobody accepts for another")
				}
			},
			"edit a body": func(r *rapid.T) {
				ref, by := pick(func(ref string) bool { return w.rows[ref].Type == "Task" }), user.Draw(r, "user")
				doc := w.rows[ref].Doc
				parties := []string{doc.Text("owner", "reference"), doc.Text("requester", "reference")}
				for _, p := range w.team(w.rows[ref].Class.Process).Doc.Get("participant").Items() {
					if runs(p, w.now) && (hasRole(p, responsible) || hasRole(p, recogniser)) {
						parties = append(parties, p.Text("member", "reference"))
					}
				}
				if w.put(by, ref, set("priority", `"urgent"`)) == nil {
					require.True(r, slices.Contains(parties, "PractitionerRole/"+by), "%s edits %s", by, ref)
				}
			},
			"break off": func(r *rapid.T) {
				if rapid.IntRange(0, 4).Draw(r, "seldom") == 0 {
					_ = w.put(professional.Draw(r, "user"), plan(), to("revoked"))
				}
			},
			"time passes": func(r *rapid.T) {
				w.now = w.now.Add(time.Duration(rapid.IntRange(1, 10).Draw(r, "days")) * 24 * time.Hour)
			},
		})
	})
}
