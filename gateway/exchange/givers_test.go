package exchange_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/consent"
	"sotesilta/gateway/exchange"
	"sotesilta/gateway/sandbox"
	"sotesilta/internal/fhir"
)

// agent of a directive's Provenance, in a role of Kanta's.
func agent(role, who string) string {
	return `{"type":{"coding":[{"system":"http://gen.kanta.fi/figen-cs-provenancerolecategory","code":"` + role + `"}]},"who":{"reference":"` + who + `"}}`
}

// told is a transaction of a Consent, new or the next version of id, with a Provenance of these agents.
func told(t *testing.T, id, consentText string, agents ...string) []exchange.Op {
	op := create(t, consentText, "urn:uuid:0c1")
	target := "urn:uuid:0c1"
	if id != "" {
		op = exchange.Op{Interaction: exchange.Update, Type: "Consent", ID: id, Doc: doc(t, strings.Replace(consentText, `{"resourceType":"Consent"`, `{"resourceType":"Consent","id":"`+id+`"`, 1))}
		target = "Consent/" + id
	}
	return []exchange.Op{op, create(t, `{"resourceType":"Provenance","target":[{"reference":"`+target+`"}],"recorded":"2026-11-21T00:00:00Z","agent":[`+strings.Join(agents, ",")+`]}`)}
}

var (
	byNurse = []string{agent("2", "Practitioner/nurse"), agent("7", "Organization/jukola")}
	byLumi  = agent("12", "Patient/lumi")
	byLahja = agent("5", "RelatedPerson/lumi-guardian")
)

// assessed publishes the minor with another assessment of her capacity (code set 1.2.246.537.5.40202).
func (w *world) assessed(code string) {
	w.t.Helper()
	text, err := os.ReadFile("../sandbox/county/population.json")
	require.NoError(w.t, err)
	bundle := doc(w.t, string(text))
	var lumi *fhir.Value
	for _, entry := range bundle.Get("entry").Items() {
		if fhir.ID(entry.Get("resource")) == "lumi" {
			lumi = entry.Get("resource")
		}
	}
	require.NotNil(w.t, lumi)
	_, err = w.Publish(w.ctx, as("operator").Actor, []*fhir.Value{doc(w.t, strings.Replace(string(lumi.JSON()), `"code":"3"`, `"code":"`+code+`"`, 1))})
	require.NoError(w.t, err)
	require.Equal(w.t, code == "1", w.facts("lumi").Person.Dependent)
}

// For a minor who cannot decide the guardian gives directives; for one who decides nobody does, in whatever app.
func TestWhoGivesADirectiveForAMinor(t *testing.T) {
	w := newWorld(t)
	permit := sandbox.PermitToSocial("lumi", sandbox.Period{From: "2020-01-01"})
	const guardian = "lumi-guardian@omaks"
	tries := map[string]struct {
		who    string
		agents []string
	}{
		"in the guardian's app":           {guardian, []string{byLahja}},
		"by the guardian to the nurse":    {nurse, append([]string{byLahja}, byNurse...)},
		"the guardian as the minor":       {guardian, []string{byLumi}},
		"the minor's app as the guardian": {"lumi@omaks", []string{byLahja}},
	}
	for name, try := range tries {
		_, err := w.Transact(w.ctx, as(try.who, ownView), told(t, "", permit, try.agents...))
		require.Equal(t, exchange.Unprocessable, kind(err), name)
	}
	require.Empty(t, w.inForce("lumi"))

	w.assessed("1")
	for name, wants := range map[string]error{"in the guardian's app": nil, "by the guardian to the nurse": nil, "the guardian as the minor": errWanted, "the minor's app as the guardian": errWanted} {
		out, err := w.Transact(w.ctx, as(tries[name].who, ownView), told(t, "", permit, tries[name].agents...))
		if wants != nil {
			require.Equal(t, exchange.Unprocessable, kind(err), name)
			continue
		}
		require.NoError(t, err, name)
		given := w.inForce("lumi")
		require.Equal(t, consent.ByGuardian, given[len(given)-1].GivenBy, name)
		if tries[name].who == guardian {
			_, err = w.Read(w.ctx, as(guardian, ownView), "Consent", out[0].ID)
			require.NoError(t, err, "who gave it reads it, and can take it back")
		}
	}
	w.assessed("3")
	_, err := w.Read(w.ctx, as(guardian, ownView), "Consent", strings.TrimPrefix(w.inForce("lumi")[0].Evidence, "Consent/"))
	require.Equal(t, exchange.Absent, kind(err))
}

var errWanted = exchange.Refuse(exchange.Unprocessable, "", "", "")

func ownView(c *exchange.Caller) {
	if c.Actor.Kind != consent.Professional {
		c.Purpose = consent.OwnData
	}
}

// inForce are the client's directives in force.
func (w *world) inForce(client string) []consent.Terms {
	w.t.Helper()
	var out []consent.Terms
	for _, t := range w.facts(client).Directives {
		if t.Active {
			out = append(out, t)
		}
	}
	return out
}

// A ban given to a professional is not lifted or narrowed on the word of a professional alone.
func TestABanIsTakenBackByWhoGaveIt(t *testing.T) {
	w := newWorld(t)
	byAino := agent("12", "Patient/aino")
	out, err := w.Transact(w.ctx, as(nurse), told(t, "", sandbox.BanServiceEvent("aino", "Encounter/x"), byNurse...))
	require.NoError(t, err, "Kanta's shape: the client gave it to the professional named")
	ban := out[0].ID
	require.Equal(t, consent.ByClient, w.inForce("aino")[0].GivenBy)
	withdrawn := strings.Replace(sandbox.BanServiceEvent("aino", "Encounter/x"), `"status":"active"`, `"status":"inactive"`, 1)
	narrower := sandbox.BanServiceEvent("aino", "Encounter/y")
	wider := strings.Replace(sandbox.BanServiceEvent("aino", "Encounter/x"), `"data":[`, `"data":[{"meaning":"instance","reference":{"reference":"Encounter/y"}},`, 1)

	for name, text := range map[string]string{"withdrawn": withdrawn, "narrowed": narrower} {
		_, err = w.Transact(w.ctx, as(nurse), told(t, ban, text, byNurse...))
		require.Equal(t, exchange.Unprocessable, kind(err), name)
		require.ErrorContains(t, err, "§ 58.5", name)
	}
	_, err = w.Transact(w.ctx, as(nurse), told(t, ban, wider, byNurse...))
	require.NoError(t, err, "widening opens nothing")
	require.Equal(t, []string{"Encounter/y", "Encounter/x"}, w.inForce("aino")[0].ServiceEvents)
	_, err = w.Transact(w.ctx, as(nurse), told(t, ban, withdrawn, append([]string{byAino}, byNurse...)...))
	require.NoError(t, err)
	require.Empty(t, w.inForce("aino"))
}

func TestADirectiveThatContradictsItselfIsRefused(t *testing.T) {
	w := newWorld(t)
	byAino := append([]string{agent("12", "Patient/aino")}, byNurse...)
	ban := sandbox.BanServiceEvent("aino", "Encounter/x")
	period := func(p string) string {
		return strings.Replace(ban, `"type":"deny"`, `"type":"deny","period":{`+p+`}`, 1)
	}
	for name, try := range map[string]struct{ text, complaint string }{
		"over when given":     {period(`"end":"2020-12-31"`), "over already"},
		"given in the future": {strings.Replace(ban, `"dateTime":"2`, `"dateTime":"3`, 1), "not given in the future"},
	} {
		_, err := w.Transact(w.ctx, as(nurse), told(t, "", try.text, byAino...))
		require.Equal(t, exchange.Unprocessable, kind(err), name)
		require.ErrorContains(t, err, try.complaint, name)
	}
	out, err := w.Transact(w.ctx, as(nurse), told(t, "", period(`"start":"2999-01-01"`), byAino...))
	require.NoError(t, err, "one that begins later is kept")
	_, err = w.Transact(w.ctx, as(nurse), told(t, out[0].ID, sandbox.PermitToSocial("aino", sandbox.Period{From: "2020-01-01"}), byAino...))
	require.ErrorContains(t, err, "stays what it is")

	late := told(t, "", ban, byAino...)
	late[1].Doc = doc(t, strings.Replace(string(late[1].Doc.JSON()), `"recorded"`,
		`"extension":[{"url":"https://sotesilta.example/fhir/StructureDefinition/informed","valueDateTime":"2999-01-01"}],"recorded"`, 1))
	_, err = w.Transact(w.ctx, as(nurse), late)
	require.ErrorContains(t, err, "informed before giving")
	early := told(t, "", ban, byAino...)
	early[1].Doc = doc(t, strings.Replace(string(early[1].Doc.JSON()), `"recorded"`,
		`"extension":[{"url":"https://sotesilta.example/fhir/StructureDefinition/informed","valueDateTime":"2026-01-02T10:00:00Z"}],"recorded"`, 1))
	_, err = w.Transact(w.ctx, as(nurse), early)
	require.NoError(t, err)
	given := w.inForce("aino")
	require.Equal(t, "2026-01-02T10:00:00Z", given[len(given)-1].Informed.Format("2006-01-02T15:04:05Z"))
}

// In social care a minor's denial towards the guardian is recorded by the professional who found its reason weighty.
func TestAMinorsDenialTowardsTheGuardian(t *testing.T) {
	w := newWorld(t)
	const denial = `{"resourceType":"Consent","status":"active","scope":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/consentscope","code":"patient-privacy"}]},` +
		`"category":[{"coding":[{"system":"https://sotesilta.example/fhir/CodeSystem/directive","code":"denial"}]}],"patient":{"reference":"Patient/lumi"},` +
		`"extension":[{"url":"https://sotesilta.example/fhir/StructureDefinition/weighty-reason","valueString":"fear"}],` +
		`"policyRule":{"coding":[{"system":"https://sotesilta.example/fhir/CodeSystem/legal-basis","code":"ATL-51"}]},"provision":{"type":"deny"}}`
	byWorker := []string{agent("2", "Practitioner/social-worker"), agent("7", "Organization/county-social")}
	guardian := as("lumi-guardian@omaks", ownView)
	before, err := w.Search(w.ctx, guardian, query(t, "QuestionnaireResponse", "patient=Patient/lumi"))
	require.NoError(t, err)
	require.NotEmpty(t, before.Matches)

	_, err = w.Transact(w.ctx, as("lumi@omaks", ownView), told(t, "", denial, byLumi))
	require.Equal(t, exchange.Unprocessable, kind(err), "nobody has weighed the reason")
	_, err = w.Transact(w.ctx, as(worker), told(t, "", strings.ReplaceAll(denial, "lumi", "aino"), append([]string{agent("12", "Patient/aino")}, byWorker...)...))
	require.Equal(t, exchange.Unprocessable, kind(err), "aino is grown up")
	_, err = w.Transact(w.ctx, as(worker), told(t, "", denial, append([]string{byLumi}, byWorker...)...))
	require.NoError(t, err)
	after, err := w.Search(w.ctx, guardian, query(t, "QuestionnaireResponse", "patient=Patient/lumi"))
	require.NoError(t, err)
	require.Empty(t, after.Matches)
}
