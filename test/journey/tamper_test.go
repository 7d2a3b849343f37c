package journey

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sotesilta/test/gatewaytest"
)

// played is a store in a file that one whole journey was played on, and its environment.
func played(t *testing.T) (gatewaytest.Environment, string) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "gateway.db")
	e, err := gatewaytest.NewEnvironment("sqlite:"+path, dir)
	if err != nil {
		t.Fatal(err)
	}
	play(t, e)
	return e, path
}

func play(t *testing.T, e gatewaytest.Environment) {
	t.Helper()
	if code, output := gatewaytest.RunIn(context.Background(), e.Variables(), "sandbox", "--exit"); code != 0 {
		t.Fatalf("sandbox --exit: %d\n%s", code, output)
	}
}

// copied is a copy of a store, changed by a script, with the same keys.
func copied(t *testing.T, e gatewaytest.Environment, path, script string) gatewaytest.Environment {
	t.Helper()
	to := filepath.Join(t.TempDir(), "gateway.db")
	for _, suffix := range []string{"", "-wal", "-shm"} {
		copyFile(t, path+suffix, to+suffix)
	}
	if script != "" {
		db := open(t, to)
		tamper(t, db, script)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	e.Store = "sqlite:" + to
	return e
}

func tamper(t *testing.T, db *sql.DB, script string) {
	t.Helper()
	var before, after int
	count := func(into *int) {
		if err := db.QueryRow("SELECT total_changes()").Scan(into); err != nil {
			t.Fatal(err)
		}
	}
	count(&before)
	if _, err := db.Exec(script); err != nil {
		t.Fatalf("%s: %v", script, err)
	}
	if count(&after); after == before {
		t.Fatalf("nothing was changed by %s", script)
	}
}

// notWell runs verify, which must find something and say so.
func notWell(t *testing.T, e gatewaytest.Environment, says string, args ...string) {
	t.Helper()
	code, report := gatewaytest.RunIn(context.Background(), e.Variables(), append([]string{"verify"}, args...)...)
	if code == 0 || strings.Contains(report, "all is well") || !strings.Contains(report, says) {
		t.Errorf("verify returns %d, and should say %q\n%s", code, says, report)
	}
	if strings.Contains(report, "goroutine ") {
		t.Errorf("verify panics: %s", report)
	}
	if found := gatewaytest.Leak(report); found != "" {
		t.Errorf("the report holds an identity code: %s", found)
	}
}

// refused starts the gateway, which must not serve and say why.
func refused(t *testing.T, e gatewaytest.Environment, says string) {
	t.Helper()
	code, output := gatewaytest.RunIn(context.Background(), e.Variables(), "sandbox", "--exit")
	if code == 0 || !strings.Contains(output, says) || strings.Contains(output, "A synthetic county is loaded") {
		t.Errorf("the start returns %d, and should refuse with %q\n%s", code, says, output)
	}
}

// What lies in the ledger's tables and is not what a gateway writes there is found by the store and the key alone: no
// row is served to the auditor that verify never saw.
func TestVerifySeesEveryRow(t *testing.T) {
	e, path := played(t)
	public, err := os.ReadFile(filepath.Join(e.Keys, "ledger.pub"))
	if err != nil {
		t.Fatal(err)
	}
	key := strings.TrimSpace(string(public)) // as text: no checkpoint lies beside it
	if code, report := gatewaytest.RunIn(context.Background(), e.Variables(), "verify", "--key", key); code != 0 || !strings.Contains(report, "pinned key "+key) {
		t.Fatalf("verify: %d\n%s", code, report)
	}
	db := open(t, path)
	rest := strings.Join(texts(t, db, "SELECT name FROM pragma_table_info('ledger_entry') WHERE name <> 'entry'"), ", ")
	db.Close()
	entry := func(key string) string {
		return fmt.Sprintf("INSERT INTO ledger_entry (entry, %[1]s) SELECT %[2]s, %[1]s FROM ledger_entry LIMIT 1", rest, key)
	}
	middle := "(SELECT entry FROM ledger_entry ORDER BY abs(entry - (SELECT avg(entry) FROM ledger_entry)) LIMIT 1)"
	for name, script := range map[string]string{
		"an entry without a count":            entry("1 << 40"),
		"an entry of no node":                 entry("(77 << 40) + 1"),
		"an entry below all":                  entry("-5"),
		"an entry far on":                     entry("(1 << 40) + (1 << 39)"),
		"an entry of a node that never wrote": entry("(77 << 40) + 1") + "; INSERT INTO ledger_node (no, node) VALUES (77, 'x')",
		"an entry of a node below all":        entry("-(1 << 40) + 1") + "; INSERT INTO ledger_node (no, node) VALUES (-1, 'x')",
		"an entry of a node too far":          entry("(5000000 << 40) + 1") + "; INSERT INTO ledger_node (no, node) VALUES (5000000, 'x')",
		"a node that wrote nothing":           "INSERT INTO ledger_node (no, node) VALUES (99, 'x')",
		"a node of another number":            "UPDATE ledger_node SET no = no + 1000; UPDATE ledger_leaf SET entry = entry + (1000 << 40); UPDATE ledger_entry SET entry = entry + (1000 << 40)",
		"a node of another name":              "UPDATE ledger_node SET node = 'x'",
		"a place below the first":             "INSERT INTO ledger_leaf (seq, entry) VALUES (-1, 5)",
		"a place far on":                      "INSERT INTO ledger_leaf (seq, entry) VALUES (1 << 40, 5)",
		"a place far on, for entries to come": "INSERT INTO ledger_leaf (seq, entry) VALUES (1 << 40, (1 << 40) + (1 << 38))",
		"the places moved on":                 "UPDATE ledger_leaf SET seq = -seq - 1; UPDATE ledger_leaf SET seq = 1 - seq",
		"a checkpoint of another size":        "UPDATE ledger_checkpoint SET size = size + 1 WHERE size = (SELECT max(size) FROM ledger_checkpoint)",
		"a checkpoint below all":              "INSERT INTO ledger_checkpoint (size, note) SELECT -7, note FROM ledger_checkpoint LIMIT 1",
		"the newest checkpoint gone":          "DELETE FROM ledger_checkpoint WHERE size = (SELECT max(size) FROM ledger_checkpoint)",
		// So many that a record stands behind the one that goes: the very last is missed only by who kept a checkpoint.
		"the newest checkpoints, places and a record gone": "DELETE FROM ledger_checkpoint WHERE size > (SELECT count(*) FROM ledger_leaf) - 2; DELETE FROM ledger_leaf WHERE seq >= (SELECT max(size) FROM ledger_checkpoint); DELETE FROM ledger_entry WHERE entry = (SELECT min(entry) FROM ledger_entry WHERE entry NOT IN (SELECT entry FROM ledger_leaf))",
		"everything gone":            "DELETE FROM ledger_checkpoint; DELETE FROM ledger_leaf; DELETE FROM ledger_entry; DELETE FROM ledger_node",
		"a previous value with more": "UPDATE ledger_entry SET prev = CAST(prev || x'00' AS BLOB) WHERE entry = " + middle,
		"a commitment with more":     "UPDATE ledger_entry SET commitment = CAST(commitment || x'00' AS BLOB) WHERE entry = " + middle,
		"a chain value cut":          "UPDATE ledger_entry SET chain = substr(chain, 1, 31) WHERE entry = " + middle,
		"a chain value with more":    "UPDATE ledger_entry SET chain = CAST(chain || x'00' AS BLOB) WHERE entry = " + middle,
		"content as text":            "UPDATE ledger_entry SET canonical = CAST(canonical AS TEXT) WHERE entry = " + middle,
		"a client as bytes":          "UPDATE ledger_entry SET client = CAST(client AS BLOB) WHERE entry = (SELECT min(entry) FROM ledger_entry WHERE client <> '')",
		"a list with a space":        "UPDATE ledger_entry SET basis = basis || ' ' WHERE entry = (SELECT min(entry) FROM ledger_entry WHERE basis <> '')",
		"a list written otherwise":   `UPDATE ledger_entry SET target = replace(target, '/', '\u002f') WHERE entry = (SELECT min(entry) FROM ledger_entry WHERE target <> '')`,
		"a checkpoint as text":       "UPDATE ledger_checkpoint SET note = CAST(note AS TEXT) WHERE size = (SELECT min(size) FROM ledger_checkpoint)",
		"a checkpoint with more":     "UPDATE ledger_checkpoint SET note = CAST(note || 'x' AS BLOB) WHERE size = (SELECT min(size) FROM ledger_checkpoint)",
	} {
		t.Run(name, func(t *testing.T) { notWell(t, copied(t, e, path, script), "NOT WELL", "--key", key) })
	}
}

// A place that was forged far on neither stops the sequencing in silence nor hides what is recorded from then on.
func TestTheGatewayRefusesForgedPlaces(t *testing.T) {
	e, path := played(t)
	for name, script := range map[string]string{
		"far on":                      "INSERT INTO ledger_leaf (seq, entry) VALUES (1 << 40, 5)",
		"below the first":             "INSERT INTO ledger_leaf (seq, entry) VALUES (-1, 5)",
		"without their checkpoint":    "DELETE FROM ledger_checkpoint WHERE size = (SELECT max(size) FROM ledger_checkpoint)",
		"without a newest checkpoint": "DELETE FROM ledger_checkpoint",
	} {
		t.Run(name, func(t *testing.T) { refused(t, copied(t, e, path, script), "gateway verify tells more") })
	}
}

// Who may write to the store, but not into the folder of keys, cannot cut the ledger back, whether by an older copy of the
// file or by taking the newest away in every table.
func TestTheLedgerIsNotCutBack(t *testing.T) {
	e, path := played(t)
	older := copied(t, e, path, "")
	play(t, e)
	kept := filepath.Join(e.Keys, filepath.Base(path)+".ledger", "ledger.checkpoint")
	info, err := os.Stat(kept)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("the checkpoint beside the keys: %v %v", info, err)
	}
	code, report := gatewaytest.RunIn(context.Background(), e.Variables(), "verify")
	if code != 0 || !strings.Contains(report, "held against the checkpoint in "+kept) {
		t.Errorf("verify: %d\n%s", code, report)
	}
	const cut = `DELETE FROM ledger_checkpoint WHERE size > (SELECT max(size) / 2 FROM ledger_checkpoint);
		DELETE FROM ledger_leaf WHERE seq >= (SELECT max(size) FROM ledger_checkpoint);
		DELETE FROM ledger_entry WHERE entry NOT IN (SELECT entry FROM ledger_leaf);
		DELETE FROM ledger_node WHERE no NOT IN (SELECT entry >> 40 FROM ledger_entry)`
	const unplaced = `DELETE FROM ledger_checkpoint; DELETE FROM ledger_leaf`
	for name, tampered := range map[string]gatewaytest.Environment{
		"an older copy":              older,
		"the newest taken away":      copied(t, e, path, cut),
		"places and checkpoints too": copied(t, e, path, unplaced),
		"an empty store":             {Store: "sqlite:" + filepath.Join(t.TempDir(), "gateway.db"), Keys: e.Keys, Addr: e.Addr, Admin: e.Admin, MLLP: e.MLLP},
	} {
		t.Run(name, func(t *testing.T) {
			refused(t, tampered, "older than the last published checkpoint")
			notWell(t, tampered, "rollback")
			notWell(t, tampered, "rollback", "--key", filepath.Join(e.Keys, "ledger.pub"))
		})
	}
	// Without a checkpoint from outside verify does not claim more than the store alone can show.
	public, err := os.ReadFile(filepath.Join(e.Keys, "ledger.pub"))
	if err != nil {
		t.Fatal(err)
	}
	code, report = gatewaytest.RunIn(context.Background(), copied(t, e, path, cut).Variables(), "verify", "--key", strings.TrimSpace(string(public)))
	if code != 0 || !strings.Contains(report, "only a checkpoint kept elsewhere can tell") || strings.Contains(report, "reordered or cut") {
		t.Errorf("verify of a ledger that was cut back, with the key alone: %d\n%s", code, report)
	}
	// The one that was not cut goes on.
	play(t, e)
}

// Flags that contradict each other are refused in words before anything starts.
func TestTheSandboxRefusesWhatContradicts(t *testing.T) {
	e, err := gatewaytest.NewEnvironment("", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	code, said := gatewaytest.RunIn(context.Background(), e.Variables(), "sandbox", "--exit", "--no-journey")
	if code == 0 || !strings.Contains(said, "can't be used together") {
		t.Errorf("--exit with --no-journey: %d\n%s", code, said)
	}
	code, said = gatewaytest.RunIn(context.Background(), append(e.Variables(), "SOTESILTA_MLLP_ADDR=off"), "sandbox", "--exit")
	if code == 0 || !strings.Contains(said, "the journey sends HL7 v2") || strings.Contains(said, "goroutine ") {
		t.Errorf("a journey without HL7 v2: %d\n%s", code, said)
	}
}

// The sandbox's own store is a new one every time, also where its keys are kept.
func TestTheSandboxBeginsAnewWithTheSameKeys(t *testing.T) {
	e, err := gatewaytest.NewEnvironment("", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	play(t, e)
	play(t, e)
}
