package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"

	"sotesilta/consent/ledger"
	"sotesilta/gateway/report"
	"sotesilta/internal/fhir"
)

// files checks files offline, whatever they are: log reports, proofs of single records (text or FHIR Binary), and the
// public proofs of inclusion and consistency. It prints what each shows, and fails with errNotWell when one does not hold.
func (v *verifyCommand) files(key string, out streams) error {
	var seen [][]byte
	for _, path := range v.Seen {
		signed, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		seen = append(seen, signed)
	}
	failed := false
	for _, path := range v.Files {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		shown, problems, err := checkFile(text, key, seen, v.Witness)
		switch {
		case err != nil:
			failed = true
			fmt.Fprintf(out.out, "%s: NOT PROVED: %v\n", path, err)
		case len(problems) > 0:
			failed = true
			fmt.Fprintf(out.out, "%s: NOT WELL\n", path)
			for _, problem := range problems {
				fmt.Fprintf(out.out, "  %s\n", problem)
			}
		default:
			fmt.Fprintf(out.out, "%s: %s\n", path, shown)
		}
	}
	if failed {
		return errNotWell
	}
	return nil
}

// checkFile says what a file proves, or what is wrong with it.
func checkFile(text []byte, key string, seen [][]byte, witnesses []string) (shown string, problems []string, err error) {
	if len(text) > report.MaxBytes {
		return "", nil, errors.New("larger than any report or proof")
	}
	if !bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) {
		proof, err := ledger.ParseProof(text)
		if err != nil {
			return "", nil, err
		}
		return checkProof(proof, key, seen, witnesses)
	}
	doc, err := fhir.Parse(text, fhir.Limits{Bytes: report.MaxBytes})
	if err != nil {
		return "", nil, err
	}
	switch fhir.ResourceType(doc) {
	case "Bundle":
		return checkReport(doc, key, seen, witnesses)
	case "Binary":
		proof, err := report.ReadBinary(doc)
		if err != nil {
			return "", nil, err
		}
		return checkProof(proof, key, seen, witnesses)
	}
	proof, err := ledger.ParsePublicProof(text)
	if err != nil {
		return "", nil, err
	}
	newest, err := proof.Verify(key, seen)
	if err != nil {
		return "", nil, err
	}
	shown = fmt.Sprintf("the tree of %d records begins with that of %d", newest.Size, proof.Old)
	if proof.Kind == ledger.KindInclusion {
		shown = fmt.Sprintf("the leaf at place %d is in the tree of %d records", *proof.Leaf, newest.Size)
	}
	return shown, held([]byte(proof.Checkpoint), key, seen, witnesses), nil
}

func checkProof(proof *ledger.Proof, key string, seen [][]byte, witnesses []string) (string, []string, error) {
	rec, err := proof.Verify(key)
	if err != nil {
		return "", nil, err
	}
	what := "record"
	if !proof.Whole() {
		what = "open part of record"
	}
	return fmt.Sprintf("%s %s is in the ledger at place %d", what, rec.ID, proof.Seq), held(proof.Checkpoint, key, seen, witnesses), nil
}

func checkReport(doc *fhir.Value, key string, seen [][]byte, witnesses []string) (string, []string, error) {
	checked, err := report.Check(doc, key)
	if err != nil {
		return "", nil, err
	}
	problems := checked.Problems
	told := map[string]bool{}
	for i := range checked.Report.Lines {
		for _, problem := range held(checked.Report.Lines[i].Proof.Checkpoint, key, seen, witnesses) {
			if !told[problem] {
				told[problem] = true
				problems = append(problems, problem)
			}
		}
	}
	r := checked.Report
	return fmt.Sprintf("log report %s (%s) of %d lines: each is as the ledger of %d records holds it", r.ID, r.Form, len(r.Lines), checked.Size), problems, nil
}

// held holds a signed checkpoint against those seen before, and asks for the cosignatures of the witnesses.
func held(signed []byte, key string, seen [][]byte, witnesses []string) []string {
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
