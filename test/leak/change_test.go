package leak

import (
	"strings"
	"testing"

	"sotesilta/gateway/sandbox"
	"sotesilta/internal/fhir"
	"sotesilta/test/gatewaytest"
)

// gone checks that what a party could see of a client is absent now by every way, like what never was, and that the
// next page of a search opened before holds nothing.
func gone(t *testing.T, p *gatewaytest.Party, ref, next string) {
	t.Helper()
	typ, id, _ := strings.Cut(ref, "/")
	tw := twinOf(id)
	for _, path := range []string{typ + "/{id}", typ + "/{id}/_history", typ + "/{id}/_history/1", typ + "?_id={id}&_total=accurate"} {
		alike(t, p, tw, "GET", path, "")
	}
	p.Do(t, "GET", ref, nil).Outcome(t, 404)
	if next != "" {
		page := p.Follow(t, next).Want(t, 200)
		if refs := page.Refs(t); len(refs) > 0 {
			t.Errorf("%s: the next page still holds %q", p, refs)
		}
		if page.Link(t, "next") != "" {
			t.Errorf("%s: the empty page has a next link", p)
		}
		if total := page.Doc(t).Get("total"); total != nil && string(total.AppendJSON(nil)) != "0" {
			t.Errorf("%s: the next page totals %s", p, total.AppendJSON(nil))
		}
	}
}

// opened is a search in pages of one: what its first page holds and the link to the next.
func opened(t *testing.T, p *gatewaytest.Party, query string) (ref, next string) {
	t.Helper()
	answer := p.Get(t, query+"&_count=1&_total=accurate")
	refs, next := answer.Refs(t), answer.Link(t, "next")
	if len(refs) != 1 || next == "" {
		t.Fatalf("%s: %s: %q and next %q", p, query, refs, next)
	}
	return refs[0], next
}

// A permit withdrawn counts with the next answer.
func TestPermitWithdrawn(t *testing.T) {
	gatewaytest.Own(t, func(t *testing.T, g *gatewaytest.Gateway) {
		worker := g.SocialWorker()
		ref, next := opened(t, worker, "Observation?patient=Patient/onni")
		_, all := opened(t, worker, "Observation?code=85354-9,29463-7,44261-6")
		worker.Get(t, ref+"/_history/1")
		var permit string
		for _, c := range g.Nurse().All(t, "Consent?patient=Patient/onni") {
			permit = gatewaytest.Ref(c)
		}
		g.Withdraw(t, "onni", permit)
		gone(t, worker, ref, next)
		gone(t, worker, ref, all)
		// Given anew, it counts again; withdrawn again, it is over again.
		again := g.Direct(t, "onni", sandbox.PermitToSocial("onni", sandbox.Period{From: "2000-01-01"}))[0]
		worker.Get(t, ref)
		g.Withdraw(t, "onni", again)
		gone(t, worker, ref, "")
		g.Nurse().Get(t, ref)
	})
}

// A ban counts with the next answer, for what it names and for nothing else.
func TestBan(t *testing.T) {
	gatewaytest.Own(t, func(t *testing.T, g *gatewaytest.Gateway) {
		nurse, worker := g.Nurse(), g.SocialWorker()
		ref, next := opened(t, worker, "Observation?patient=Patient/onni&_sort=date")
		event := worker.Get(t, ref).Doc(t).Text("encounter", "reference")
		banned := g.Direct(t, "onni", sandbox.BanServiceEvent("onni", event))[0]
		gone(t, worker, ref, "")
		for _, o := range worker.Follow(t, next).Want(t, 200).Matches(t) {
			if o.Text("encounter", "reference") == event {
				t.Error("the next page holds an Observation of the banned service event")
			}
		}
		left := worker.All(t, "Observation?patient=Patient/onni")
		if len(left) != 1 || left[0].Text("encounter", "reference") == event {
			t.Errorf("after the ban on one service event the social worker sees %d Observations", len(left))
		}
		if got := worker.All(t, "Condition?patient=Patient/onni&encounter="+event); len(got) > 0 {
			t.Errorf("Conditions of the banned event: %q", gatewaytest.Refs(got))
		}
		if got := nurse.All(t, "Observation?patient=Patient/onni"); len(got) != 3 {
			t.Errorf("in her own register the nurse sees %d of 3 Observations", len(got))
		}
		g.Withdraw(t, "onni", banned)
		worker.Get(t, ref)
	})
}

// An ended EpisodeOfCare ends the relationship, and with it use and disclosure.
func TestRelationshipEnded(t *testing.T) {
	gatewaytest.Own(t, func(t *testing.T, g *gatewaytest.Gateway) {
		worker, social := g.SocialWorker(), g.As("county-social", "")
		ref, next := opened(t, worker, "Observation?patient=Patient/onni")
		own := gatewaytest.Ref(first(t, worker, "QuestionnaireResponse?patient=Patient/onni"))
		episode := first(t, social, "EpisodeOfCare?patient=Patient/onni").Clone()
		end := func(edit func()) {
			edit()
			social.Do(t, "PUT", gatewaytest.Ref(episode), episode).Want(t, 200)
		}
		for name, edit := range map[string]struct{ end, resume func() }{
			"finished": {
				func() { episode.Set("status", fhir.NewString("finished")) }, func() { episode.Set("status", fhir.NewString("active")) },
			},
			"period over": {
				func() { episode.Get("period").Set("end", fhir.NewString("2026-01-31")) }, func() { episode.Get("period").Set("end", nil) },
			},
			"another unit": {
				func() { episode.Get("managingOrganization").Set("reference", fhir.NewString("Organization/jukola")) },
				func() {
					episode.Get("managingOrganization").Set("reference", fhir.NewString("Organization/county-social"))
				},
			},
		} {
			worker.Get(t, ref)
			end(edit.end)
			gone(t, worker, ref, next)
			gone(t, worker, own, "")
			worker.Do(t, "GET", "Patient/onni", nil).Outcome(t, 404)
			end(edit.resume)
			if worker.Do(t, "GET", ref, nil).Status != 200 {
				t.Fatalf("after %s was taken back the relationship runs again", name)
			}
			_, next = opened(t, worker, "Observation?patient=Patient/onni")
		}
		social.Do(t, "DELETE", gatewaytest.Ref(episode), nil).Want(t, 204)
		gone(t, worker, ref, next)
		gone(t, worker, own, "")
	})
}

// Nothing an actor writes gives rights to another, nor to itself by naming a foreign unit.
func TestRelationshipsAreOnesOwn(t *testing.T) {
	gatewaytest.Own(t, func(t *testing.T, g *gatewaytest.Gateway) {
		observation := gatewaytest.Ref(first(t, g.Nurse(), "Observation?patient=Patient/veikko"))
		episode := func(unit string) string {
			return `{"resourceType":"EpisodeOfCare","status":"active","patient":{"reference":"Patient/veikko"},"managingOrganization":{"reference":"Organization/` + unit + `"}}`
		}
		// The clinic records an episode of the digital centre's unit, and of the health station: neither gives anything.
		for _, unit := range []string{"omaks-health", "jukola", "county", "county-social"} {
			g.Physician().Do(t, "POST", "EpisodeOfCare", episode(unit))
		}
		for _, p := range []*gatewaytest.Party{g.DigiNurse(), g.SocialWorker(), g.Physician()} {
			p.Do(t, "GET", "Patient/veikko", nil).Outcome(t, 404)
			p.Do(t, "GET", observation, nil).Outcome(t, 404)
		}
		// Its own episode gives the clinic its own register, not the county's.
		g.Physician().Create(t, episode("private-clinic"))
		g.Physician().Get(t, "Patient/veikko")
		g.Physician().Do(t, "GET", observation, nil).Outcome(t, 404)
	})
}

// An invitation opens the Task and the client's identity; accepted into a joint service, what § 53.1 gives; ended, all
// of it is over at once.
func TestInvitation(t *testing.T) {
	gatewaytest.Own(t, func(t *testing.T, g *gatewaytest.Gateway) {
		nurse, worker, digi := g.Nurse(), g.SocialWorker(), g.DigiNurse()
		process := g.Begin(t, "aino")
		observation := gatewaytest.Ref(first(t, nurse, "Observation?patient=Patient/aino"))
		for _, p := range []*gatewaytest.Party{worker, digi} {
			p.Do(t, "GET", process.Plan, nil).Outcome(t, 404)
		}

		// The digital nurse: requested, accepted, withdrawn by who asked.
		invitation := process.Invite(t, "digi-nurse", "")
		digi.Get(t, invitation)
		digi.Get(t, "Patient/aino")
		digi.Do(t, "GET", process.Plan, nil).Outcome(t, 404)
		digi.Do(t, "GET", process.Team, nil).Outcome(t, 404)
		digi.Do(t, "GET", observation, nil).Outcome(t, 404)
		worker.Do(t, "GET", invitation, nil).Outcome(t, 404)
		g.DigiCounsellor().Do(t, "GET", invitation, nil).Outcome(t, 404)
		process.Answer(t, digi, invitation, "accepted")
		digi.Get(t, process.Plan)
		_, next := opened(t, digi, "Task?patient=Patient/aino")
		process.Move(t, nurse, nurse.Get(t, invitation).Doc(t), "cancelled")
		gone(t, digi, process.Plan, next)
		gone(t, digi, process.Team, "")
		gone(t, digi, observation, "")
		digi.Do(t, "GET", "Patient/aino", nil).Outcome(t, 404)

		// The social worker into the team: the joint documents, of which old versions keep their old label, and no more.
		before := nurse.Get(t, process.Plan).Doc(t).Text("meta", "versionId")
		invitation = process.Invite(t, "social-worker", "")
		worker.Get(t, invitation)
		worker.Do(t, "GET", process.Plan, nil).Outcome(t, 404)
		process.Answer(t, worker, invitation, "accepted")
		plan := worker.Get(t, process.Plan).Doc(t)
		worker.Get(t, process.Team)
		worker.Do(t, "GET", observation, nil).Outcome(t, 404)
		planID := strings.TrimPrefix(process.Plan, "CarePlan/")
		old, absent := worker.Do(t, "GET", process.Plan+"/_history/"+before, nil), worker.Do(t, "GET", "CarePlan/"+never(planID)+"/_history/"+before, nil)
		if a, b := plain(old, planID, "ID"), plain(absent, never(planID), "ID"); a != b || old.Status != 404 {
			t.Errorf("an old version with an old label is told from an absent one:\n%s\n%s", a, b)
		}
		for _, entry := range worker.Get(t, process.Plan+"/_history").Doc(t).Get("entry").Items() {
			if entry.Text("resource", "meta", "versionId") != plan.Text("meta", "versionId") {
				t.Errorf("history shows the social worker version %s of the plan", entry.Text("resource", "meta", "versionId"))
			}
		}
		nurse.Get(t, process.Plan+"/_history/"+before)
		process.Answer(t, worker, invitation, "completed")

		// Into the joint reception: what § 53.1 gives, until it ends.
		invitation = process.Invite(t, "social-worker", "HealthcareService/joint-reception")
		worker.Do(t, "GET", observation, nil).Outcome(t, 404)
		process.Answer(t, worker, invitation, "accepted")
		worker.Get(t, observation)
		_, next = opened(t, worker, "Observation?patient=Patient/aino")
		process.Answer(t, worker, invitation, "rejected")
		gone(t, worker, observation, next)

		// Accepted again by a new invitation, then the whole process ends.
		invitation = process.Invite(t, "social-worker", "HealthcareService/joint-reception")
		process.Answer(t, worker, invitation, "accepted")
		worker.Get(t, observation)
		process.Answer(t, worker, invitation, "completed")
		gone(t, worker, observation, "")
	})
}
