package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
	"unicode"

	"sotesilta/consent"
	"sotesilta/consent/ledger"
	"sotesilta/gateway/report"
	"sotesilta/internal/fhir"
)

// fileChecked is what was found of one file.
type fileChecked struct {
	File     string         `json:"file"`
	OK       bool           `json:"ok"`
	Shown    string         `json:"shown,omitempty"`    // what the file proves
	Problems []string       `json:"problems,omitempty"` // why it does not
	Record   *ledger.Record `json:"record,omitempty"`   // that a proof of a record holds, or its open part
	seq      int64          // place of Record
	event    *fhir.Value    // an AuditEvent, which only a proof beside it can prove
}

// files checks files offline, whatever they are: log reports, proofs of single records (text or FHIR Binary) and the
// AuditEvents that they are of, the public proofs of inclusion and consistency, signed checkpoints. It prints what each
// shows, and fails with errNotWell when one does not hold.
func (v *verifyCommand) files(key string, out streams) error {
	var seen [][]byte
	for _, path := range v.Seen {
		signed, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		seen = append(seen, signed)
	}
	checked := make([]fileChecked, 0, len(v.Files))
	for _, path := range v.Files {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		c, err := checkFile(text, key, seen, v.Witness)
		if err != nil {
			c.Problems = []string{"not proved: " + err.Error()}
		}
		c.File = path
		checked = append(checked, c)
	}
	failed := false
	for i := range checked {
		c := &checked[i]
		if c.event != nil {
			c.compare(checked)
		}
		c.OK = len(c.Problems) == 0
		failed = failed || !c.OK
	}
	if v.JSON {
		text, err := json.MarshalIndent(struct {
			OK    bool          `json:"ok"`
			Key   string        `json:"key"` // that was pinned
			Files []fileChecked `json:"files"`
		}{!failed, key, checked}, "", "  ")
		if err != nil {
			return err
		}
		fmt.Fprintf(out.out, "%s\n", text)
	} else {
		for i := range checked {
			checked[i].print(out.out)
		}
	}
	if failed {
		return errNotWell
	}
	return nil
}

// compare holds an AuditEvent against the record that a proof among the files proves.
func (c *fileChecked) compare(files []fileChecked) {
	id := fhir.ID(c.event)
	for i := range files {
		rec := files[i].Record
		if rec == nil || rec.ID != id {
			continue
		}
		if len(files[i].Problems) > 0 {
			break
		}
		proved, err := fhir.Parse(rec.AuditEvent(files[i].seq), fhir.DefaultLimits)
		if err != nil || !bytes.Equal(proved.JSON(), c.event.JSON()) {
			c.Problems = []string{string(ledger.Edited) + ": it does not say what was recorded: " + files[i].File + " does"}
			return
		}
		c.Shown = "AuditEvent " + id + " says what " + files[i].File + " proves"
		return
	}
	c.Problems = []string{"not proved: an AuditEvent proves nothing by itself; check it together with its proof (POST AuditEvent/" + id + "/$proof)"}
}

func (c *fileChecked) print(w io.Writer) {
	if !c.OK {
		fmt.Fprintf(w, "%s: NOT WELL\n", c.File)
		for _, problem := range c.Problems[:min(len(c.Problems), maxProblems)] {
			fmt.Fprintf(w, "  %s\n", plain(problem))
		}
		if more := len(c.Problems) - maxProblems; more > 0 {
			fmt.Fprintf(w, "  and %d more (--json tells all)\n", more)
		}
		return
	}
	fmt.Fprintf(w, "%s: %s\n", c.File, plain(c.Shown))
	if c.Record != nil {
		printRecord(w, c.Record)
	}
}

// maxProblems bounds what is printed of one file.
const maxProblems = 20

// printRecord prints what a proved record says, in the words of 703/2023 § 10: the auditor need not read the proof.
func printRecord(w io.Writer, r *ledger.Record) {
	line := func(name string, parts ...string) {
		parts = slices.DeleteFunc(parts, func(part string) bool { return part == "" })
		if len(parts) > 0 {
			fmt.Fprintf(w, "  %-10s %s\n", name, plain(strings.Join(parts, ", ")))
		}
	}
	outcome := r.Outcome
	if r.Outcome == string(consent.Permitted) && !r.Success {
		outcome += " (not done)"
	}
	client := ""
	if r.Client != "" {
		client = "Patient/" + r.Client
	}
	kind := "use"
	if r.Disclosure {
		kind = "disclosure"
	}
	var bases, moved []string
	for _, b := range r.Bases {
		bases = append(bases, b.ID+" "+b.Citation)
	}
	for _, e := range r.Entities {
		moved = append(moved, e.What+" ("+e.Role+")")
	}
	line("when", r.Time.UTC().Format(time.RFC3339Nano))
	line("what", r.Interaction+" "+r.Target, r.Query, kind)
	line("whose", client, r.Controller, string(r.Register))
	line("by", r.Actor.Name, r.Actor.Person, r.Actor.App, r.Actor.Unit, r.Actor.Controller)
	line("to", r.Recipient)
	line("purpose", string(r.Purpose))
	line("outcome", outcome)
	line("basis", bases...)
	line("directives", r.Directives...)
	line("bans", r.Bans...)
	line("relation", r.Evidence...)
	line("moved", moved...)
	line("policy", r.Policy)
	line("reason", r.Reason)
}

// plain is text of a file without what a terminal would obey.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}

// checkFile says what a file proves, or what is wrong with it.
func checkFile(text []byte, key string, seen [][]byte, witnesses []string) (fileChecked, error) {
	if len(text) > report.MaxBytes {
		return fileChecked{}, errors.New("larger than any report or proof")
	}
	if !bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) {
		if _, err := ledger.ReadCheckpoint(text); err == nil {
			return checkCheckpoint(text, key, seen, witnesses)
		}
		proof, err := ledger.ParseProof(text)
		if err != nil {
			return fileChecked{}, errUnknown
		}
		return checkProof(proof, key, seen, witnesses)
	}
	doc, err := fhir.Parse(text, fhir.Limits{Bytes: report.MaxBytes})
	if err != nil {
		return fileChecked{}, err
	}
	switch fhir.ResourceType(doc) {
	case "Bundle":
		return checkReport(doc, key, seen, witnesses)
	case "Binary":
		proof, err := report.ReadBinary(doc)
		if err != nil {
			return fileChecked{}, err
		}
		return checkProof(proof, key, seen, witnesses)
	case "AuditEvent":
		return fileChecked{event: doc}, nil
	case "OperationOutcome":
		return fileChecked{}, errors.New("it is not what was asked for, but the gateway's refusal: " + doc.Text("issue", "diagnostics"))
	}
	proof, err := ledger.ParsePublicProof(text)
	if err != nil {
		return fileChecked{}, errUnknown
	}
	newest, err := proof.Verify(key, seen)
	if err != nil {
		return fileChecked{}, err
	}
	shown := fmt.Sprintf("the tree of %d records begins with that of %d", newest.Size, proof.Old)
	if proof.Kind == ledger.KindInclusion {
		shown = fmt.Sprintf("the leaf at place %d is in the tree of %d records", *proof.Leaf, newest.Size)
	}
	return fileChecked{Shown: shown, Problems: against([]byte(proof.Checkpoint), key, seen, witnesses)}, nil
}

var errUnknown = errors.New("it is none of these: a log report, a proof of a record, an AuditEvent, a proof of inclusion or consistency, a checkpoint")

func checkCheckpoint(signed []byte, key string, seen [][]byte, witnesses []string) (fileChecked, error) {
	c, err := ledger.OpenCheckpoint(signed, key)
	if err != nil {
		return fileChecked{}, err
	}
	return fileChecked{
		Shown:    fmt.Sprintf("the pinned key signed this checkpoint of %d records, root %x", c.Size, c.Root),
		Problems: against(signed, key, seen, witnesses),
	}, nil
}

func checkProof(proof *ledger.Proof, key string, seen [][]byte, witnesses []string) (fileChecked, error) {
	rec, err := proof.Verify(key)
	if err != nil {
		return fileChecked{}, err
	}
	what := "record"
	if !proof.Whole() {
		what = "open part of record"
	}
	return fileChecked{
		Shown:  fmt.Sprintf("%s %s is in the ledger at place %d", what, rec.ID, proof.Seq),
		Record: rec, seq: proof.Seq, Problems: against(proof.Checkpoint, key, seen, witnesses),
	}, nil
}

func checkReport(doc *fhir.Value, key string, seen [][]byte, witnesses []string) (fileChecked, error) {
	checked, err := report.Check(doc, key)
	if err != nil {
		return fileChecked{}, err
	}
	problems := checked.Problems
	told := map[string]bool{}
	for i := range checked.Report.Lines {
		for _, problem := range against(checked.Report.Lines[i].Proof.Checkpoint, key, seen, witnesses) {
			if !told[problem] {
				told[problem] = true
				problems = append(problems, problem)
			}
		}
	}
	r := checked.Report
	return fileChecked{
		Shown:    fmt.Sprintf("log report %s (%s) of %d lines: each is as the ledger of %d records holds it", r.ID, r.Form, len(r.Lines), checked.Size),
		Problems: problems,
	}, nil
}

// against holds a signed checkpoint against those seen before, and asks for the cosignatures of the witnesses.
func against(signed []byte, key string, seen [][]byte, witnesses []string) []string {
	c, err := ledger.OpenCheckpoint(signed, key)
	if err != nil {
		return []string{err.Error()}
	}
	var problems []string
	for _, other := range seen {
		o, err := ledger.OpenCheckpoint(other, key)
		switch {
		case err != nil:
			problems = append(problems, "a checkpoint seen before: "+err.Error())
		case o.Size == c.Size && o.Root != c.Root:
			problems = append(problems, fmt.Sprintf("%s: a checkpoint seen before signs another tree of %d records", ledger.SplitView, c.Size))
		}
	}
	for _, witness := range witnesses {
		if _, err := ledger.Cosigned(signed, key, witness); err != nil {
			name, _, _ := strings.Cut(witness, "+")
			problems = append(problems, fmt.Sprintf("the checkpoint of %d records is not cosigned by the witness %s: %v", c.Size, name, err))
		}
	}
	return problems
}
