// Package journey runs the product's main command as a newcomer does, reads what it prints, and then the ledger as an
// auditor who trusts nobody.
package journey

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	_ "modernc.org/sqlite"

	"sotesilta/test/gatewaytest"
)

func TestMain(m *testing.M) { os.Exit(gatewaytest.Main(m)) }

// line is one exchange as printed: time, from → to, interaction, what, PERMIT or DENY, basis and citation, number.
var line = regexp.MustCompile(`^(\d\d:\d\d:\d\d\.\d{3})  (\S+) → (\S+) +([a-z-]+) +(\S.*?) +(PERMIT|DENY)  +(\S+) +(\S.*?) +#(\d+)$`)

var (
	loaded  = regexp.MustCompile(`A synthetic county is loaded: 7 clients, two registers, (\d+) ledger records\.`)
	summary = regexp.MustCompile(`The journey is over: (\d+) exchanges permitted, (\d+) denied\. Ledger: (\d+) records, root ([0-9a-f]{64})`)
	audited = regexp.MustCompile(`The auditor read (\d+) AuditEvents back`)
	basisID = regexp.MustCompile(`^[A-Z]{2,}[0-9]*-[0-9A-Za-z.]+(-[A-Z]+)?$`)
)

// told is what one run printed, understood.
type told struct {
	first, last int // ledger numbers
	permits     map[string]int
	denials     int
	size        int
	root        string
}

// read understands the output of a run, and fails the test where it is not of the form that the contract promises.
func read(t *testing.T, output string) told {
	t.Helper()
	if found := gatewaytest.Leak(output); found != "" {
		t.Errorf("an identity code is printed: %s", found)
	}
	out := told{first: -1, permits: map[string]int{}}
	steps := 0
	for _, text := range strings.Split(output, "\n") {
		if strings.HasPrefix(text, fmt.Sprint(steps+1, " ")) && strings.Contains(text, " · ") {
			steps++
		}
		parts := line.FindStringSubmatch(text)
		if parts == nil {
			if strings.Contains(text, "→") || strings.Contains(text, "PERMIT") || strings.Contains(text, "DENY") {
				t.Errorf("a line of another shape: %q", text)
			}
			continue
		}
		basis, citation := parts[7], parts[8]
		number, _ := strconv.Atoi(parts[9])
		if out.first < 0 {
			out.first, out.last = number, number-1
		}
		if number != out.last+1 {
			t.Errorf("#%d follows #%d", number, out.last)
		}
		out.last = number
		if steps == 0 {
			t.Errorf("an exchange before the first step: %q", text)
		}
		if parts[6] == "PERMIT" {
			out.permits[basis]++
			if !basisID.MatchString(basis) || !strings.Contains(citation, "§") {
				t.Errorf("a permit without basis and citation: %q", text)
			}
		} else {
			out.denials++
			if basis != "-" || citation == "" {
				t.Errorf("a denial without its reason: %q", text)
			}
		}
	}
	if steps != 9 {
		t.Errorf("%d of nine steps", steps)
	}
	parts := summary.FindStringSubmatch(output)
	if parts == nil {
		t.Fatalf("no summary:\n%s", output)
	}
	permits := 0
	for _, n := range out.permits {
		permits += n
	}
	if parts[1] != fmt.Sprint(permits) || parts[2] != fmt.Sprint(out.denials) || parts[3] != fmt.Sprint(out.last+1) {
		t.Errorf("%q, but %d permits and %d denials up to #%d are printed", parts[0], permits, out.denials, out.last)
	}
	out.size, _ = strconv.Atoi(parts[3])
	out.root = parts[4]
	if parts := loaded.FindStringSubmatch(output); parts == nil || parts[1] != fmt.Sprint(out.first) {
		t.Errorf("the first line is #%d, after %q", out.first, parts)
	}
	if parts := audited.FindStringSubmatch(output); parts == nil || parts[1] != fmt.Sprint(permits+out.denials) {
		t.Errorf("%d lines are printed, %q", permits+out.denials, parts)
	}
	return out
}

// The whole journey, twice on one store: what is there is kept, and the ledger goes on.
func TestJourney(t *testing.T) {
	gatewaytest.EachStore(t, func(t *testing.T, store, dir string) {
		e, err := gatewaytest.NewEnvironment(store, dir)
		if err != nil {
			t.Fatal(err)
		}
		env := e.Variables()
		var runs [2]told
		for i := range runs {
			code, output := gatewaytest.RunIn(context.Background(), env, "sandbox", "--exit")
			if code != 0 {
				t.Fatalf("run %d: sandbox --exit returns %d\n%s", i+1, code, output)
			}
			runs[i] = read(t, output)
			for _, basis := range []string{"ATL-4.3-H", "ATL-8", "ATL-58", "ATL-53.1", "ATL-53.2", "ATL-46", "ATL-47", "SHL-35.1"} {
				if runs[i].permits[basis] == 0 {
					t.Errorf("run %d: nothing rests on %s", i+1, basis)
				}
			}
			if runs[i].denials < 10 {
				t.Errorf("run %d: %d denials", i+1, runs[i].denials)
			}
			code, report := gatewaytest.RunIn(context.Background(), env, "verify")
			if code != 0 || !strings.Contains(report, "all is well") {
				t.Fatalf("run %d: verify returns %d\n%s", i+1, code, report)
			}
		}
		// The auditor's own reading of the first run's lines is in the ledger too; nothing of the county is written anew.
		lines := runs[0].last - runs[0].first + 1
		if got, want := runs[1].first, runs[0].size+lines; got != want {
			t.Errorf("the second run begins at #%d, the first left %d records", got, want)
		}
		if runs[0].root == runs[1].root {
			t.Error("the root has not changed")
		}
		if again := runs[1].last - runs[1].first + 1; again != lines {
			t.Errorf("%d lines, then %d: what is already there changes the journey", lines, again)
		}
	})
}

// verify finds a change of any column of any table of the ledger, and rows taken away.
func TestVerifyFindsEveryChange(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "gateway.db")
	e, err := gatewaytest.NewEnvironment("sqlite:"+path, dir)
	if err != nil {
		t.Fatal(err)
	}
	if code, output := gatewaytest.RunIn(context.Background(), e.Variables(), "sandbox", "--exit"); code != 0 {
		t.Fatalf("sandbox --exit: %d\n%s", code, output)
	}
	if code, report := gatewaytest.RunIn(context.Background(), e.Variables(), "verify"); code != 0 {
		t.Fatalf("verify: %d\n%s", code, report)
	}

	db := open(t, path)
	var columns [][2]string
	for _, table := range texts(t, db, `SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'ledger\_%' ESCAPE '\'`) {
		for _, column := range texts(t, db, `SELECT name FROM pragma_table_info('`+table+`')`) {
			columns = append(columns, [2]string{table, column})
		}
	}
	db.Close()
	if len(columns) < 20 {
		t.Fatalf("the ledger's tables have %d columns", len(columns))
	}
	type change struct{ name, statement string }
	var changes []change
	for _, c := range columns {
		table, column := c[0], c[1]
		// One value in the middle, of what is there; where all are empty, any.
		row := fmt.Sprintf("(SELECT rowid FROM %[1]s ORDER BY length(coalesce(%[2]s, '')) > 0 DESC, abs(rowid - (SELECT avg(rowid) FROM %[1]s)) LIMIT 1)", table, column)
		changes = append(changes, change{table + "." + column, fmt.Sprintf(`UPDATE %[1]s SET %[2]s = CASE typeof(%[2]s)
			WHEN 'integer' THEN %[2]s + 1000000
			WHEN 'blob' THEN CAST(substr(%[2]s, 1, length(%[2]s) - 1) || CASE substr(%[2]s, -1) WHEN x'01' THEN x'02' ELSE x'01' END AS BLOB)
			WHEN 'text' THEN CASE %[2]s WHEN '' THEN 'x' ELSE substr(%[2]s, 1, length(%[2]s) - 1) || CASE substr(%[2]s, -1) WHEN 'x' THEN 'y' ELSE 'x' END END
			ELSE 'x' END WHERE rowid = %[3]s`, table, column, row)})
	}
	for _, table := range []string{"ledger_entry", "ledger_leaf", "ledger_node", "ledger_checkpoint"} {
		if !slices.ContainsFunc(columns, func(c [2]string) bool { return c[0] == table }) {
			t.Errorf("there is no table %s", table)
			continue
		}
		if table != "ledger_checkpoint" {
			changes = append(changes, change{"a row of " + table + " deleted", "DELETE FROM " + table + " WHERE rowid = (SELECT min(rowid) FROM " + table + ")"})
		}
		changes = append(changes, change{"all of " + table + " deleted", "DELETE FROM " + table})
	}
	changes = append(changes,
		change{"content erased without a record", "UPDATE ledger_entry SET canonical = NULL, salt = NULL WHERE rowid = (SELECT min(rowid) FROM ledger_entry)"},
		change{"two places exchanged", "UPDATE ledger_leaf SET entry = -entry WHERE seq IN (3, 4); UPDATE ledger_leaf SET entry = (SELECT -o.entry FROM ledger_leaf o WHERE o.seq = 7 - ledger_leaf.seq) WHERE seq = 3; UPDATE ledger_leaf SET entry = (SELECT e.entry FROM ledger_entry e WHERE e.entry NOT IN (SELECT entry FROM ledger_leaf) LIMIT 1) WHERE seq = 4"},
	)
	for _, c := range changes {
		t.Run(c.name, func(t *testing.T) {
			folder := t.TempDir()
			copied := filepath.Join(folder, "gateway.db")
			for _, suffix := range []string{"", "-wal", "-shm"} {
				copyFile(t, path+suffix, copied+suffix)
			}
			db := open(t, copied)
			result, err := db.Exec(c.statement)
			if err != nil {
				t.Fatalf("%s: %v", c.statement, err)
			}
			if n, _ := result.RowsAffected(); n == 0 {
				t.Fatalf("nothing was changed by %s", c.statement)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			tampered := e
			tampered.Store = "sqlite:" + copied
			code, report := gatewaytest.RunIn(context.Background(), tampered.Variables(), "verify")
			if code == 0 || strings.Contains(report, "all is well") {
				t.Errorf("verify does not find it: exit code %d\n%s", code, report)
			}
			if strings.Contains(report, "goroutine ") {
				t.Errorf("verify panics: %s", report)
			}
			if found := gatewaytest.Leak(report); found != "" {
				t.Errorf("the report holds an identity code: %s", found)
			}
		})
	}
	// Another key than the pinned one is not well either.
	other := t.TempDir()
	stranger, err := gatewaytest.NewEnvironment("sqlite:"+filepath.Join(other, "gateway.db"), other)
	if err != nil {
		t.Fatal(err)
	}
	if code, output := gatewaytest.RunIn(context.Background(), stranger.Variables(), "sandbox", "--exit"); code != 0 {
		t.Fatalf("sandbox --exit: %d\n%s", code, output)
	}
	if code, report := gatewaytest.RunIn(context.Background(), e.Variables(), "verify", "--key", filepath.Join(stranger.Keys, "ledger.pub")); code == 0 {
		t.Errorf("verify takes another's key: %s", report)
	}
}

func open(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	return db
}

// texts are the texts that a query answers.
func texts(t *testing.T, db *sql.DB, query string) []string {
	t.Helper()
	rows, err := db.Query(query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			t.Fatal(err)
		}
		out = append(out, s)
	}
	return out
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if os.IsNotExist(err) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}

// token prints a token and nothing else; what is wrong is said elsewhere, with an exit code.
func TestTokenCommand(t *testing.T) {
	gatewaytest.Each(t, func(t *testing.T, g *gatewaytest.Gateway) {
		for _, args := range [][]string{
			{"--client", "jukola-ehr", "--user", "nurse"},
			{"--client", "auditor"},
			{"--client", "omaks", "--user", "aino"},
			{"--client", "county-social", "--user", "social-worker", "--purpose", "need-assessment", "--ground", `{"ground":"ATL-53.5b","task":"palvelutarpeen arviointi","reason":"SHL 36 §"}`},
		} {
			code, output := g.Run(context.Background(), append([]string{"token"}, args...)...)
			token := strings.TrimSuffix(output, "\n")
			if code != 0 || strings.Count(token, ".") != 2 || strings.ContainsAny(token, " \n") {
				t.Errorf("token %q: %d %q", args, code, output)
				continue
			}
			path := "/fhir/Consent"
			g.Send(t, "GET", path, nil, "Authorization", "Bearer "+token).Want(t, 200)
		}
		code, output := g.Run(context.Background(), "token", "--client", "jukola-ehr", "--user", "nurse", "--scope", "system/Observation.rs")
		if code != 0 {
			t.Fatal(output)
		}
		g.Send(t, "GET", "/fhir/Condition", nil, "Authorization", "Bearer "+strings.TrimSpace(output)).Want(t, 403)
		for _, args := range [][]string{
			{"--client", "nobody"},
			{"--client", "jukola-ehr", "--user", "social-worker"},
			{"--client", "../../etc/passwd"},
			{},
			{"--client", "jukola-ehr", "--user", "nurse", "--purpose", "need-assessment"},
			{"--client", "jukola-ehr", "--ground", "{"},
		} {
			if code, output := g.Run(context.Background(), append([]string{"token"}, args...)...); code == 0 || strings.Contains(output, "goroutine ") {
				t.Errorf("token %q: %d %s", args, code, output)
			}
		}
	})
}

// What cannot be started says why, and does not touch what runs already.
func TestRefusesToStart(t *testing.T) {
	gatewaytest.Each(t, func(t *testing.T, g *gatewaytest.Gateway) {
		dir := t.TempDir()
		e, err := gatewaytest.NewEnvironment("sqlite:"+filepath.Join(dir, "gateway.db"), dir)
		if err != nil {
			t.Fatal(err)
		}
		env := e.Variables()
		for name, tc := range map[string]struct {
			args []string
			more []string
			says string
		}{
			"unknown variable":           {[]string{"sandbox", "--exit"}, []string{"SOTESILTA_STORRE=x"}, "SOTESILTA_STORRE"},
			"unknown store":              {[]string{"sandbox", "--exit"}, []string{"SOTESILTA_STORE=mysql://x"}, "SOTESILTA_STORE"},
			"a store that cannot be":     {[]string{"sandbox", "--exit"}, []string{"SOTESILTA_STORE=sqlite:/proc/none/gateway.db"}, "SOTESILTA_STORE"},
			"a database that is not":     {[]string{"sandbox", "--exit"}, []string{"SOTESILTA_STORE=postgres://u:secret@127.0.0.1:1/none"}, "SOTESILTA_STORE"},
			"an address that is taken":   {[]string{"sandbox", "--exit"}, []string{"SOTESILTA_ADDR=" + strings.TrimPrefix(g.Root, "http://")}, "SOTESILTA_ADDR"},
			"an MLLP address taken":      {[]string{"sandbox", "--exit"}, []string{"SOTESILTA_MLLP_ADDR=" + g.MLLP}, "SOTESILTA_MLLP_ADDR"},
			"an admin address taken":     {[]string{"sandbox", "--exit"}, []string{"SOTESILTA_ADMIN_ADDR=" + strings.TrimPrefix(g.Admin, "http://")}, "SOTESILTA_ADMIN_ADDR"},
			"an address that is none":    {[]string{"sandbox", "--exit"}, []string{"SOTESILTA_ADDR=nonsense"}, "SOTESILTA_ADDR"},
			"keys that others read":      {[]string{"sandbox", "--exit"}, []string{"SOTESILTA_KEYS=" + openFolder(t)}, "0700"},
			"redis that is none":         {[]string{"sandbox", "--exit"}, []string{"SOTESILTA_REDIS_URL=http://user:secret@x"}, "SOTESILTA_REDIS_URL"},
			"serve without keys":         {[]string{"serve"}, []string{"SOTESILTA_KEYS="}, ""},
			"no such command":            {[]string{"dance"}, nil, "dance"},
			"verify without a store":     {[]string{"verify"}, []string{"SOTESILTA_STORE=sqlite:" + filepath.Join(dir, "none.db")}, ""},
			"verify with unknown option": {[]string{"verify", "--trust-me"}, nil, "trust-me"},
		} {
			t.Run(name, func(t *testing.T) {
				code, output := gatewaytest.RunIn(context.Background(), append(slices.Clone(env), tc.more...), tc.args...)
				if code == 0 || code == 2 && strings.Contains(output, "goroutine ") || !strings.Contains(output, tc.says) {
					t.Errorf("exit code %d: %s", code, output)
				}
				for _, never := range []string{"goroutine ", "panic", "secret"} {
					if strings.Contains(output, never) {
						t.Errorf("it says %q: %s", never, output)
					}
				}
			})
		}
		g.Send(t, "GET", "/readyz", nil, "Accept", "*/*").Want(t, 200)
		if conn, err := net.Dial("tcp", g.MLLP); err != nil {
			t.Error(err)
		} else {
			conn.Close()
		}
		g.Nurse().Get(t, "Patient/aino")
	})
}

// openFolder is a folder that others may read.
func openFolder(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "keys")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}
