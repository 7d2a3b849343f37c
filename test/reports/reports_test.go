// Package reports proves, end to end, that a client's log report says what the ledger holds, to those whom the law lets
// see it, and that whatever is changed in one is named offline.
package reports

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/note"

	"sotesilta/consent"
	"sotesilta/consent/ledger"
	"sotesilta/internal/fhir"
	"sotesilta/test/gatewaytest"
)

func TestMain(m *testing.M) { os.Exit(gatewaytest.Main(m)) }

// parameters is the input of $disclosure-report.
func parameters(of ...string) string {
	var list []string
	for i := 0; i+1 < len(of); i += 2 {
		list = append(list, `{"name":"`+of[i]+`",`+of[i+1]+`}`)
	}
	return `{"resourceType":"Parameters","parameter":[` + strings.Join(list, ",") + `]}`
}

func code(s string) string { return `"valueCode":"` + s + `"` }

func withheld(record, reason string) string {
	return `"part":[{"name":"record","valueId":"` + record + `"},{"name":"reason","valueString":"` + reason + `"}]`
}

// own is somebody's own view.
func own(g *gatewaytest.Gateway, user string) *gatewaytest.Party {
	p := g.As("omaks", user)
	p.Purpose = consent.OwnData
	return p
}

func clerk(g *gatewaytest.Gateway) *gatewaytest.Party {
	p := g.Auditor()
	p.Purpose = consent.Supervision
	return p
}

func ask(t *testing.T, p *gatewaytest.Party, client string, of ...string) *gatewaytest.Answer {
	t.Helper()
	return p.Do(t, "POST", "Patient/"+client+"/$disclosure-report", parameters(of...))
}

// says and silent keep long documents out of a failure's text.
func says(t *testing.T, text, what string) {
	t.Helper()
	require.True(t, strings.Contains(text, what), "does not say %q: %.200s", what, text)
}

func silent(t *testing.T, text, what string) {
	t.Helper()
	require.False(t, strings.Contains(text, what), "says %q", what)
}

// lines are the AuditEvents of a report.
func lines(doc *fhir.Value) []*fhir.Value {
	var out []*fhir.Value
	for _, r := range doc.All("entry", "resource") {
		if fhir.ResourceType(r) == "AuditEvent" {
			out = append(out, r)
		}
	}
	return out
}

// counted is what a report says of the number of lines by register, and of the size of the ledger they were counted in.
func counted(doc *fhir.Value) (size int64, lines map[string]int) {
	lines = map[string]int{}
	for _, ext := range doc.First("entry", "resource").Get("extension").Items() {
		if !strings.HasSuffix(ext.Text("url"), "/report-counted") {
			continue
		}
		for _, part := range ext.Get("extension").Items() {
			if part.Text("url") == "size" {
				size, _ = strconv.ParseInt(part.Text("valueDecimal"), 10, 64)
				continue
			}
			register, n := "", 0
			for _, p := range part.Get("extension").Items() {
				register += p.Text("valueCode")
				if p.Text("url") == "count" {
					n, _ = strconv.Atoi(p.Text("valueUnsignedInt"))
				}
			}
			lines[register] = n
		}
	}
	return size, lines
}

// verify runs the command on a file with the gateway's key given as text, and no store.
func verify(t *testing.T, g *gatewaytest.Gateway, content []byte, args ...string) (int, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, content, 0o600))
	public, err := os.ReadFile(filepath.Join(g.Keys, "ledger.pub"))
	require.NoError(t, err)
	args = append([]string{"verify", "--key", strings.TrimSpace(string(public)), path}, args...)
	return gatewaytest.RunIn(context.Background(), nil, args...)
}

func TestLogReports(t *testing.T) {
	gatewaytest.Each(t, func(t *testing.T, g *gatewaytest.Gateway) {
		// The nurse reads her own register's; the social worker reads by Onni's permit, and is denied Aino's.
		g.Nurse().Get(t, "Observation?patient=Patient/onni")
		read := g.SocialWorker().Get(t, "Observation?patient=Patient/onni").Refs(t)
		require.NotEmpty(t, read)
		seen := g.SocialWorker().Get(t, read[0])
		g.SocialWorker().Get(t, "Observation?patient=Patient/aino")
		line := seen.Header.Get("X-Request-Id")

		t.Run("the client sees who used and received data, but no persons", func(t *testing.T) {
			g.Nurse().Get(t, "Patient/aino")
			answer := ask(t, own(g, "aino"), "aino", "form", code("own-view")).Want(t, 200)
			doc := answer.Doc(t)
			require.Empty(t, fhir.Validate(doc))
			text := string(answer.Body)
			for _, person := range []string{"Practitioner", "social-worker\"", "nurse\"", "Niina", "jti"} {
				silent(t, text, person)
			}
			decoded := text
			for _, r := range doc.All("entry", "resource") {
				if fhir.ResourceType(r) == "Binary" {
					proof, err := base64.StdEncoding.DecodeString(r.Text("data"))
					require.NoError(t, err)
					p, err := ledger.ParseProof(proof)
					require.NoError(t, err)
					require.False(t, p.Whole())
					decoded += string(p.Canonical)
				}
			}
			silent(t, decoded, "Practitioner")
			silent(t, decoded, `"user":`)
			says(t, text, "terveysasema")
			says(t, text, "703/2023 § 4.3")
			says(t, text, "evätty")
			status, said := verify(t, g, answer.Body)
			require.Zero(t, status, said)
			says(t, said, "each is as the ledger")
		})

		t.Run("the clerk sees persons, of the one register", func(t *testing.T) {
			answer := ask(t, clerk(g), "onni", "form", code("section-11"), "register", code("health")).Want(t, 200)
			doc := answer.Doc(t)
			require.Empty(t, fhir.Validate(doc))
			i := slices.IndexFunc(lines(doc), func(e *fhir.Value) bool { return fhir.ID(e) == line })
			require.GreaterOrEqual(t, i, 0, "the social worker's read")
			says(t, string(answer.Body), "Practitioner/social-worker")
			says(t, string(answer.Body), "ATL-53.2")
			says(t, string(answer.Body), "luovutus")
			status, said := verify(t, g, answer.Body)
			require.Zero(t, status, said)

			social := ask(t, clerk(g), "onni", "form", code("section-11"), "register", code("social")).Want(t, 200)
			for _, e := range lines(social.Doc(t)) {
				require.NotEqual(t, line, fhir.ID(e), "the read of health data is no line of the social register's")
			}
			// The report itself is recorded, with its lines.
			event := clerk(g).Get(t, "AuditEvent/"+answer.Header.Get("X-Request-Id"))
			says(t, string(event.Body), "AuditEvent/"+line)
			says(t, string(event.Body), "ATL-11")
		})

		t.Run("a line is withheld by a person's recorded decision only", func(t *testing.T) {
			answer := ask(t, clerk(g), "onni", "form", code("section-11"), "register", code("health"),
				"withheld", withheld(line, "vakava vaara toisen oikeuksille")).Want(t, 200)
			for _, e := range lines(answer.Doc(t)) {
				require.NotEqual(t, line, fhir.ID(e))
			}
			silent(t, string(answer.Body), line)
			says(t, string(answer.Body), "antamatta")
			silent(t, string(answer.Body), "vakava vaara")
			status, said := verify(t, g, answer.Body)
			require.Zero(t, status, said)
			event := clerk(g).Get(t, "AuditEvent/"+answer.Header.Get("X-Request-Id"))
			says(t, string(event.Body), "withheld AuditEvent/"+line+": vakava vaara toisen oikeuksille")

			ask(t, clerk(g), "onni", "form", code("section-11"), "register", code("health"),
				"withheld", withheld("no-such-line", "x")).Outcome(t, 422)
			ask(t, clerk(g), "onni", "form", code("section-11"), "register", code("health"),
				"withheld", withheld(line, "")).Outcome(t, 400)
		})

		t.Run("older than two years needs a reason", func(t *testing.T) {
			old := []string{"form", code("section-11"), "register", code("health"), "from", `"valueDate":"2020-01-01"`}
			issue := ask(t, clerk(g), "onni", old...).Outcome(t, 422)
			says(t, issue.Text("diagnostics"), "703/2023 § 11")
			answer := ask(t, clerk(g), "onni", append(old, "reason", `"valueString":"epäily väärinkäytöstä"`, "requested", `"valueDate":"2026-11-01"`)...).Want(t, 200)
			event := clerk(g).Get(t, "AuditEvent/"+answer.Header.Get("X-Request-Id"))
			says(t, string(event.Body), "epäily väärinkäytöstä")
		})

		t.Run("to nobody else is there a report", func(t *testing.T) {
			for _, p := range []*gatewaytest.Party{g.Nurse(), g.SocialWorker(), own(g, "lumi"), own(g, "lumi-guardian")} {
				ask(t, p, "aino", "form", code("own-view")).Outcome(t, 404)
				ask(t, p, "nobody", "form", code("own-view")).Outcome(t, 404)
			}
			ask(t, own(g, "aino"), "aino", "form", code("section-11"), "register", code("health")).Outcome(t, 404)
			ask(t, clerk(g), "aino", "form", code("own-view")).Outcome(t, 404)
			ask(t, own(g, "aino"), "aino").Outcome(t, 400)
			ask(t, own(g, "aino"), "aino", "form", code("own-view"), "colour", code("red")).Outcome(t, 400)
		})

		t.Run("a minor's denial keeps the log of health data from the guardian", func(t *testing.T) {
			g.Nurse().Get(t, "Patient/lumi")
			health := g.Nurse().Get(t, "Observation?patient=Patient/lumi").Refs(t)
			require.NotEmpty(t, health)
			g.SocialWorker().Get(t, "QuestionnaireResponse?patient=Patient/lumi")
			minor := string(ask(t, own(g, "lumi"), "lumi", "form", code("own-view")).Want(t, 200).Body)
			guardian := string(ask(t, own(g, "lumi-guardian"), "lumi", "form", code("own-view")).Want(t, 200).Body)
			says(t, minor, health[0])
			silent(t, guardian, "Observation")
			says(t, guardian, "QuestionnaireResponse")
		})

		t.Run("pages hold every line once", func(t *testing.T) {
			whole := lines(ask(t, clerk(g), "onni", "form", code("section-11"), "register", code("health"), "count", `"valueInteger":500`).Want(t, 200).Doc(t))
			var paged []string
			of := []string{"form", code("section-11"), "register", code("health"), "count", `"valueInteger":3`, "to", `"valueDateTime":"` + whole[0].Text("recorded") + `"`}
			cursor := ""
			for range 200 {
				more := of
				if cursor != "" {
					more = append(slices.Clone(of), "cursor", `"valueString":"`+cursor+`"`)
				}
				doc := ask(t, clerk(g), "onni", more...).Want(t, 200).Doc(t)
				for _, e := range lines(doc) {
					paged = append(paged, fhir.ID(e))
				}
				cursor = ""
				for _, ext := range doc.First("entry", "resource").Get("extension").Items() {
					cursor = ext.Text("valueString")
				}
				if cursor == "" {
					break
				}
			}
			var want []string
			for _, e := range whole {
				if e.Text("recorded") < whole[0].Text("recorded") {
					want = append(want, fhir.ID(e))
				}
			}
			require.GreaterOrEqual(t, len(paged), len(want))
			require.Equal(t, want, paged[len(paged)-len(want):])
		})

		t.Run("the first page counts the lines of all", func(t *testing.T) {
			of := []string{"form", code("section-11"), "register", code("health")}
			answer := ask(t, clerk(g), "onni", append(of, "count", `"valueInteger":500`)...).Want(t, 200)
			doc := answer.Doc(t)
			all := len(lines(doc))
			size, counts := counted(doc)
			require.Equal(t, map[string]int{"health": all}, counts)
			checkpoint, err := ledger.ReadCheckpoint(g.Send(t, "GET", "/ledger/checkpoint", nil).Want(t, 200).Body)
			require.NoError(t, err)
			require.LessOrEqual(t, size, checkpoint.Size)
			_, counts = counted(ask(t, clerk(g), "onni", append(of, "count", `"valueInteger":2`)...).Want(t, 200).Doc(t))
			require.GreaterOrEqual(t, counts["health"], all)
			_, counts = counted(ask(t, own(g, "aino"), "aino", "form", code("own-view"), "count", `"valueInteger":500`).Want(t, 200).Doc(t))
			require.NotZero(t, counts["health"])
			require.NotZero(t, counts["social"])

			// A line left out of a report of one page, with its proof and its row in the table.
			shorter := ask(t, clerk(g), "onni", append(of, "count", `"valueInteger":500`, "from", `"valueDateTime":"`+lines(doc)[all-1].Text("recorded")+`"`)...).Want(t, 200)
			status, said := verify(t, g, shorter.Body)
			require.Zero(t, status, said)
			_, counts = counted(shorter.Doc(t))
			more := strings.Replace(string(shorter.Body), `"valueUnsignedInt":`+fmt.Sprint(counts["health"]), `"valueUnsignedInt":`+fmt.Sprint(counts["health"]+1), 1)
			status, said = verify(t, g, []byte(more))
			require.NotZero(t, status)
			says(t, said, "incomplete")
		})

		t.Run("whatever is changed in a report is named", func(t *testing.T) {
			answer := ask(t, clerk(g), "onni", "form", code("section-11"), "register", code("health"), "count", `"valueInteger":4`).Want(t, 200)
			good := string(answer.Body)
			order := lines(answer.Doc(t))
			require.Len(t, order, 4)
			drop := func(ref string) string {
				doc := gatewaytest.Parse(t, answer.Body)
				kept := fhir.NewArray()
				for _, entry := range doc.Get("entry").Items() {
					if gatewaytest.Ref(entry.Get("resource")) != ref {
						kept.Append(entry)
					}
				}
				doc.Set("entry", kept)
				return string(doc.JSON())
			}
			first, second := fhir.ID(order[0]), fhir.ID(order[1])
			for name, c := range map[string]struct{ text, says string }{
				"a line edited":          {strings.Replace(good, `"outcome":"0"`, `"outcome":"4"`, 1), "edited"},
				"the table edited":       {strings.Replace(good, "sallittu", "evätty", 1), "edited"},
				"a line deleted":         {drop("AuditEvent/" + first), "edited"},
				"a proof deleted":        {drop("Binary/" + first), "not proved"},
				"a proof exchanged":      {strings.NewReplacer(`"Binary","id":"`+first, `"Binary","id":"`+second, `"Binary","id":"`+second, `"Binary","id":"`+first).Replace(good), "edited"},
				"a line inserted":        {strings.Replace(good, `{"fullUrl":"https://sotesilta.example/fhir/AuditEvent/`+first, `{"fullUrl":"x","resource":{"resourceType":"AuditEvent","id":"forged"}},{"fullUrl":"https://sotesilta.example/fhir/AuditEvent/`+first, 1), "not proved"},
				"given to another":       {strings.Replace(good, `"subject":{"reference":"Patient/onni"}`, `"subject":{"reference":"Patient/aino"}`, 1), "another client"},
				"of another register":    {strings.Replace(good, `"code":"health"}]}],"subject"`, `"code":"social"}]}],"subject"`, 1), "another register"},
				"a withheld line denied": {strings.Replace(good, `"title":"Lokitiedot pyynnöstä`, `"title":"Kaikki lokitiedot`, 1), "edited"},
			} {
				require.NotEqual(t, good, c.text, name)
				status, said := verify(t, g, []byte(c.text))
				require.NotZero(t, status, name)
				says(t, name+": "+said, c.says)
			}
			other, err := ledger.NewKey(ledger.Origin)
			require.NoError(t, err)
			path := filepath.Join(t.TempDir(), "report")
			require.NoError(t, os.WriteFile(path, answer.Body, 0o600))
			status, said := gatewaytest.RunIn(context.Background(), nil, "verify", "--key", other.Verifier(), path)
			require.NotZero(t, status)
			says(t, said, "wrong-key")
		})
	})
}

// The register of users and rights (703/2023 § 9.3) is the auditor's to read, and the reading is recorded.
func TestTheRegisterOfUsersAndRightsIsRead(t *testing.T) {
	gatewaytest.Each(t, func(t *testing.T, g *gatewaytest.Gateway) {
		asked := parameters("person", `"valueString":"PractitionerRole/nurse"`)
		answer := g.Auditor().Do(t, "POST", "AuditEvent/$rights", asked).Want(t, 200)
		rights := answer.Doc(t).Get("parameter").Items()
		require.Len(t, rights, 1)
		said := map[string]string{}
		for _, part := range rights[0].Get("part").Items() {
			said[part.Text("name")] += part.Members()[1].Value.Str()
		}
		require.Equal(t, "jukola-ehr", said["client"])
		require.Equal(t, "nurse", said["user"])
		require.Equal(t, "3.1", said["task"])
		require.Equal(t, "4.1", said["service"])
		require.Equal(t, "health", said["register"])
		require.NotEmpty(t, said["since"])
		event := g.Auditor().Get(t, "AuditEvent/"+answer.Header.Get("X-Request-Id"))
		says(t, string(event.Body), `"code":"rights"`)
		says(t, string(event.Body), "ATL-10")
		own := g.Auditor().Do(t, "POST", "AuditEvent/$rights", parameters("user", `"valueString":"lumi-guardian"`)).Want(t, 200)
		says(t, string(own.Body), `"name":"sees","valueId":"lumi"`)
		elsewhere := g.Auditor().Do(t, "POST", "AuditEvent/$rights", parameters("client", `"valueString":"private-clinic"`)).Want(t, 200)
		require.Empty(t, elsewhere.Doc(t).Get("parameter").Items(), "another controller's")
		g.Nurse().Do(t, "POST", "AuditEvent/$rights", asked).Want(t, 200)
		silent(t, string(g.Nurse().Do(t, "POST", "AuditEvent/$rights", asked).Body), "jukola-ehr")
		g.Auditor().Do(t, "POST", "AuditEvent/$rights", parameters("colour", code("red"))).Outcome(t, 400)
		g.Auditor().Do(t, "POST", "AuditEvent/$rights", parameters("date", `"valueString":"yesterday"`)).Outcome(t, 400)
		silent(t, string(g.Auditor().Get(t, "metadata").Body), `"type":"Parameters"`)
	})
}

// What left the social register is exported for notices of disclosure, each with all that a notice tells.
func TestDisclosuresAreExportedForNotices(t *testing.T) {
	gatewaytest.Each(t, func(t *testing.T, g *gatewaytest.Gateway) {
		answer := g.Nurse().Get(t, "QuestionnaireResponse?patient=Patient/helmi")
		read := answer.Refs(t)
		require.NotEmpty(t, read, "by Helmi's permit to health care")
		one := g.Nurse().Get(t, read[0])
		line := one.Header.Get("X-Request-Id")
		today := time.Now().UTC().AddDate(0, 0, -1).Format(time.DateOnly)
		tomorrow := time.Now().UTC().AddDate(0, 0, 1).Format(time.DateOnly)
		of := []string{"register", code("social"), "from", `"valueDate":"` + today + `"`, "to", `"valueDate":"` + tomorrow + `"`}
		ask := func(p *gatewaytest.Party, of ...string) *gatewaytest.Answer {
			return p.Do(t, "POST", "AuditEvent/$disclosure-notices", parameters(of...))
		}
		events := map[string]*fhir.Value{}
		pages, cursor := 0, ""
		for {
			more := append(slices.Clone(of), "count", `"valueInteger":2`)
			if cursor != "" {
				more = append(more, "cursor", `"valueString":"`+cursor+`"`)
			}
			page := ask(g.Auditor(), more...).Want(t, 200)
			doc := page.Doc(t)
			require.Empty(t, fhir.Validate(doc))
			for _, e := range doc.All("entry", "resource") {
				require.Nil(t, events[fhir.ID(e)], "each once")
				events[fhir.ID(e)] = e
				require.Equal(t, "disclose", e.First("subtype").Text("code"))
			}
			pages++
			if cursor = doc.Text("identifier", "value"); cursor == "" || pages == 50 {
				break
			}
		}
		event := events[line]
		require.NotNil(t, event, "the nurse's read of %s", read[0])
		text := string(event.JSON())
		require.Equal(t, event.Text("recorded"), event.Text("period", "start"))
		for what, part := range map[string]string{
			"the client":             `"reference":"Patient/helmi"`,
			"the data unit":          `"reference":"` + read[0] + `/_history/`,
			"its class":              "CodeSystem/data-class",
			"its service task":       "CodeSystem/service-task",
			"the discloser":          `"id":"custodian-county"`,
			"its register":           `"system":"urn:oid:1.2.246.537.6.1264.201701","code":"1"`,
			"the recipient":          `PractitionerRole/nurse`,
			"the recipient's unit":   `"reference":"#org-`,
			"the purpose":            `"purposeOfEvent"`,
			"the provision":          "legal-basis#ATL-53.3",
			"the permit":             `"reference":"Consent/`,
			"an organisation's name": `"name":"`,
		} {
			require.Contains(t, text, part, what)
		}
		silent(t, string(ask(g.Nurse(), of...).Want(t, 200).Body), "AuditEvent")
		ask(g.Auditor(), "register", code("social")).Outcome(t, 400)
		ask(g.Auditor(), append([]string{"register", code("health")}, of[2:]...)...).Outcome(t, 400)
		ask(g.Auditor(), "register", code("social"), "from", `"valueDate":"2026-01-01"`, "to", `"valueDate":"2026-03-01"`).Outcome(t, 400)
	})
}

func TestProofsOverHTTP(t *testing.T) {
	gatewaytest.Each(t, func(t *testing.T, g *gatewaytest.Gateway) {
		old := g.Send(t, "GET", "/ledger/checkpoint", nil).Want(t, 200).Body
		was, err := ledger.ReadCheckpoint(old)
		require.NoError(t, err)
		seen := filepath.Join(t.TempDir(), "old")
		require.NoError(t, os.WriteFile(seen, old, 0o600))

		line := g.Nurse().Get(t, "Patient/aino").Header.Get("X-Request-Id")
		proof := clerk(g).Do(t, "POST", "AuditEvent/"+line+"/$proof", nil).Want(t, 200)
		status, said := verify(t, g, proof.Body)
		require.Zero(t, status, said)
		says(t, said, "record "+line+" is in the ledger")
		g.Nurse().Do(t, "POST", "AuditEvent/"+line+"/$proof", nil).Outcome(t, 404)

		inclusion := g.Send(t, "GET", "/ledger/inclusion?leaf=0", nil).Want(t, 200).Body
		status, said = verify(t, g, inclusion)
		require.Zero(t, status, said)
		silent(t, string(inclusion), "aino")
		g.Send(t, "GET", "/ledger/inclusion?leaf=99999999", nil).Want(t, 404)
		g.Send(t, "GET", "/ledger/inclusion?leaf=x", nil).Want(t, 400)

		consistency := g.Send(t, "GET", "/ledger/consistency?old="+itoa(was.Size), nil).Want(t, 200).Body
		status, said = verify(t, g, consistency, "--seen", seen)
		require.Zero(t, status, said)
		says(t, said, "begins with that of "+itoa(was.Size))
		status, said = verify(t, g, consistency)
		require.NotZero(t, status)
		says(t, said, "--seen")

		// What it proves is told in words, and an AuditEvent can be held against it; alone it proves nothing.
		status, said = verify(t, g, proof.Body)
		require.Zero(t, status, said)
		for _, what := range []string{"read Patient/aino", "ATL-4.3-H 703/2023", "Practitioner/nurse", "outcome    permit", "policy     "} {
			says(t, said, what)
		}
		event := clerk(g).Do(t, "GET", "AuditEvent/"+line, nil).Want(t, 200).Body
		beside := filepath.Join(t.TempDir(), "proof")
		require.NoError(t, os.WriteFile(beside, proof.Body, 0o600))
		status, said = verify(t, g, event, beside)
		require.Zero(t, status, said)
		says(t, said, "AuditEvent "+line+" says what")
		status, said = verify(t, g, []byte(strings.Replace(string(event), "Practitioner/nurse", "Practitioner/doctor", 1)), beside)
		require.Equal(t, 3, status, said)
		says(t, said, "edited")
		status, said = verify(t, g, event)
		require.Equal(t, 3, status, said)
		says(t, said, "proves nothing by itself")
		var found struct {
			OK    bool `json:"ok"`
			Files []struct {
				OK     bool          `json:"ok"`
				Record ledger.Record `json:"record"`
			} `json:"files"`
		}
		status, said = verify(t, g, proof.Body, "--json")
		require.Zero(t, status, said)
		require.NoError(t, json.Unmarshal([]byte(said), &found))
		require.True(t, found.OK && found.Files[0].OK && found.Files[0].Record.ID == line, said)

		// A checkpoint is a file like the others, and a refusal is called one.
		status, said = verify(t, g, old)
		require.Zero(t, status, said)
		says(t, said, "the pinned key signed this checkpoint of "+itoa(was.Size)+" records")
		status, said = verify(t, g, []byte(strings.Replace(string(old), "\n"+itoa(was.Size)+"\n", "\n"+itoa(was.Size+1)+"\n", 1)))
		require.Equal(t, 3, status, said)
		says(t, said, "not signed by this key")
		status, said = verify(t, g, g.Nurse().Do(t, "POST", "AuditEvent/"+line+"/$proof", nil).Body)
		require.Equal(t, 3, status, said)
		says(t, said, "the gateway's refusal")

		// Another tree of the same size, signed by the same key: a split view.
		private, err := os.ReadFile(filepath.Join(g.Keys, "ledger.key"))
		require.NoError(t, err)
		signer, err := note.NewSigner(strings.TrimSpace(string(private)))
		require.NoError(t, err)
		forged, err := note.Sign(&note.Note{Text: fmt.Sprintf("%s\n%d\n%s\n", ledger.Origin, was.Size, base64.StdEncoding.EncodeToString(make([]byte, 32)))}, signer)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(seen, forged, 0o600))
		status, said = verify(t, g, consistency, "--seen", seen)
		require.NotZero(t, status)
		says(t, said, "split-view")
	})
}

func itoa(n int64) string { return fmt.Sprint(n) }
