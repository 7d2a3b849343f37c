package answers

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"sotesilta/internal/fhir"
	"sotesilta/internal/terms"
	"sotesilta/test/gatewaytest"
)

// size is the ledger's size as its checkpoint tells, once it has reached at least so many and stopped growing for a
// moment. Records get their places a little after their answers.
func size(t *testing.T, g *gatewaytest.Gateway, atLeast int) int {
	t.Helper()
	n, last, since := 0, -1, time.Now()
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		lines := strings.Split(string(g.Send(t, "GET", "/ledger/checkpoint", nil, "Accept", "*/*").Want(t, 200).Body), "\n")
		var err error
		if n, err = strconv.Atoi(lines[1]); err != nil {
			t.Fatalf("a checkpoint without a size: %q", lines)
		}
		if n != last {
			last, since = n, time.Now()
		} else if n >= atLeast && time.Since(since) > 70*time.Millisecond {
			return n
		}
	}
	return n
}

// "A read by id: one record, whether found, hidden or absent. A search: one record for the query and one per client
// whose data left. A write, push or operation: one per client. Directory data and definitions: the access log only."
func TestRecordsOwed(t *testing.T) {
	gatewaytest.Own(t, func(t *testing.T, g *gatewaytest.Gateway) {
		nurse, worker := g.Nurse(), g.SocialWorker()
		own := gatewaytest.Ref(nurse.All(t, "Observation?patient=Patient/aino")[0])
		mine := nurse.Create(t, note("owed"))
		ref := gatewaytest.Ref(mine)
		changed := strings.Replace(note("owed again"), `{`, `{"id":"`+fhir.ID(mine)+`",`, 1)
		two := bundle("transaction", post("", note("of onni")), post("", strings.Replace(note("of helmi"), "Patient/onni", "Patient/helmi", 1)))
		time.Sleep(500 * time.Millisecond) // what was done so far gets its places
		before := size(t, g, 0)
		for _, tc := range []struct {
			name string
			do   func()
			owed int
		}{
			{"nothing", func() {}, 0},
			{"a read", func() { nurse.Get(t, ref) }, 1},
			{"a vread", func() { nurse.Get(t, ref+"/_history/1") }, 1},
			{"a history", func() { nurse.Get(t, ref+"/_history") }, 1},
			{"a read of the hidden", func() { worker.Do(t, "GET", own, nil).Want(t, 404) }, 1},
			{"a read of the absent", func() { worker.Do(t, "GET", "Observation/"+absentID, nil).Want(t, 404) }, 1},
			{"a history of the hidden", func() { worker.Do(t, "GET", own+"/_history", nil).Want(t, 404) }, 1},
			{"a search that finds nothing", func() { worker.Get(t, "Observation?patient=Patient/aino") }, 1},
			{"a search that finds one client's", func() { worker.Get(t, "Observation?patient=Patient/onni") }, 2},
			{"a search that finds seven clients'", func() { nurse.Get(t, "Encounter?_count=100") }, 8},
			{"a count", func() { nurse.Get(t, "Encounter?_summary=count") }, 1},
			{"a create", func() { nurse.Do(t, "POST", "Observation", note("owed one")).Want(t, 201) }, 1},
			{"an update", func() { nurse.Do(t, "PUT", ref, changed).Want(t, 200) }, 1},
			{"an update of the hidden", func() {
				worker.Do(t, "PUT", own, strings.Replace(note("x"), `{`, `{"id":"`+strings.TrimPrefix(own, "Observation/")+`",`, 1)).Want(t, 405)
			}, 1},
			{"a delete of the hidden", func() { worker.Do(t, "DELETE", own, nil).Want(t, 204) }, 1},
			{"a delete of the absent", func() { worker.Do(t, "DELETE", "Observation/"+absentID, nil).Want(t, 204) }, 1},
			{"a transaction about two clients", func() { nurse.Do(t, "POST", "", two).Want(t, 200) }, 2},
			{"a batch of two reads", func() {
				nurse.Do(t, "POST", "", bundle("batch", `{"request":{"method":"GET","url":"`+ref+`"}}`, `{"request":{"method":"GET","url":"Patient/aino"}}`)).Want(t, 200)
			}, 2},
			{"a delete", func() { nurse.Do(t, "DELETE", ref, nil).Want(t, 204) }, 1},
			{"a read of the deleted", func() { nurse.Do(t, "GET", ref, nil).Want(t, 410) }, 1},
			{"an AuditEvent", func() { g.Auditor().Do(t, "GET", "AuditEvent/"+absentID, nil).Want(t, 404) }, 1},
			{"directory data", func() { nurse.Get(t, "Organization/county"); nurse.Get(t, "PractitionerRole?_count=3") }, 0},
			{"metadata", func() { g.Send(t, "GET", "/fhir/metadata", nil).Want(t, 200) }, 0},
			{"no token", func() { g.Send(t, "GET", "/fhir/Patient/aino", nil).Want(t, 401) }, 0},
		} {
			tc.do()
			after := size(t, g, before+tc.owed)
			if after-before != tc.owed {
				t.Errorf("%s owes %d records, the ledger has grown by %d", tc.name, tc.owed, after-before)
			}
			before = after
		}
	})
}

// "References to resources that are not here, or absolute to other servers, are kept as given and give no rights."
func TestReferencesElsewhere(t *testing.T) {
	gatewaytest.Own(t, func(t *testing.T, g *gatewaytest.Gateway) {
		nurse, worker := g.Nurse(), g.SocialWorker()
		for _, subject := range []string{"https://elsewhere.example/fhir/Patient/onni", "Group/everybody"} {
			created := nurse.Do(t, "POST", "Observation", strings.Replace(note("elsewhere"), "Patient/onni", subject, 1), "Prefer", "return=representation").Want(t, 201).Doc(t)
			if got := created.Text("subject", "reference"); got != subject {
				t.Errorf("%s was kept as %s", subject, got)
			}
			// Person data without a subject here belong to their own controller's register only: no permit opens them.
			for _, p := range []*gatewaytest.Party{worker, g.Physician(), g.NeedAssessment()} {
				p.Do(t, "GET", gatewaytest.Ref(created), nil).Outcome(t, 404)
			}
		}
		// An absolute reference to this gateway is one to the client here.
		local := nurse.Do(t, "POST", "Observation", strings.Replace(note("absolute"), "Patient/onni", g.Root+"/fhir/Patient/onni", 1), "Prefer", "return=representation").Want(t, 201).Doc(t)
		worker.Get(t, gatewaytest.Ref(local))
		hidden := nurse.Do(t, "POST", "Observation", strings.Replace(note("absolute"), "Patient/onni", g.Root+"/fhir/Patient/aino", 1), "Prefer", "return=representation").Want(t, 201).Doc(t)
		worker.Do(t, "GET", gatewaytest.Ref(hidden), nil).Outcome(t, 404)
		nurse.Do(t, "POST", "Observation", strings.Replace(note("absolute"), "Patient/onni", g.Root+"/fhir/Patient/"+absentID, 1)).Outcome(t, 422)

		// A resource that names several clients needs a permit decision for each.
		both := nurse.Create(t, strings.Replace(note("of two"), `"status"`, `"performer":[{"reference":"Patient/aino"}],"status"`, 1))
		nurse.Get(t, gatewaytest.Ref(both))
		worker.Do(t, "GET", gatewaytest.Ref(both), nil).Outcome(t, 404)
		for _, r := range worker.All(t, "Observation?patient=Patient/onni") {
			if fhir.ID(r) == fhir.ID(both) {
				t.Error("an Observation of onni and aino is found on onni's permit alone")
			}
		}
	})
}

// "Directory data and definitions: any client may write its own; decisions and the process read only registered clients
// and what the operator published."
func TestDirectoryGivesNoRights(t *testing.T) {
	gatewaytest.Own(t, func(t *testing.T, g *gatewaytest.Gateway) {
		nurse, worker := g.Nurse(), g.SocialWorker()
		observation := gatewaytest.Ref(nurse.All(t, "Observation?patient=Patient/aino")[0])
		service := gatewaytest.Ref(nurse.Create(t, `{"resourceType":"HealthcareService","active":true,"providedBy":{"reference":"Organization/county"},"location":[{"reference":"Location/jukola"}],"name":"Yhteisvastaanotto"}`))
		worker.Create(t, `{"resourceType":"PractitionerRole","active":true,"practitioner":{"reference":"Practitioner/social-worker"},"organization":{"reference":"Organization/jukola"}}`)
		g.Physician().Create(t, `{"resourceType":"Organization","active":true,"name":"Oma","partOf":{"reference":"Organization/county"}}`)
		for _, published := range []string{"Organization/jukola", "HealthcareService/joint-reception", "PractitionerRole/social-worker", "PlanDefinition/joint-client"} {
			current := worker.Get(t, published)
			answer := worker.Do(t, "PUT", published, current.Body)
			if answer.Status != 403 && answer.Status != 405 {
				t.Errorf("a client writes over the operator's %s: %d", published, answer.Status)
			}
			worker.Do(t, "DELETE", published, nil)
			if again := nurse.Get(t, published); again.Header.Get("ETag") != current.Header.Get("ETag") {
				t.Errorf("%s changed", published)
			}
		}
		process := g.Begin(t, "aino")
		invitation := process.Invite(t, "social-worker", service)
		process.Answer(t, worker, invitation, "accepted")
		worker.Get(t, process.Plan)
		worker.Do(t, "GET", observation, nil).Outcome(t, 404) // a service of one's own making is no joint service
		for _, label := range nurse.Get(t, process.Plan).Doc(t).Get("meta").Get("security").Items() {
			if label.Text("system") != terms.Register {
				t.Errorf("a label of another system: %s", label.AppendJSON(nil))
			}
		}
	})
}

// Metrics and profiling are never on the public port.
func TestPorts(t *testing.T) {
	gatewaytest.Each(t, func(t *testing.T, g *gatewaytest.Gateway) {
		for _, path := range []string{"/metrics", "/debug/pprof/", "/debug/pprof/heap"} {
			g.Send(t, "GET", path, nil, "Accept", "*/*").Want(t, 404)
		}
		g.Send(t, "PUT", "/healthz", "x").Want(t, 405)
		smart := g.Send(t, "GET", "/fhir/.well-known/smart-configuration", nil, "Accept", "application/json").Want(t, 200)
		if !strings.Contains(string(smart.Body), g.TokenURL()) || !strings.Contains(string(smart.Body), "private_key_jwt") {
			t.Errorf("smart-configuration: %s", smart.Body)
		}
	})
}
