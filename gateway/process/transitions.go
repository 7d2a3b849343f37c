package process

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

//go:embed transitions.yaml
var transitionsFile []byte

// transitions is transitions.yaml.
type transitions struct {
	Profile      string        `yaml:"profile"`
	Version      string        `yaml:"version"`
	Invite       table         `yaml:"invite"`
	Step         table         `yaml:"step"`
	Request      table         `yaml:"request"`
	Decide       table         `yaml:"decide"`
	Disclose     table         `yaml:"disclose"`
	Notice       table         `yaml:"notice"`
	Deviations   []deviation   `yaml:"deviations"`
	Requirements []requirement `yaml:"requirements"`
}

// table is who may move a Task from which status to which.
type table []transition

type transition struct {
	From string   `yaml:"from"`
	To   []string `yaml:"to"`
	By   []string `yaml:"by"`
}

// deviation is a transition that the diagram of FHIR R4 does not show, and why it is in a table of ours.
type deviation struct {
	Table string   `yaml:"table"`
	From  string   `yaml:"from"`
	To    []string `yaml:"to"`
	Why   string   `yaml:"why"`
}

// requirement is a line of another profile, and how the table and the rules stand to it.
type requirement struct {
	Source string `yaml:"source"`
	Key    string `yaml:"key"`
	Met    bool   `yaml:"met"`
	How    string `yaml:"how"`
}

// The parties of a Task, as the table names them.
const (
	owner     = "owner"
	requester = "requester"
)

var partyNames = []string{owner, requester, responsible}

// taskStatuses are the codes of Task.status (FHIR R4 task-status).
var taskStatuses = []string{
	"draft", "requested", "received", "accepted", "rejected", "ready", "cancelled", "in-progress", "on-hold", "failed",
	"completed", "entered-in-error",
}

func readTransitions(text []byte) (transitions, error) {
	var t transitions
	decoder := yaml.NewDecoder(strings.NewReader(string(text)))
	decoder.KnownFields(true)
	if err := decoder.Decode(&t); err != nil {
		return t, fmt.Errorf("transitions.yaml: %w", err)
	}
	for name, rows := range map[string]table{
		"invite": t.Invite, "step": t.Step, "request": t.Request, "decide": t.Decide, "disclose": t.Disclose, "notice": t.Notice,
	} {
		for _, row := range rows {
			for _, status := range append([]string{row.From}, row.To...) {
				if !slices.Contains(taskStatuses, status) {
					return t, fmt.Errorf("transitions.yaml: %s: %q is no status of a Task", name, status)
				}
			}
			for _, party := range row.By {
				if !slices.Contains(partyNames, party) {
					return t, fmt.Errorf("transitions.yaml: %s: %q is no party of a Task", name, party)
				}
			}
			if len(row.By) == 0 || len(row.To) == 0 {
				return t, fmt.Errorf("transitions.yaml: %s: a row from %s without to or by", name, row.From)
			}
		}
	}
	return t, nil
}

// check refuses a transition of what (a step, an invitation) that the table does not give to one of the caller's parties. A change that leaves the
// status as it is needs a party too: nobody else edits the body of a Task; and a Task that is over keeps its body.
func (t table) check(what, ref, from, to string, parties []string) error {
	if from == to {
		switch {
		case len(parties) == 0:
			return violation("Task", "%s: only its owner, its requester or the responsible worker change it (table joint-client)", ref)
		case !openStatuses[from]:
			return violation("Task", "%s: it is %s and does not change any more (table joint-client)", ref, from)
		}
		return nil
	}
	possible := false
	for _, row := range t {
		if row.From != from || !slices.Contains(row.To, to) {
			continue
		}
		possible = true
		if slices.ContainsFunc(row.By, func(party string) bool { return slices.Contains(parties, party) }) {
			return nil
		}
	}
	if possible {
		as := "who is no party of the Task"
		if len(parties) > 0 {
			as = "the " + strings.Join(parties, " and ")
		}
		return violation("Task.status", "%s: %s → %s: not allowed for %s. %s (table joint-client, FHIR R4 Task § 12.8.6)", ref, from, to, as, t.ways(what, from))
	}
	return violation("Task.status", "%s: %s → %s: not a transition. %s (table joint-client, FHIR R4 Task § 12.8.6)", ref, from, to, t.ways(what, from))
}

// ways says in words where a status leads, and by whose hand: "A step that is failed goes to ready by its owner or the
// responsible worker."
func (t table) ways(what, from string) string {
	var ways []string
	for _, row := range t {
		if row.From != from {
			continue
		}
		by := make([]string, len(row.By))
		for i, party := range row.By {
			by[i] = partyWords[party]
		}
		ways = append(ways, oneOf(row.To)+" by "+oneOf(by))
	}
	if len(ways) == 0 { // also of a table that is empty: what mends a mistake is over when it is written
		return what + " that is " + from + " is over and stays so."
	}
	return what + " that is " + from + " goes to " + strings.Join(ways, "; or to ") + "."
}

// partyWords are the parties as sentences name them.
var partyWords = map[string]string{owner: "its owner", requester: "its requester", responsible: "the responsible worker"}

// oneOf joins words: a, b or c.
func oneOf(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}
