package conformance

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"sotesilta/consent"
	"sotesilta/consent/ledger"
	"sotesilta/internal/fhir"
	"sotesilta/internal/terms"
)

var update = flag.Bool("update", false, "write the code systems that follow from consent/bases anew")

// concept is one code of a CodeSystem.
type concept struct {
	Code       string `json:"code"`
	Display    string `json:"display"`
	Definition string `json:"definition,omitempty"`
}

func concepts(t *testing.T, id string) []concept {
	t.Helper()
	doc, err := Resource("CodeSystem", id)
	require.NoError(t, err)
	var out []concept
	for _, c := range doc.Get("concept").Items() {
		out = append(out, concept{c.Text("code"), c.Text("display"), c.Text("definition")})
	}
	return out
}

func codes(list []concept) []string {
	var out []string
	for _, c := range list {
		out = append(out, c.Code)
	}
	return out
}

func TestEveryDefinitionIsValidAndNamedAsItSays(t *testing.T) {
	all, err := Resources()
	require.NoError(t, err)
	require.NotEmpty(t, all)
	seen := map[string]bool{}
	for _, doc := range all {
		typ, id := fhir.ResourceType(doc), fhir.ID(doc)
		t.Run(typ+"/"+id, func(t *testing.T) {
			for _, issue := range fhir.Validate(doc) {
				require.Failf(t, "not valid", "%s: %s", issue.Expression, issue.Diagnostics)
			}
			same, err := Resource(typ, id)
			require.NoError(t, err, "the file is named after type and id")
			require.Equal(t, string(doc.JSON()), string(same.JSON()))
			require.Equal(t, terms.Base+typ+"/"+id, doc.Text("url"))
			require.False(t, seen[doc.Text("url")], "the canonical URL is used once")
			seen[doc.Text("url")] = true
			require.Equal(t, "active", doc.Text("status"))
			require.NotEmpty(t, doc.Text("description"))
			if typ != "CodeSystem" {
				return
			}
			require.Equal(t, len(doc.Get("concept").Items()), atoi(t, doc.Text("count")), "count")
			known := map[string]bool{}
			for _, c := range doc.Get("concept").Items() {
				require.False(t, known[c.Text("code")], "%s is there once", c.Text("code"))
				known[c.Text("code")] = true
				require.NotEmpty(t, c.Text("display"), "%s has a display", c.Text("code"))
			}
		})
	}
}

func atoi(t *testing.T, s string) int {
	t.Helper()
	var n int
	require.NoError(t, json.Unmarshal([]byte(s), &n))
	return n
}

// TestTermsHaveTheirCodeSystem: every code system that the code names is published.
func TestTermsHaveTheirCodeSystem(t *testing.T) {
	for _, url := range []string{
		terms.Register, terms.Purpose, terms.Step, terms.ServiceTask, terms.DataClass, terms.Protection, terms.LegalBasis,
		terms.Directive, terms.AccessTask, terms.Interaction, terms.PermitCategory,
		terms.HumanAct, terms.ActInput, terms.DisclosureFact, terms.DisclosureLimb, terms.RecipientKind,
	} {
		doc, err := Resource("CodeSystem", strings.TrimPrefix(url, terms.Base+"CodeSystem/"))
		require.NoError(t, err)
		require.Equal(t, url, doc.Text("url"))
	}
}

// TestCodesAreThoseOfTheCode: the constants of terms and consent and the published codes are the same.
func TestCodesAreThoseOfTheCode(t *testing.T) {
	for id, want := range map[string][]string{
		"joint-client-step": {
			terms.StepIdentify, terms.StepDiscuss, terms.StepCheckResponsible, terms.StepBookAssessment, terms.StepAssess,
			terms.StepInvite, terms.StepDeliver, terms.StepReview, terms.StepEnd,
		},
		"register": {
			string(consent.Health), string(consent.Social), string(consent.Identity), string(consent.Directory), string(consent.Directive),
		},
		"purpose": {
			string(consent.Care), string(consent.NeedAssessment), string(consent.Incapacity), string(consent.Emergency),
			string(consent.StatutoryAct), string(consent.Supervision), string(consent.OwnData),
		},
		"directive": {"permit", "ban", "consent", "denial"},
		"human-act": {
			terms.ActRequest, terms.ActDecide, terms.ActDisclose, terms.ActReceive, terms.ActRecall, terms.ActRelabel, terms.ActRectify,
			terms.ActInform,
		},
		"human-act-input": {
			terms.InputGround, terms.InputLimb, terms.InputReason, terms.InputRecipient, terms.InputRecipientKind, terms.InputDocument,
			terms.InputWanted, terms.InputLabel, terms.InputAct, terms.InputRequest,
		},
		"permit-direction": {terms.PermitToSocial, terms.PermitToHealth, "3", "4"},
		"interaction":      {"match", "apply", "everything", "export", "notify", "receive", "evaluate", "ask", "disclose", "correct", "disclosure-report", "publish", "disclosure-notices", "rights", "token", "erase", ledger.Hold, ledger.Release, ledger.KeepTerms, "explain", "simulate"},
	} {
		require.Equal(t, want, codes(concepts(t, id)), id)
	}
	var classes []string
	for _, r := range ledger.Retentions {
		classes = append(classes, r.Class)
	}
	require.Equal(t, classes, codes(concepts(t, strings.TrimPrefix(terms.RetentionClass, terms.Base+"CodeSystem/"))))
}

// TestAccessTasksAreThoseOfThePolicies: every task that a policy speaks of is a published code, and the other way.
func TestAccessTasksAreThoseOfThePolicies(t *testing.T) {
	var written bytes.Buffer
	for _, name := range []string{"own-register", "joint", "permits", "statutory", "invitations", "persons", "limits"} {
		text, err := os.ReadFile("../../consent/bases/" + name + ".cedar")
		require.NoError(t, err)
		written.Write(text)
	}
	published := codes(concepts(t, "access-task"))
	for _, code := range published {
		require.Contains(t, written.String(), `"`+code+`"`, "a policy speaks of the task")
	}
	for _, list := range strings.Split(written.String(), "[")[1:] {
		list, rest, _ := strings.Cut(list, "]")
		if !strings.HasPrefix(rest, ".contains(principal.task)") {
			continue
		}
		for _, code := range strings.Split(list, ",") {
			require.Contains(t, published, strings.Trim(code, "\" \n"))
		}
	}
}

// TestCodeSystemsFollowTheLaw: the codes of labels and of legal bases are those of consent/bases. After a change
// there, write them anew with -update.
func TestCodeSystemsFollowTheLaw(t *testing.T) {
	lists, err := consent.CodeLists()
	require.NoError(t, err)
	acts, err := consent.ActLists()
	require.NoError(t, err)
	engine, err := consent.New(consent.Config{})
	require.NoError(t, err)
	var rows []concept
	for _, row := range engine.Rows() {
		definition := row.Citation + ": " + row.TitleEn
		switch {
		case row.GivesNone:
			definition += ". Gives no right of its own: " + row.Reason
		case row.Limit:
			definition += ". A limit, not a right"
		}
		rows = append(rows, concept{row.ID, row.TitleFi, definition})
	}
	slices.SortFunc(rows, func(a, b concept) int { return strings.Compare(a.Code, b.Code) })
	list := func(from []consent.Code) []concept {
		var out []concept
		for _, c := range from {
			out = append(out, concept{c.Code, c.Fi, c.En + " (" + c.Source + ")"})
		}
		return out
	}
	for id, want := range map[string][]concept{
		"legal-basis": rows, "service-task": list(lists.ServiceTasks), "data-class": list(lists.DataClasses), "protection": list(lists.Protections),
		"disclosure-fact": list(acts.Facts), "recipient-kind": list(acts.Recipients), "disclosure-limb": list(acts.Limbs),
	} {
		if *update {
			write(t, id, want)
			continue
		}
		if diff := cmp.Diff(want, concepts(t, id)); diff != "" {
			t.Errorf("CodeSystem %s (-consent/bases +file); write it anew with -update:\n%s", id, diff)
		}
	}
}

// write puts concepts into the file of a CodeSystem and keeps the rest.
func write(t *testing.T, id string, list []concept) {
	t.Helper()
	doc, err := Resource("CodeSystem", id)
	require.NoError(t, err)
	text, err := json.Marshal(list)
	require.NoError(t, err)
	value, err := fhir.Parse(text, fhir.DefaultLimits)
	require.NoError(t, err)
	doc.Set("count", fhir.NewNumber(jsonOf(t, len(list))))
	doc.Set("concept", value)
	var out bytes.Buffer
	require.NoError(t, json.Indent(&out, doc.JSON(), "", "  "))
	out.WriteByte('\n')
	require.NoError(t, os.WriteFile("CodeSystem-"+id+".json", out.Bytes(), 0o644))
}

func jsonOf(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	require.NoError(t, err)
	return string(text)
}

func TestThePlanDefinitionHasEveryStep(t *testing.T) {
	definition, err := Resource("PlanDefinition", "joint-client")
	require.NoError(t, err)
	require.Equal(t, terms.JointClient, definition.Text("url"))
	steps := concepts(t, "joint-client-step")
	actions := definition.Get("action").Items()
	require.Len(t, actions, len(steps))
	for i, action := range actions {
		require.Equal(t, steps[i].Code, action.Text("id"))
		require.Equal(t, terms.Step, action.Text("code", "coding", "system"))
		require.Equal(t, steps[i].Code, action.Text("code", "coding", "code"))
		require.Equal(t, steps[i].Display, action.Text("title"))
	}
}
