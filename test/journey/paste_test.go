package journey

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"sotesilta/internal/fhir"
	"sotesilta/test/gatewaytest"
)

// The commands that a serving sandbox prints work when they are pasted into another shell: each answers what the
// comment above it promises.
func TestPastedLines(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("no curl on this machine")
	}
	binary, err := gatewaytest.Binary()
	if err != nil {
		t.Fatal(err)
	}
	// The lines say `go run ./gateway`, which builds; here it is built already.
	tools := t.TempDir()
	if err := os.WriteFile(filepath.Join(tools, "go"), []byte("#!/bin/sh\n[ \"$1 $2\" = 'run ./gateway' ] || exit 9\nshift 2\nexec '"+binary+"' \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	var env []string
	for _, pair := range os.Environ() {
		if !strings.HasPrefix(pair, "SOTESILTA_") && !strings.HasPrefix(pair, "PATH=") {
			env = append(env, pair)
		}
	}
	env = append(env, "PATH="+tools+":"+os.Getenv("PATH"))
	gatewaytest.Own(t, func(t *testing.T, g *gatewaytest.Gateway) {
		var about string
		ran := map[string]int{}
		for _, text := range strings.Split(await(t, g, "Ctrl-C"), "\n") {
			if comment, isComment := strings.CutPrefix(text, "# "); isComment {
				about = comment
				continue
			}
			if !strings.HasPrefix(text, "curl ") && !strings.Contains(text, "go run ./gateway verify") {
				continue
			}
			cmd := exec.Command("sh", "-c", text)
			cmd.Env, cmd.Dir = env, gatewaytest.ProjectRoot()
			out, err := cmd.Output()
			if err != nil {
				t.Errorf("%s\n%s\n%v %s", about, text, err, out)
				continue
			}
			ran[about]++
			if strings.Contains(text, "verify") {
				if !strings.Contains(string(out), "all is well") {
					t.Errorf("%s: %s", about, out)
				}
				continue
			}
			doc := gatewaytest.Parse(t, out)
			matches := 0
			for _, entry := range doc.Get("entry").Items() {
				if entry.Text("search", "mode") == "match" {
					matches++
				}
			}
			switch {
			case fhir.ResourceType(doc) == "CapabilityStatement":
			case fhir.ResourceType(doc) != "Bundle":
				t.Errorf("%s\n%s\n%.300s", about, text, out)
			case strings.Contains(about, "DENY") != (matches == 0):
				t.Errorf("%s: %d matches", about, matches)
			}
		}
		if len(ran) < 7 {
			t.Errorf("%d commands are printed", len(ran))
		}
	})
}

// "--no-journey only serves, each line ends with its ledger number": also for what a pasted command did.
func TestServingPrintsExchanges(t *testing.T) {
	numbered := regexp.MustCompile(`#\d+$`)
	gatewaytest.Own(t, func(t *testing.T, g *gatewaytest.Gateway) {
		await(t, g, "Ctrl-C")
		g.SocialWorker().Get(t, "Observation?patient=Patient/aino")
		g.SocialWorker().Get(t, "Observation?patient=Patient/onni")
		g.Nurse().Get(t, "Patient/toivo")
		output := await(t, g, "Patient/toivo")
		seen := map[string]bool{}
		for _, text := range strings.Split(strings.TrimSpace(output), "\n") {
			if !strings.Contains(text, " → ") {
				continue
			}
			if line.FindString(text) == "" || !numbered.MatchString(text) {
				t.Errorf("a line of another shape: %q", text)
			}
			for _, word := range []string{"PERMIT", "DENY", "ATL-53.2", "ATL-4.3-H"} {
				seen[word] = seen[word] || strings.Contains(text, word)
			}
		}
		if len(seen) != 4 || !seen["PERMIT"] || !seen["DENY"] || !seen["ATL-53.2"] || !seen["ATL-4.3-H"] {
			t.Errorf("printed:\n%s", output)
		}
	})
}

// Every line can be opened: its explanation decides as the line does, also of a search that left something out.
func TestEveryLineIsExplainedAsItWasDecided(t *testing.T) {
	gatewaytest.Own(t, func(t *testing.T, g *gatewaytest.Gateway) {
		g.Nurse().Get(t, "QuestionnaireResponse?patient=Patient/helmi") // her permit is for one of the service tasks
		for _, client := range []string{"aino", "onni", "eino"} {
			for _, p := range []*gatewaytest.Party{g.Nurse(), g.SocialWorker(), g.NeedAssessment()} {
				p.Do(t, "GET", "Patient/"+client, nil)
				p.Get(t, "Observation?patient=Patient/"+client)
			}
		}
		decisions := map[string]int{}
		events := g.Auditor().All(t, "AuditEvent?subtype=search-type,read&agent:identifier=jukola-ehr,county-social")
		for _, event := range events {
			was := detailOf(event, "decision")
			decisions[was]++
			answer := g.Send(t, "POST", "/access/v1/explain", `{"resource":{"type":"AuditEvent","id":"`+fhir.ID(event)+`"}}`,
				"Authorization", g.Auditor().Authorization(t), "Content-Type", "application/json").Want(t, 200)
			if says := strings.HasPrefix(string(answer.Body), `{"decision":true,`); says != (was == "permit") {
				t.Errorf("AuditEvent/%s says %s, and its explanation %.400s", fhir.ID(event), was, answer.Body)
			}
		}
		// A line is opened by its number, once it has its place.
		id := fhir.ID(events[0])
		for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
			number := detailOf(g.Auditor().All(t, "AuditEvent?_id="+id)[0], "ledger")
			if number == "pending" && time.Since(began) < 10*time.Second {
				continue
			}
			if found := g.Auditor().All(t, "AuditEvent?ledger="+number); len(found) != 1 || fhir.ID(found[0]) != id {
				t.Errorf("AuditEvent/%s is not found by its number %s", id, number)
			}
			break
		}
		if decisions["permit"] < 5 || decisions["deny"] < 2 || decisions["needs-human"] == 0 {
			t.Errorf("explained: %v", decisions)
		}
	})
}

// await waits until the gateway has printed a text, and answers all it printed.
func await(t *testing.T, g *gatewaytest.Gateway, text string) string {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if output := g.Stdout.String(); strings.Contains(output, text) {
			return output
		}
	}
	t.Fatalf("%q is not printed:\n%s", text, g.Stdout)
	return ""
}

// detailOf is what an AuditEvent's details say under a name.
func detailOf(event *fhir.Value, name string) string {
	for _, detail := range event.All("entity", "detail") {
		if detail.Text("type") == name {
			return detail.Text("valueString")
		}
	}
	return ""
}
