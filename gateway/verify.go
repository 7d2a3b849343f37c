package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"sotesilta/consent/ledger"
)

// verifyCommand checks a ledger, or reports and proofs, offline against a pinned key.
type verifyCommand struct {
	settings
	Files   []string `arg:"" optional:"" type:"existingfile" help:"Log reports, proofs of records, AuditEvents beside their proofs, proofs of inclusion or consistency, checkpoints; without any, the whole ledger in SOTESILTA_STORE."`
	Key     string   `help:"The pinned key: the text of ledger.pub, or a file that holds it; by default ledger.pub of the folder of keys."`
	Seen    []string `type:"existingfile" help:"Signed checkpoints kept from earlier: the ledger must still hold what they signed."`
	Witness []string `sep:"none" help:"Keys of witnesses (NAME+HASH+KEY): the checkpoints of the files must bear their cosignatures."`
	JSON    bool     `help:"Print what was found as JSON."`
}

// Run prints what was found. It fails with errNotWell when anything is wrong.
func (v *verifyCommand) Run(ctx context.Context, out streams) error {
	pin, err := v.pinned()
	if err != nil {
		return err
	}
	key := pin.key
	if !v.JSON {
		fmt.Fprintf(out.out, "pinned key %s (%s)\n", key, pin.from)
	}
	if len(v.Files) > 0 {
		return v.files(key, out)
	}
	if v.Store == "" {
		// The sandbox without a store keeps its file in its own folder.
		folder, err := sandboxFolder(v.Addr)
		if err != nil {
			return err
		}
		v.Store = "sqlite:" + folder + "/sandbox.db"
		if v.Key == "" {
			pin.dir = folder // where the sandbox keeps its checkpoint
		}
	}
	if path, isFile := strings.CutPrefix(v.Store, "sqlite:"); isFile {
		if _, err := os.Stat(path); err != nil {
			return fmt.Errorf("the store: %w", err)
		}
	}
	options := ledger.Options{}
	// Read before the store, which may grow meanwhile.
	kept, beside, err := pin.kept()
	if err != nil {
		return err
	}
	if kept != nil {
		options.Seen = append(options.Seen, kept)
		if !v.JSON {
			fmt.Fprintf(out.out, "held against the checkpoint in %s%s\n", beside, ofEntries(kept, key))
		}
	}
	s, err := openStore(ctx, v.Store)
	if err != nil {
		return err
	}
	defer s.Close()
	for _, path := range v.Seen {
		checkpoint, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		options.Seen = append(options.Seen, checkpoint)
	}
	if terminal(os.Stderr) {
		options.Progress = func(checked int64) { fmt.Fprintf(out.err, "\r%d records checked", checked) }
	}
	report, err := ledger.Verify(ctx, s.Ledger(), key, options)
	if options.Progress != nil {
		fmt.Fprint(out.err, "\r\033[K")
	}
	if err != nil {
		return err
	}
	if v.JSON {
		text, err := json.MarshalIndent(struct {
			OK   bool   `json:"ok"`
			Key  string `json:"key"`            // that was pinned
			Kept string `json:"kept,omitempty"` // file of a checkpoint, beside the key, that the ledger was held against
			Root string `json:"root"`
			*ledger.Report
		}{report.OK(), key, beside, hex.EncodeToString(report.Root[:]), report}, "", "  ")
		if err != nil {
			return err
		}
		fmt.Fprintf(out.out, "%s\n", text)
	} else {
		printReport(out, report, len(options.Seen) > 0)
	}
	if !report.OK() {
		return errNotWell
	}
	return nil
}

// printReport prints what Verify saw. outside says that a checkpoint from outside the store was among what it was held against.
func printReport(out streams, report *ledger.Report, outside bool) {
	fmt.Fprintf(out.out, "ledger %s: %d records in the tree, %d waiting, by %d node(s), under %d checkpoint(s)\n",
		report.Origin, report.Size, report.Pending, report.Nodes, report.Checkpoints)
	if report.Root == [32]byte{} {
		fmt.Fprintln(out.out, "root unknown: the tree has gaps")
	} else {
		fmt.Fprintf(out.out, "root %x\n", report.Root)
	}
	if report.Rows > 0 {
		fmt.Fprintf(out.out, "%d versions of rights, law and retention kept beside it, held against their records\n", report.Rows)
	}
	if report.Erased > 0 {
		fmt.Fprintf(out.out, "%d of them without content: erased when their retention time was over, unless it says otherwise below\n", report.Erased)
	}
	for _, finding := range report.Findings {
		fmt.Fprintln(out.out, finding)
	}
	if report.More > 0 {
		fmt.Fprintf(out.out, "and %d more\n", report.More)
	}
	switch {
	case !report.OK():
		fmt.Fprintln(out.out, "NOT WELL")
	case outside:
		fmt.Fprintln(out.out, "all is well: nothing edited, deleted, inserted, reordered or cut")
	default:
		fmt.Fprintln(out.out, "all is well: nothing edited, deleted, inserted or reordered; whether newer records were cut away with their checkpoints, only a checkpoint kept elsewhere can tell (--seen FILE)")
	}
}

// pin is the key that the auditor trusts, and where it came from.
type pin struct {
	key  string
	from string
	dir  string // folder that it lay in; "" when it was given as text
}

func (v *verifyCommand) pinned() (pin, error) {
	if v.Key == "" {
		dir, err := v.keysFolder()
		if err != nil {
			return pin{}, err
		}
		key, err := ledger.LoadVerifierKey(dir)
		return pin{key, "the gateway's own, from " + dir + ": compare it with the one that you were given", v.keptFolder(dir)}, err
	}
	if strings.Contains(v.Key, "+") {
		return pin{key: v.Key, from: "--key"}, nil
	}
	text, err := os.ReadFile(v.Key)
	if err != nil {
		return pin{}, errors.New("--key: neither the text of a key nor a file that can be read")
	}
	return pin{strings.TrimSpace(string(text)), "--key " + v.Key, v.keptFolder(filepath.Dir(v.Key))}, nil
}

// kept is the checkpoint that a gateway keeps beside the key, and its file; nil when there is none.
func (p pin) kept() (signed []byte, path string, err error) {
	if p.dir == "" {
		return nil, "", nil
	}
	if signed, err = ledger.ReadKept(p.dir); err != nil || signed == nil {
		return nil, "", err
	}
	return signed, filepath.Join(p.dir, ledger.KeptFile), nil
}

// ofEntries says how many entries a checkpoint is of, if it is one.
func ofEntries(signed []byte, key string) string {
	c, err := ledger.OpenCheckpoint(signed, key)
	if err != nil {
		return ""
	}
	return fmt.Sprintf(", of %d records", c.Size)
}

// terminal says whether a file is a terminal: progress is shown to people only.
func terminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
