package process

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/consent"
	"sotesilta/gateway/exchange"
	"sotesilta/internal/fhir"
	"sotesilta/internal/terms"
)

// allowed is what the tables give, written out once more: "from → to" and the parties. Everything else is refused.
var allowed = map[string]map[string]string{
	"invite": {
		"requested → received": "owner", "requested → accepted": "owner", "requested → rejected": "owner",
		"received → accepted": "owner", "received → rejected": "owner",
		"accepted → in-progress": "owner", "accepted → on-hold": "owner", "accepted → rejected": "owner", "accepted → completed": "owner",
		"in-progress → on-hold": "owner", "in-progress → completed": "owner", "in-progress → failed": "owner", "in-progress → rejected": "owner",
		"on-hold → in-progress": "owner", "on-hold → completed": "owner", "on-hold → failed": "owner", "on-hold → rejected": "owner",
		"requested → cancelled": "requester responsible", "requested → entered-in-error": "requester responsible",
		"received → cancelled": "requester responsible", "received → entered-in-error": "requester responsible",
		"accepted → cancelled": "requester responsible", "accepted → entered-in-error": "requester responsible",
		"in-progress → cancelled": "requester responsible", "in-progress → entered-in-error": "requester responsible",
		"on-hold → cancelled": "requester responsible", "on-hold → entered-in-error": "requester responsible",
	},
	"step": {
		"ready → in-progress": "owner responsible", "ready → on-hold": "owner responsible", "ready → completed": "owner responsible", "ready → failed": "owner responsible",
		"in-progress → on-hold": "owner responsible", "in-progress → completed": "owner responsible", "in-progress → failed": "owner responsible",
		"on-hold → in-progress": "owner responsible", "on-hold → completed": "owner responsible", "on-hold → failed": "owner responsible",
		"failed → ready": "owner responsible",
	},
}

// staged is a process in which one Task has a status, with one person for each party:
// owner digi-nurse, requester nurse, responsible worker doctor; the social worker is no party but a member of the team.
func staged(t *testing.T, w *world, table, status string) *exchange.Current {
	t.Helper()
	put := func(typ, id, text string) *exchange.Current {
		row := &exchange.Current{Type: typ, ID: id, Version: 1, Doc: parse(text), Class: consent.Class{
			Type: typ, Clients: []string{client}, Controller: county, Register: consent.Health, Joint: true, Process: "CarePlan/p",
		}}
		w.rows[row.Ref()] = row
		w.order = append(w.order, row.Ref())
		return row
	}
	put("CarePlan", "p", `{"resourceType":"CarePlan","status":"active","intent":"plan","subject":{"reference":"Patient/aino"},"careTeam":[{"reference":"CareTeam/t"}]}`)
	team := put("CareTeam", "t", `{"resourceType":"CareTeam","status":"active","subject":{"reference":"Patient/aino"}}`)
	for _, who := range []string{recogniser + " nurse", responsible + " doctor", participant + " social-worker"} {
		role, user, _ := strings.Cut(who, " ")
		addParticipant(team.Doc, newParticipant("", "PractitionerRole/"+user, "", role, "2026-01-01T00:00:00.000Z"))
	}
	step_ := map[string]string{"invite": terms.StepInvite, "step": terms.StepDeliver}[table]
	task := put("Task", "x", `{"resourceType":"Task","status":"`+status+`","intent":"order","basedOn":[{"reference":"CarePlan/p"}],
		"code":{"coding":[{"system":"`+terms.Step+`","code":"`+step_+`"}]},"for":{"reference":"Patient/aino"},"authoredOn":"2026-01-01T00:00:00.000Z",
		"requester":{"reference":"PractitionerRole/nurse"},"owner":{"reference":"PractitionerRole/digi-nurse"},
		"restriction":{"period":{"end":"2026-12-24"}}}`)
	if table == "invite" {
		task.Class.Invitation = "Task/x"
		kind := consent.Invited
		if membership[status] {
			kind = consent.Participant
		}
		actor, _ := w.View(exchange.Caller{}).Person("PractitionerRole/digi-nurse")
		rel := participation("Task/x", "CarePlan/p", actor, task.Doc, kind)
		rel.Basis = "ATL-4.3-H"
		w.facts[client] = w.facts[client].Relate("Task/x", rel)
	}
	return task
}

// TestTransitions tries every status to every status as every party, through the rules.
func TestTransitions(t *testing.T) {
	who := map[string]string{
		"owner": "digi-nurse", "requester": "nurse", "responsible": "doctor", "no party": "social-worker", "a system": "jukola-ehr", "a stranger": "counsellor",
	}
	for table, rows := range allowed {
		for _, from := range taskStatuses {
			for party, user := range who {
				w := newWorld(t)
				task := staged(t, w, table, from)
				for _, status := range taskStatuses {
					doc := task.Doc.Clone()
					doc.Set("status", fhir.NewString(status))
					d := &exchange.Draft{Caller: w.people[user], Time: w.now, Items: []*exchange.Item{{Type: "Task", ID: "x", Before: task, Doc: doc, Class: task.Class}}}
					err := w.process.Govern(context.Background(), w.View(d.Caller), d)
					where := fmt.Sprintf("%s: %s → %s by %s", table, from, status, party)
					want := slices.Contains(strings.Fields(rows[from+" → "+status]), party)
					if from == status { // the body: parties only, and only while the Task is open
						want = openStatuses[from] && slices.Contains(partyNames, party)
					}
					if want {
						require.NoError(t, err, where)
						continue
					}
					require.Error(t, err, where)
					var refusal *exchange.Error
					require.ErrorAs(t, err, &refusal, where)
					require.Equal(t, exchange.Unprocessable, refusal.Kind, where)
					require.Contains(t, refusal.Error(), "Task/x", where)
					require.Contains(t, refusal.Error(), "table joint-client", where)
				}
			}
		}
	}
}

// diagram is the state machine of a Task as FHIR R4 § 12.8.6 suggests it, in our reading: what is asked for is
// received, accepted or rejected; what is ready or accepted is worked on; work is held, completed or fails; and what is
// not over is cancelled or was entered in error.
var diagram = map[string][]string{
	"draft":       {"requested", "ready", "cancelled", "entered-in-error"},
	"requested":   {"received", "accepted", "rejected", "ready", "cancelled", "entered-in-error"},
	"received":    {"accepted", "rejected", "ready", "cancelled", "entered-in-error"},
	"accepted":    {"ready", "in-progress", "cancelled", "entered-in-error"},
	"ready":       {"in-progress", "cancelled", "entered-in-error"},
	"in-progress": {"on-hold", "completed", "failed", "cancelled", "entered-in-error"},
	"on-hold":     {"in-progress", "cancelled", "entered-in-error"},
	"rejected":    {"entered-in-error"}, "completed": {"entered-in-error"}, "failed": {"entered-in-error"}, "cancelled": {"entered-in-error"},
}

// TestDeviationsFromTheDiagramAreSaid: what the tables allow beyond the diagram is listed with a reason, and nothing
// is listed that they do not.
func TestDeviationsFromTheDiagramAreSaid(t *testing.T) {
	tables, err := readTransitions(transitionsFile)
	require.NoError(t, err)
	var leave, said []string
	for name, table := range map[string]table{"invite": tables.Invite, "step": tables.Step} {
		for _, row := range table {
			for _, status := range row.To {
				if !slices.Contains(diagram[row.From], status) {
					leave = append(leave, name+": "+row.From+" → "+status)
				}
			}
		}
	}
	for _, d := range tables.Deviations {
		require.NotEmpty(t, d.Why)
		for _, status := range d.To {
			said = append(said, d.Table+": "+d.From+" → "+status)
		}
	}
	require.ElementsMatch(t, leave, said)
}

// TestTheTablesHaveNoDeadEnd: from every status that a Task begins in, each status on the way leads on, or is over.
func TestTheTablesHaveNoDeadEnd(t *testing.T) {
	tables, err := readTransitions(transitionsFile)
	require.NoError(t, err)
	for name, c := range map[string]struct {
		table table
		start string
		over  []string
	}{
		"invite": {tables.Invite, "requested", []string{"rejected", "completed", "failed", "cancelled", "entered-in-error"}},
		"step":   {tables.Step, "ready", []string{"completed"}},
	} {
		reached, next := map[string]bool{c.start: true}, []string{c.start}
		for len(next) > 0 {
			from := next[0]
			next = next[1:]
			leads := false
			for _, row := range c.table {
				if row.From != from {
					continue
				}
				leads = true
				for _, status := range row.To {
					if !reached[status] {
						reached[status] = true
						next = append(next, status)
					}
				}
			}
			require.NotEqual(t, leads, slices.Contains(c.over, from), "%s: %s", name, from)
		}
		for _, row := range c.table {
			require.True(t, reached[row.From], "%s: %s is never reached", name, row.From)
		}
	}
}

// TestRequirementsOfGravity holds the table against the lines on referrals of Gravity's requirements.
func TestRequirementsOfGravity(t *testing.T) {
	text, err := os.ReadFile("../../../shared/samples/gravity/Requirements-fromNarrative.json")
	if err != nil {
		t.Skip("the sample Requirements-fromNarrative.json is not here: ", err)
	}
	var requirements struct {
		Statement []struct {
			Key         string
			Requirement string
		}
	}
	require.NoError(t, json.Unmarshal(text, &requirements))
	tables, err := readTransitions(transitionsFile)
	require.NoError(t, err)
	stated := map[string]bool{}
	for _, s := range requirements.Statement {
		if strings.HasPrefix(s.Key, "refer-") {
			stated[s.Key] = true
		}
	}
	require.NotEmpty(t, stated)
	for _, r := range tables.Requirements {
		require.NotEmpty(t, r.How, r.Key)
		if r.Source == "gravity" {
			require.True(t, stated[r.Key], "%s is a line of the sample", r.Key)
			delete(stated, r.Key)
		}
	}
	require.Empty(t, stated, "every line on referrals is answered in transitions.yaml")

	// refer-6, and the statuses of the closed loop: requested, accepted, in-progress, on-hold, completed, rejected, cancelled, failed.
	reach := map[string]bool{"requested": true}
	for _, row := range tables.Invite {
		for _, status := range row.To {
			reach[status] = true
		}
	}
	for _, status := range []string{"requested", "accepted", "in-progress", "on-hold", "completed", "rejected", "cancelled", "failed"} {
		require.True(t, reach[status], status)
	}
	for _, row := range tables.Invite { // refer-6: the target updates the status, the source cancels
		for _, status := range row.To {
			require.Equal(t, status == "cancelled" || status == "entered-in-error", !slices.Contains(row.By, owner), "%s → %s", row.From, status)
		}
	}
}

func TestATableWithMistakesIsRefused(t *testing.T) {
	for name, c := range map[string]struct{ text, says string }{
		"an unknown key":    {"profil: x", "field profil not found"},
		"an unknown status": {"invite: [{from: asked, to: [accepted], by: [owner]}]", `"asked" is no status`},
		"an unknown party":  {"step: [{from: ready, to: [completed], by: [anybody]}]", `"anybody" is no party`},
		"nobody":            {"step: [{from: ready, to: [completed], by: []}]", "without to or by"},
	} {
		_, err := readTransitions([]byte(c.text))
		require.ErrorContains(t, err, c.says, name)
	}
}

func TestADefinitionThatIsNotUnderstoodIsRefused(t *testing.T) {
	action := func(members string) string {
		return `{"resourceType":"PlanDefinition","action":[{"id":"a","title":"A","code":[{"coding":[{"system":"` + terms.Step + `","code":"a"}]}]` + members + `}]}`
	}
	for name, c := range map[string]struct{ members, says string }{
		"an unknown action":     {`,"relatedAction":[{"actionId":"b","relationship":"after-end"}]`, "after-end of an action"},
		"another relationship":  {`,"relatedAction":[{"actionId":"a","relationship":"before"}]`, "after-end of an action"},
		"another condition":     {`,"relatedAction":[{"actionId":"a","relationship":"after-end","extension":[{"url":"` + afterOutput + `","valueExpression":{"language":"text/fhirpath","expression":"true"}}]}]`, "not understood"},
		"another start":         {`,"condition":[{"kind":"start","expression":{"language":"text/fhirpath","expression":"true"}}]`, "not understood"},
		"a due date in days":    {`,"timingDuration":{"value":5,"system":"http://unitsofmeasure.org","code":"d"}`, "whole months"},
		"an id that is no code": {`,"id":"z"`, "its code"},
	} {
		text := action(c.members)
		if strings.HasPrefix(c.members, `,"id"`) {
			text = strings.Replace(action(""), `"id":"a"`, `"id":"z"`, 1)
		}
		_, err := readFlow(parse(text))
		require.ErrorContains(t, err, c.says, name)
	}
}

// TestTheFlow: every step is in the flow, and each outcome leads to the steps that the design says.
func TestTheFlow(t *testing.T) {
	p, err := New()
	require.NoError(t, err)
	for from, ways := range map[string]map[string]string{
		terms.StepIdentify:         {"": terms.StepDiscuss},
		terms.StepDiscuss:          {code(answer, "accepted"): terms.StepCheckResponsible, code(answer, "declined"): ""},
		terms.StepCheckResponsible: {code(responsible, "none"): terms.StepBookAssessment, refTo(responsible, "Practitioner/1"): terms.StepAssess},
		terms.StepBookAssessment:   {"": terms.StepAssess},
		terms.StepAssess:           {"": terms.StepDeliver},
		terms.StepInvite:           {"": ""},
		terms.StepDeliver:          {"": terms.StepReview},
		terms.StepReview:           {code(outcome, "continue"): terms.StepDeliver, code(outcome, "end"): terms.StepEnd},
		terms.StepEnd:              {"": ""},
	} {
		require.NotNil(t, p.flow.action(from), from)
		for out, want := range ways {
			got := ""
			for _, next := range p.flow.after(from, parse(`{"output":[`+out+`]}`)) {
				got += next.id
			}
			require.Equal(t, want, got, "%s with %s", from, out)
		}
	}
	require.Len(t, p.flow, 9)
	require.True(t, p.flow.action(terms.StepInvite).byCallers)
	require.True(t, p.flow.action(terms.StepDeliver).waits)
	require.Equal(t, 1, p.flow.action(terms.StepReview).months)
}
