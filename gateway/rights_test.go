package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sotesilta/gateway/auth"
	"sotesilta/gateway/store/pgtest"
	"sotesilta/internal/fhir"
)

// rightsAsked is the register of users and rights as a client is told it: by "client/user" every right with its parts.
func (p *production) rightsAsked(t *testing.T, root, client, user string, of ...string) map[string][]map[string][]string {
	t.Helper()
	text, err := auth.Assertion(p.keys[client], client, root+auth.TokenPath, auth.Claims{User: user})
	require.NoError(t, err)
	token, err := auth.Fetch(t.Context(), root+auth.TokenPath, text, "")
	require.NoError(t, err)
	out := map[string][]map[string][]string{}
	for cursor := ""; ; {
		var list []string
		for i := 0; i+1 < len(of); i += 2 {
			list = append(list, `{"name":"`+of[i]+`",`+of[i+1]+`}`)
		}
		if cursor != "" {
			list = append(list, `{"name":"cursor","valueString":"`+cursor+`"}`)
		}
		body := `{"resourceType":"Parameters","parameter":[` + strings.Join(list, ",") + `]}`
		if len(list) == 0 {
			body = `{"resourceType":"Parameters"}`
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, root+"/fhir/AuditEvent/$rights", strings.NewReader(body))
		require.NoError(t, err)
		req.Header = http.Header{"Authorization": {token.Authorization()}, "Content-Type": {"application/fhir+json"}}
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		answer, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, 200, res.StatusCode, string(answer))
		doc, err := fhir.Parse(answer, fhir.DefaultLimits)
		require.NoError(t, err)
		require.Empty(t, fhir.Validate(doc))
		cursor = ""
		for _, parameter := range doc.Get("parameter").Items() {
			if parameter.Text("name") == "next" {
				cursor = parameter.Text("valueString")
				continue
			}
			right := map[string][]string{}
			for _, part := range parameter.Get("part").Items() {
				value := part.Members()[1].Value
				right[part.Text("name")] = append(right[part.Text("name")], value.Str())
			}
			name := right["client"][0] + "/" + strings.Join(right["user"], "")
			out[name] = append(out[name], right)
		}
		if cursor == "" {
			return out
		}
	}
}

// Who had which rights is told of any date (703/2023 § 9.3), whatever the operator's file says today.
func TestTheRegisterOfUsersAndRights(t *testing.T) {
	for name, store := range map[string]func(p *production) string{
		"sqlite":   func(p *production) string { return "sqlite:" + p.path("gateway.db") },
		"postgres": func(*production) string { return pgtest.Postgres(t) },
	} {
		t.Run(name, func(t *testing.T) {
			p := newProduction(t)
			p.write(t, "other.jwks", string(p.newKey(t, "other")))
			args := p.args("--init-keys", "--store", store(p))
			file, err := os.ReadFile(p.path("clients.yaml"))
			require.NoError(t, err)
			elsewhere := `  - {id: other, name: Other, controller: Organization/clinic, register: health, units: [{id: Organization/clinic, name: Clinic}],
     scopes: ["system/*.r"], purposes: [care], jwksFile: other.jwks}
`
			p.write(t, "clients.yaml", string(file)+elsewhere)
			var first, second time.Time
			p.running(t, args, func(root string, log *logs) {
				now := p.rightsAsked(t, root, "auditor", "")
				require.ElementsMatch(t, []string{"ehr/", "ehr/nurse", "auditor/"}, names(now), "and not another controller's")
				nurse := now["ehr/nurse"][0]
				for part, want := range map[string][]string{
					"name": {"Nina"}, "person": {"Practitioner/nurse"}, "role": {"PractitionerRole/nurse"}, "unit": {"Organization/station"},
					"register": {"health"}, "controller": {"Organization/county"}, "task": {"3.1"}, "service": {"4.1"},
					"purpose": {"care"}, "kind": {"professional"}, "scope": {"system/*.cruds"},
				} {
					require.Equal(t, want, nurse[part], part)
				}
				require.Len(t, now["ehr/"][0]["key"], 1, "the thumbprint of its key")
				require.Empty(t, nurse["key"])
				first = time.Now()
				time.Sleep(20 * time.Millisecond)

				// The nurse gets another task, a doctor comes, and the key is rotated.
				changed := strings.Replace(string(file), `task: "3.1"`, `task: "3.2"`, 1)
				changed = strings.Replace(changed, `service: "4.1"}]`, `service: "4.1"}, {id: doctor, name: Dora, person: Practitioner/doctor, role: PractitionerRole/doctor, unit: Organization/station, task: "3.1", service: "4.1"}]`, 1)
				p.write(t, "clients.yaml", changed+elsewhere)
				require.Eventually(t, func() bool { return strings.Contains(log.String(), "the registered clients are loaded") }, 20*time.Second, 20*time.Millisecond)
				now = p.rightsAsked(t, root, "auditor", "", "count", `"valueInteger":1`)
				require.ElementsMatch(t, []string{"ehr/", "ehr/nurse", "ehr/doctor", "auditor/"}, names(now), "page by page")
				require.Equal(t, []string{"3.2"}, now["ehr/nurse"][0]["task"])
				since, err := time.Parse(time.RFC3339, now["ehr/nurse"][0]["since"][0])
				require.NoError(t, err)
				require.True(t, since.After(first), "since the change")
				second = time.Now()
				time.Sleep(20 * time.Millisecond)
			})

			// The nurse is taken out while nothing runs.
			gone := string(file)
			gone = gone[:strings.Index(gone, "users:")] + "users: [{id: doctor, name: Dora, person: Practitioner/doctor, role: PractitionerRole/doctor, unit: Organization/station, task: \"3.1\", service: \"4.1\"}]}\n" + gone[strings.Index(gone, "  - {id: auditor"):]
			p.write(t, "clients.yaml", gone)
			p.running(t, args, func(root string, _ *logs) {
				at := func(moment time.Time, of ...string) map[string][]map[string][]string {
					return p.rightsAsked(t, root, "auditor", "", append(of, "date", `"valueDateTime":"`+moment.UTC().Format("2006-01-02T15:04:05.000Z")+`"`)...)
				}
				require.ElementsMatch(t, []string{"ehr/", "ehr/doctor", "auditor/"}, names(p.rightsAsked(t, root, "auditor", "")))
				then := at(first)
				require.ElementsMatch(t, []string{"ehr/", "ehr/nurse", "auditor/"}, names(then))
				require.Equal(t, []string{"3.1"}, then["ehr/nurse"][0]["task"])
				then = at(second, "person", `"valueString":"PractitionerRole/nurse"`)
				require.Equal(t, []string{"ehr/nurse"}, names(then))
				require.Equal(t, []string{"3.2"}, then["ehr/nurse"][0]["task"])
				require.Empty(t, at(first.AddDate(-1, 0, 0)))
				day := p.rightsAsked(t, root, "auditor", "", "date", `"valueDate":"`+first.In(helsinki(t)).Format(time.DateOnly)+`"`, "user", `"valueString":"nurse"`)
				require.Len(t, day["ehr/nurse"], 2, "whoever had rights at some moment of the day, and each set of them")
				require.Empty(t, p.rightsAsked(t, root, "ehr", "doctor"), "to nobody but who supervises")
			})

			// The law is as before, and so is the ledger: all of it is decided again alike.
			var out, errs bytes.Buffer
			require.Zero(t, run(t.Context(), []string{"verify", "--store", storeOf(args), "--keys", p.path("keys")}, &out, &errs), out.String()+errs.String())
		})
	}
}

func names(rights map[string][]map[string][]string) []string {
	var out []string
	for name := range rights {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

func storeOf(args []string) string { return args[slices.Index(args, "--init-keys")+2] }

func helsinki(t *testing.T) *time.Location {
	loc, err := time.LoadLocation("Europe/Helsinki")
	require.NoError(t, err)
	return loc
}

// Rights that cannot be kept do not come into force: those of before stay, aloud, and it is tried again.
func TestRightsThatCannotBeKeptWait(t *testing.T) {
	p := newProduction(t)
	read := func() (*auth.Registry, error) {
		file, err := os.Open(p.path("clients.yaml"))
		require.NoError(t, err)
		defer file.Close()
		return auth.LoadRegistry(file, auth.WithFiles(os.DirFS(p.dir)))
	}
	before, err := read()
	require.NoError(t, err)
	key, err := auth.LoadOrCreateKey(t.TempDir())
	require.NoError(t, err)
	who, err := auth.New(auth.Config{
		BaseURL: "https://gateway.example", Registry: before, Key: key, Used: auth.UsedFunc(func(context.Context, string, time.Time) error { return nil }),
	})
	require.NoError(t, err)
	full := true
	c := &clients{who: who, wires: &mllp{}, read: read, file: p.path("clients.yaml"), log: slog.New(slog.DiscardHandler), keep: func(context.Context, *auth.Registry) error {
		if full {
			return errors.New("disk full")
		}
		return nil
	}}
	require.ErrorIs(t, c.load(t.Context()), errAgain)
	require.Same(t, before, who.Registry())
	require.Len(t, c.lost(), 1)
	full = false
	require.NoError(t, c.load(t.Context()))
	require.NotSame(t, before, who.Registry())
	require.Empty(t, c.lost())
}
