package answers

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"sotesilta/internal/fhir"
	"sotesilta/test/gatewaytest"
)

// post is a Bundle entry that creates a resource.
func post(fullURL, resource string) string {
	typ := strings.SplitN(strings.SplitN(resource, `"resourceType":"`, 2)[1], `"`, 2)[0]
	if fullURL != "" {
		fullURL = `"fullUrl":"` + fullURL + `",`
	}
	return `{` + fullURL + `"resource":` + resource + `,"request":{"method":"POST","url":"` + typ + `"}}`
}

func bundle(kind string, entries ...string) string {
	return `{"resourceType":"Bundle","type":"` + kind + `","entry":[` + strings.Join(entries, ",") + `]}`
}

func put(ref, resource, ifMatch string) string {
	return `{"resource":` + strings.Replace(resource, `{`, `{"id":"`+strings.SplitN(ref, "/", 2)[1]+`",`, 1) +
		`,"request":{"method":"PUT","url":"` + ref + `"` + ifMatch + `}}`
}

const visit = `{"resourceType":"Encounter","status":"finished","class":{"code":"AMB"},"subject":{"reference":"Patient/onni"},"period":{"start":"2026-03-01T09:00:00+02:00"}}`

// location is Type/id of an entry's response.
func location(t *testing.T, g *gatewaytest.Gateway, entry *fhir.Value) string {
	t.Helper()
	ref, _, _ := strings.Cut(strings.TrimPrefix(entry.Text("response", "location"), g.Root+"/fhir/"), "/_history/")
	if ref == "" {
		t.Fatalf("no location: %s", entry.AppendJSON(nil))
	}
	return ref
}

// A transaction whose last entry fails changes nothing, whatever the failure, and names the entry.
func TestTransactionAllOrNothing(t *testing.T) {
	gatewaytest.Each(t, func(t *testing.T, g *gatewaytest.Gateway) {
		nurse := g.Nurse()
		own := nurse.Create(t, note("in a transaction"))
		other := nurse.Create(t, note("deleted in a transaction"))
		ref, otherRef := gatewaytest.Ref(own), gatewaytest.Ref(other)
		social := gatewaytest.Ref(g.SocialWorker().All(t, "QuestionnaireResponse?patient=Patient/aino")[0])
		answer := `{"resourceType":"QuestionnaireResponse","status":"completed","subject":{"reference":"Patient/aino"}}`
		good := []string{
			post("urn:uuid:00000000-0000-4000-8000-000000000001", visit),
			post("urn:uuid:00000000-0000-4000-8000-000000000002", note("part of a transaction")),
			put(ref, note("changed in a transaction"), ""),
			`{"request":{"method":"DELETE","url":"` + otherRef + `"}}`,
		}
		stale := put(gatewaytest.Ref(nurse.Create(t, note("stale in a transaction"))), note("x"), `,"ifMatch":"W/\"9\""`)
		check := unchanged(t, nurse)
		for name, tc := range map[string]struct {
			last   string
			status int
		}{
			"unknown member":        {post("urn:uuid:a", strings.Replace(note("x"), `"status"`, `"colour":"blue","status"`, 1)), 400},
			"missing member":        {post("urn:uuid:a", `{"resourceType":"Observation","status":"final"}`), 400},
			"no resource":           {`{"request":{"method":"POST","url":"Observation"}}`, 400},
			"wrong type":            {strings.Replace(post("urn:uuid:a", note("x")), `"url":"Observation"`, `"url":"Condition"`, 1), 400},
			"unknown type":          {strings.ReplaceAll(post("urn:uuid:a", note("x")), "Observation", "Spaceship"), 404},
			"unknown client":        {post("urn:uuid:a", strings.Replace(note("x"), "Patient/onni", "Patient/"+absentID, 1)), 422},
			"a Consent alone":       {post("urn:uuid:a", `{"resourceType":"Consent","status":"active","scope":{"text":"x"},"category":[{"text":"x"}],"patient":{"reference":"Patient/onni"},"policyRule":{"text":"x"}}`), 422},
			"absent target":         {put("QuestionnaireResponse/"+absentID, answer, ""), 405},
			"unseen target":         {put(social, answer, ""), 405},
			"population data":       {put("Patient/onni", `{"resourceType":"Patient"}`, ""), 405},
			"AuditEvent":            {`{"request":{"method":"DELETE","url":"AuditEvent/` + absentID + `"}}`, 405},
			"stale ifMatch":         {stale, 412},
			"read of the absent":    {`{"request":{"method":"GET","url":"Observation/` + absentID + `"}}`, 404},
			"read of the unseen":    {`{"request":{"method":"GET","url":"` + social + `"}}`, 404},
			"unknown parameter":     {`{"request":{"method":"GET","url":"Observation?favourite=1"}}`, 400},
			"twice the same":        {put(ref, note("x"), ""), 400},
			"identity code":         {`{"request":{"method":"GET","url":"Patient?favourite=` + gatewaytest.IdentityCodes()[0] + `"}}`, 400},
			"ambiguous ifNoneExist": {strings.Replace(post("urn:uuid:a", note("x")), `"method":"POST"`, `"method":"POST","ifNoneExist":"patient=Patient/onni"`, 1), 412},
			"no method":             {`{"request":{"url":"Observation"}}`, 400},
		} {
			t.Run(name, func(t *testing.T) {
				ledgerChecked := g.SocialWorker().Get(t, social).Header.Get("ETag")
				refused := nurse.Do(t, "POST", "", bundle("transaction", append(good[:len(good):len(good)], tc.last)...))
				issue := refused.Outcome(t, tc.status)
				if place := issue.Text("expression") + issue.Text("diagnostics"); !strings.Contains(place, "entry[4]") {
					t.Errorf("the refusal does not name entry 4: %s", refused.Body)
				}
				check()
				if got := g.SocialWorker().Get(t, social).Header.Get("ETag"); got != ledgerChecked {
					t.Errorf("%s changed from %s to %s", social, ledgerChecked, got)
				}
			})
		}
		// The good part alone goes through.
		done := nurse.Do(t, "POST", "", bundle("transaction", good...)).Want(t, 200).Doc(t)
		var statuses []string
		for _, entry := range done.Get("entry").Items() {
			statuses = append(statuses, entry.Text("response", "status")[:3])
		}
		if got := strings.Join(statuses, " "); got != "201 201 200 204" || done.Text("type") != "transaction-response" {
			t.Errorf("%s: %s", done.Text("type"), got)
		}
		if got := nurse.Get(t, ref).Doc(t).Text("code", "text"); got != "changed in a transaction" {
			t.Errorf("the update left %q", got)
		}
		nurse.Do(t, "GET", otherRef, nil).Outcome(t, 410)
	})
}

// urn:uuid references become references to the new ids, also forward and across the Bundle's order.
func TestTransactionReferences(t *testing.T) {
	gatewaytest.Each(t, func(t *testing.T, g *gatewaytest.Gateway) {
		nurse := g.Nurse()
		const urn = "urn:uuid:5c1e6a52-3bb3-4c9b-8c3e-0b7d3a1f6f11"
		withVisit := strings.Replace(note("in that visit"), `"status"`, `"encounter":{"reference":"`+urn+`"},"note":[{"text":"`+urn+`"}],"status"`, 1)
		done := nurse.Do(t, "POST", "", bundle("transaction", post("urn:uuid:5c1e6a52-3bb3-4c9b-8c3e-0b7d3a1f6f12", withVisit), post(urn, visit))).Want(t, 200).Doc(t)
		observation, encounter := location(t, g, done.Get("entry").Items()[0]), location(t, g, done.Get("entry").Items()[1])
		kept := nurse.Get(t, observation).Doc(t)
		if got := kept.Text("encounter", "reference"); got != encounter {
			t.Errorf("encounter is %q, not %q", got, encounter)
		}
		if got := kept.Text("note", "text"); got != urn {
			t.Errorf("a text that is no reference became %q", got)
		}
		found := nurse.Get(t, "Observation?encounter="+encounter+"&_include=Observation:encounter")
		if len(found.Refs(t)) != 1 || len(found.Included(t)) != 1 || found.Included(t)[0] != encounter {
			t.Errorf("found %q including %q", found.Refs(t), found.Included(t))
		}
		if got := nurse.Get(t, "Encounter?_id="+strings.TrimPrefix(encounter, "Encounter/")+"&_revinclude=Observation:encounter").Included(t); len(got) != 1 || got[0] != observation {
			t.Errorf("revinclude finds %q", got)
		}
		doubled := nurse.Do(t, "POST", "", bundle("transaction", post(urn, visit), post(urn, visit)))
		doubled.Outcome(t, 400)
	})
}

// Entries of a batch stand for themselves.
func TestBatch(t *testing.T) {
	gatewaytest.Each(t, func(t *testing.T, g *gatewaytest.Gateway) {
		nurse := g.Nurse()
		social := gatewaytest.Ref(g.SocialWorker().All(t, "QuestionnaireResponse?patient=Patient/aino")[0])
		done := nurse.Do(t, "POST", "", bundle("batch",
			post("", note("first of a batch")),
			post("", `{"resourceType":"Observation","status":"final"}`),
			`{"request":{"method":"GET","url":"Patient/onni"}}`,
			`{"request":{"method":"GET","url":"`+social+`"}}`,
			`{"request":{"method":"GET","url":"QuestionnaireResponse/`+absentID+`"}}`,
			`{"request":{"method":"DELETE","url":"`+social+`"}}`,
			`{"request":{"method":"GET","url":"Observation?favourite=1"}}`,
			`{"request":{"method":"GET","url":"Observation?patient=Patient/onni&_count=1"}}`,
			`{"request":{"method":"GET","url":"Patient?identifier=`+gatewaytest.IdentityCodes()[0]+`"}}`,
			post("", note("last of a batch")),
		)).Want(t, 200).Doc(t)
		var statuses []string
		for _, entry := range done.Get("entry").Items() {
			statuses = append(statuses, entry.Text("response", "status")[:3])
		}
		got := strings.Join(statuses, " ")
		// An identity code in a Bundle stands in a body; whether it is searched or refused, the others go on.
		if got != "201 400 200 404 404 204 400 200 200 201" && got != "201 400 200 404 404 204 400 200 400 201" {
			t.Errorf("statuses %s", got)
		}
		entries := done.Get("entry").Items()
		hidden, absent := string(entries[3].AppendJSON(nil)), string(entries[4].AppendJSON(nil))
		if hidden != absent {
			t.Errorf("a batch tells hidden from absent:\n%s\n%s", hidden, absent)
		}
		g.SocialWorker().Get(t, social)
		for _, i := range []int{0, 9} {
			nurse.Get(t, location(t, g, entries[i]))
		}
	})
}

// A conditional create makes one resource, twice in a row and sixteen times at once.
func TestConditionalCreate(t *testing.T) {
	gatewaytest.Each(t, func(t *testing.T, g *gatewaytest.Gateway) {
		nurse := g.Nurse()
		body := func(key string) string {
			return strings.Replace(note(key), `"status"`, `"identifier":[{"system":"https://example.org/meter","value":"`+key+`"}],"status"`, 1)
		}
		condition := func(key string) string { return "identifier=https://example.org/meter%7C" + key }
		first := nurse.Do(t, "POST", "Observation", body("one"), "If-None-Exist", condition("one"), "Prefer", "return=representation").Want(t, 201)
		again := nurse.Do(t, "POST", "Observation", body("one"), "If-None-Exist", condition("one"), "Prefer", "return=representation").Want(t, 200)
		if fhir.ID(first.Doc(t)) != fhir.ID(again.Doc(t)) || again.Header.Get("ETag") != `W/"1"` {
			t.Errorf("the second conditional create answers %s", again.Body)
		}
		nurse.Do(t, "POST", "Observation", body("two")).Want(t, 201)
		nurse.Do(t, "POST", "Observation", body("two")).Want(t, 201)
		nurse.Do(t, "POST", "Observation", body("two"), "If-None-Exist", condition("two")).Outcome(t, 412)

		const racers = 16
		statuses := make([]int, racers)
		ids := make([]string, racers)
		authorization := nurse.Authorization(t)
		var group sync.WaitGroup
		for i := range racers {
			group.Go(func() {
				answer, err := g.Try("POST", "/fhir/Observation", body("race"), "Authorization", authorization,
					"If-None-Exist", condition("race"), "Prefer", "return=representation")
				if err != nil {
					return
				}
				statuses[i] = answer.Status
				if doc, err := fhir.Parse(answer.Body, fhir.DefaultLimits); err == nil {
					ids[i] = fhir.ID(doc)
				}
			})
		}
		group.Wait()
		created := 0
		for i, status := range statuses {
			switch status {
			case 201:
				created++
			case 200, 409:
			default:
				t.Errorf("racer %d is answered %d", i, status)
			}
		}
		found := nurse.Get(t, "Observation?"+condition("race")).Refs(t)
		if created != 1 || len(found) != 1 {
			t.Errorf("%d created, %d found: %v", created, len(found), statuses)
		}
		for i, id := range ids {
			if statuses[i] < 300 && "Observation/"+id != found[0] {
				t.Errorf("racer %d is told of %s, not of %s", i, id, found[0])
			}
		}
		// What the caller may not see does not match.
		other := g.SocialWorker().Do(t, "POST", "QuestionnaireResponse", `{"resourceType":"QuestionnaireResponse","status":"completed","identifier":{"system":"https://example.org/meter","value":"hidden"},"subject":{"reference":"Patient/aino"}}`).Want(t, 201)
		_ = other
		nurse.Do(t, "POST", "QuestionnaireResponse", `{"resourceType":"QuestionnaireResponse","status":"completed","identifier":{"system":"https://example.org/meter","value":"hidden"},"subject":{"reference":"Patient/aino"}}`,
			"If-None-Exist", condition("hidden")).Want(t, 201)
	})
}

// Concurrent updates under If-Match: one wins, the others are told so, and no version is lost.
func TestConcurrentUpdates(t *testing.T) {
	gatewaytest.Each(t, func(t *testing.T, g *gatewaytest.Gateway) {
		nurse := g.Nurse()
		created := nurse.Create(t, note("updated at once"))
		ref := gatewaytest.Ref(created)
		authorization := nurse.Authorization(t)
		race := func(text string, header ...string) map[int]int { // an update to what is there already would make no version
			var mu sync.Mutex
			statuses := map[int]int{}
			var group sync.WaitGroup
			for i := range 12 {
				group.Go(func() {
					answer, err := g.Try("PUT", "/fhir/"+ref, strings.Replace(note(fmt.Sprint(text, i)), `{`, `{"id":"`+fhir.ID(created)+`",`, 1),
						append(header, "Authorization", authorization)...)
					mu.Lock()
					defer mu.Unlock()
					if err != nil {
						statuses[-1]++
						return
					}
					statuses[answer.Status]++
				})
			}
			group.Wait()
			return statuses
		}
		if got := race("under If-Match, racer ", "If-Match", `W/"1"`); got[200] != 1 || got[200]+got[412]+got[409] != 12 {
			t.Errorf("under If-Match: %v", got)
		}
		got := race("without, racer ")
		if got[200]+got[409] != 12 || got[200] == 0 {
			t.Errorf("without If-Match: %v", got)
		}
		want := fmt.Sprint(2 + got[200])
		if version := nurse.Get(t, ref).Doc(t).Text("meta", "versionId"); version != want {
			t.Errorf("%d updates were acknowledged after version 2, the version is %s", got[200], version)
		}
	})
}

// Task transitions are the process's: an illegal one is a 422 that names the rule, whoever asks.
func TestTransitions(t *testing.T) {
	gatewaytest.Own(t, func(t *testing.T, g *gatewaytest.Gateway) {
		nurse := g.Nurse()
		for name, parameters := range map[string]string{
			"no subject":   ``,
			"two subjects": `{"name":"subject","valueString":"Patient/aino"},{"name":"subject","valueString":"Patient/aino"}`,
			"unknown":      `{"name":"subject","valueString":"Patient/` + absentID + `"}`,
			"not a client": `{"name":"subject","valueString":"Location/jukola"}`,
		} {
			answer := nurse.Do(t, "POST", "PlanDefinition/joint-client/$apply", `{"resourceType":"Parameters"`+map[bool]string{true: `,"parameter":[` + parameters + `]`}[parameters != ""]+`}`)
			if answer.Status != 400 && answer.Status != 422 {
				t.Errorf("$apply with %s: %d %s", name, answer.Status, answer.Body)
			}
		}
		plan := nurse.Do(t, "POST", "PlanDefinition/joint-client/$apply",
			`{"resourceType":"Parameters","parameter":[{"name":"subject","valueReference":{"reference":"Patient/aino"}}]}`).Want(t, 200)
		if fhir.ResourceType(plan.Doc(t)) != "CarePlan" || plan.Doc(t).Text("status") != "draft" {
			t.Fatalf("$apply answers %s", plan.Body)
		}
		ref := gatewaytest.Ref(plan.Doc(t))
		if stored := nurse.Get(t, ref); string(stored.Body) != string(plan.Body) {
			t.Errorf("the answer of $apply is not the stored CarePlan:\n%s\n%s", plan.Body, stored.Body)
		}
		tasks := nurse.All(t, "Task?based-on="+ref)
		if len(tasks) != 1 || tasks[0].Text("code", "coding", "code") != "identify" || tasks[0].Text("status") != "ready" {
			t.Fatalf("$apply left %d Tasks", len(tasks))
		}
		check := unchanged(t, nurse)
		for _, status := range []string{"draft", "requested", "received", "accepted", "rejected"} {
			task := tasks[0].Clone()
			task.Set("status", fhir.NewString(status))
			answer := nurse.Do(t, "PUT", gatewaytest.Ref(task), task)
			issue := answer.Outcome(t, 422)
			text := issue.Text("diagnostics")
			if !strings.Contains(text, "ready") || !strings.Contains(text, status) {
				t.Errorf("the refusal of ready → %s does not name the rule: %s", status, text)
			}
			if issue.Text("expression") != "Task.status" {
				t.Errorf("expression %q", issue.Text("expression"))
			}
		}
		// Nobody else edits its body, and nobody changes whom it is about.
		for name, edit := range map[string]func(*fhir.Value){
			"another client": func(task *fhir.Value) {
				task.Set("for", fhir.NewObject(fhir.Member{Name: "reference", Value: fhir.NewString("Patient/onni")}))
			},
			"another step": func(task *fhir.Value) {
				task.Get("code").Get("coding").Items()[0].Set("code", fhir.NewString("end"))
			},
			"another plan": func(task *fhir.Value) { task.Set("basedOn", nil) },
		} {
			task := tasks[0].Clone()
			edit(task)
			if answer := nurse.Do(t, "PUT", gatewaytest.Ref(task), task); answer.Status != 422 && answer.Status != 403 {
				t.Errorf("%s: %d %s", name, answer.Status, answer.Body)
			}
		}
		// An invitation before the client accepted.
		early := nurse.Do(t, "POST", "Task", `{"resourceType":"Task","basedOn":[{"reference":"`+ref+`"}],"status":"requested","intent":"order",
			"code":{"coding":[{"system":"https://sotesilta.example/fhir/CodeSystem/joint-client-step","code":"invite"}]},"for":{"reference":"Patient/aino"},
			"requester":{"reference":"PractitionerRole/nurse"},"owner":{"reference":"PractitionerRole/social-worker"},"restriction":{"period":{"end":"2027-01-01"}}}`)
		early.Outcome(t, 422)
		check()
		// One active joint plan per client among what the caller may see.
		again := nurse.Do(t, "POST", "PlanDefinition/joint-client/$apply", `{"resourceType":"Parameters","parameter":[{"name":"subject","valueString":"Patient/aino"}]}`)
		if again.Status != 422 && again.Status != 409 && again.Status != 412 {
			t.Errorf("a second plan of the same client: %d %.300s", again.Status, again.Body)
		}
		check()
		// The other sector sees nothing of it, and can start its own.
		worker := g.SocialWorker()
		worker.Do(t, "GET", ref, nil).Outcome(t, 404)
		worker.Do(t, "POST", "PlanDefinition/joint-client/$apply", `{"resourceType":"Parameters","parameter":[{"name":"subject","valueString":"Patient/lumi"}]}`).Want(t, 200)
	})
}
