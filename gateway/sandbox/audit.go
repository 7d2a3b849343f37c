package sandbox

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"sotesilta/internal/fhir"
	"sotesilta/internal/terms"
)

// Audit reads the AuditEvent of every line as the auditor, over HTTP, and compares it with what was printed: who,
// what interaction, outcome, basis with citation, and the place in the ledger.
func (j *Journey) Audit(ctx context.Context, lines []Line) error {
	auditor := j.as("auditor", "")
	for _, line := range lines {
		answer, err := auditor.Do(ctx, "GET", "AuditEvent/"+line.Record.ID, nil)
		if err != nil {
			return err
		}
		if answer.Status != 200 {
			return fmt.Errorf("#%d: AuditEvent/%s answers %d", line.Seq, line.Record.ID, answer.Status)
		}
		if err := line.compare(answer.Doc); err != nil {
			return fmt.Errorf("#%d: AuditEvent/%s: %w", line.Seq, line.Record.ID, err)
		}
	}
	return nil
}

// compare holds an AuditEvent against the line.
func (l Line) compare(event *fhir.Value) error {
	outcome := event.Text("outcome") == "0"
	if outcome != (l.Permitted() && l.Record.Success) {
		return fmt.Errorf("outcome %s, printed %s", event.Text("outcome"), l.verdict())
	}
	for _, expected := range []struct{ what, value string }{
		{"decision", l.Record.Outcome},
		{"ledger number", strconv.FormatInt(l.Seq, 10)},
		{"application", l.Record.Actor.App},
		{"user", l.Record.Actor.Name},
	} {
		if expected.value != "" && !holds(event, expected.value) {
			return fmt.Errorf("%s: the AuditEvent does not say %s", expected.what, expected.value)
		}
	}
	for _, basis := range l.Record.Bases {
		policy := false
		for _, uri := range event.All("agent", "policy") {
			policy = policy || uri.Str() == terms.LegalBasisPolicy(basis.ID)
		}
		if !policy || !holds(event, basis.Citation) {
			return fmt.Errorf("basis %s is not in it with its citation", basis.ID)
		}
	}
	recorded, _, ok := fhir.ParseDate(event.Text("recorded"))
	if !ok || !recorded.Equal(l.Record.Time) {
		return fmt.Errorf("recorded %s, printed %s", event.Text("recorded"), fhir.Instant(l.Record.Time))
	}
	return nil
}

// holds says whether any text in a document holds this one.
func holds(v *fhir.Value, text string) bool {
	if strings.Contains(v.Str(), text) {
		return true
	}
	for _, member := range v.Members() {
		if holds(member.Value, text) {
			return true
		}
	}
	for _, item := range v.Items() {
		if holds(item, text) {
			return true
		}
	}
	return false
}
