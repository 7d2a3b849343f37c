package sandbox

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// CurlLines prints commands that work when pasted into a shell in the project's folder. env is what the shell must
// set before the token command for it to find this sandbox; mostly nothing. lines are those that the journey printed: one
// of them is opened as an example of how each is, by its time.
func CurlLines(w io.Writer, root, env string, lines []Line) {
	token := func(arguments string) string {
		return `-H "Authorization: Bearer $(` + env + `go run ./gateway token ` + arguments + `)"`
	}
	var b strings.Builder
	b.WriteString("\nStill serving; every exchange is printed here. Paste these into another shell:\n\n")
	type command struct{ about, command string }
	commands := []command{
		{"what the gateway can do", "curl -s " + root + "/fhir/metadata"},
		{"the nurse, in her own register: PERMIT ATL-4.3-H", "curl -s " + token("--client jukola-ehr --user nurse") + " '" + root + "/fhir/Observation?patient=Patient/onni'"},
		{"the social worker, on onni's permit: PERMIT ATL-53.2", "curl -s " + token("--client county-social --user social-worker") + " '" + root + "/fhir/Observation?patient=Patient/onni'"},
		{"the social worker on eino, whose ban stops his permit: DENY, a Bundle without a match", "curl -s " + token("--client county-social --user social-worker") + " '" + root + "/fhir/Observation?patient=Patient/eino'"},
		{"the nurse on helmi's social data, one palvelutehtävä: PERMIT ATL-53.3", "curl -s " + token("--client jukola-ehr --user nurse") + " '" + root + "/fhir/QuestionnaireResponse?patient=Patient/helmi'"},
		{"need assessment, a statutory right: PERMIT ATL-53.5b", "curl -s " + token(`--client county-social --user social-worker --purpose need-assessment --ground '{"ground":"ATL-53.5b","task":"palvelutarpeen arviointi","reason":"SHL 36 §"}'`) + " '" + root + "/fhir/Observation?patient=Patient/aino'"},
		{"the auditor: who saw onni's data, and on what basis", "curl -s " + token("--client auditor") + " '" + root + "/fhir/AuditEvent?patient=Patient/onni&_count=5'"},
	}
	if i := slices.IndexFunc(lines, func(l Line) bool { return !l.Permitted() && len(l.Record.Directives) > 0 }); i >= 0 {
		commands = append(commands, command{
			fmt.Sprintf("the auditor: line #%d of the journey, with true reason, directive and policy version", lines[i].Seq),
			"curl -s " + token("--client auditor") + " '" + root + "/fhir/AuditEvent?ledger=" + strconv.FormatInt(lines[i].Seq, 10) + "'",
		})
	}
	commands = append(commands, command{"the whole ledger, verified against its key", env + "go run ./gateway verify"})
	for _, line := range commands {
		fmt.Fprintf(&b, "# %s\n%s\n\n", line.about, line.command)
	}
	b.WriteString("Ctrl-C ends it.\n")
	io.WriteString(w, b.String())
}
