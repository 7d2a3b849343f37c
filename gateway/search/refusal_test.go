package search

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Each line: type, query, issue code, and words that the answer must have. The value is never among them.
func TestRefusalsNameTheParameterAndNeverTheValue(t *testing.T) {
	const v = "Zq9secret"
	for _, c := range []struct{ typ, query, code, says string }{
		{"CarePlan", "colour=" + v, "not-supported", "CarePlan has no search parameter called colour"},
		{"CarePlan", "subject.colour=" + v, "not-supported", "subject.colour"},
		{"CarePlan", "subject:Patient.colour=" + v, "not-supported", "Patient has no search parameter called colour"},
		{"CarePlan", "_elements=" + v, "not-supported", "_elements"},
		{"CarePlan", "_filter=" + v, "not-supported", "_filter"},
		{"CarePlan", "_text=-" + v, "invalid", "_text"},
		{"CarePlan", "activity-date:above=" + v, "not-supported", "activity-date:above"},
		{"Observation", "code-value-concept=" + v, "invalid", "code-value-concept"},
		{"CarePlan", "status:exact=" + v, "not-supported", "status:exact"},
		{"CarePlan", "_id:missing=true", "not-supported", "_id:missing"},
		{"CarePlan", "subject:Device=" + v, "not-supported", "subject:Device"},
		{"CarePlan", "status:=" + v, "not-supported", "status:"},
		{"CarePlan", "date=" + v, "invalid", "date"},
		{"CarePlan", "date=ge2026-13", "invalid", "date"},
		{"CarePlan", "date=xx2026", "invalid", "date"},
		{"CarePlan", "status=" + v + `\x`, "invalid", "status"},
		{"CarePlan", "status=" + v + ",,b", "invalid", "status has an empty value"},
		{"CarePlan", "status=", "invalid", "status has an empty value"},
		{"CarePlan", "status=a|b|" + v, "invalid", "status"},
		{"CarePlan", "status=|", "invalid", "status"},
		{"CarePlan", "subject=Device/" + v, "invalid", "subject"},
		{"CarePlan", "subject=Patient/" + v + "/_history/1", "invalid", "subject"},
		{"CarePlan", "subject=Patient?" + v, "invalid", "subject"},
		{"CarePlan", "subject:Patient=Group/" + v, "invalid", "subject:Patient"},
		{"CarePlan", "_id=a/" + v, "invalid", "_id"},
		{"CarePlan", "date:missing=" + v, "invalid", "date:missing"},
		{"CarePlan", "date:missing=true,false", "invalid", "date:missing"},
		{"CarePlan", "status=" + strings.Repeat(v, 60), "too-long", "status"},
		{"CarePlan", "status=a%00" + v, "invalid", "status"},
		{"CarePlan", "status=%ff" + v, "invalid", "status"},
		{"RiskAssessment", "probability=" + v, "invalid", "probability"},
		{"RiskAssessment", "probability=1|a|b", "invalid", "probability"},
		{"Observation", "value-quantity=5|mg", "invalid", "value-quantity"},
		{"CarePlan", "status.code=" + v, "invalid", "CarePlan.status is not a reference"},
		{"CarePlan", "subject:Device.type=" + v, "invalid", "subject"},
		{"Patient", "_has:Observation:code=" + v, "invalid", "_has:Observation:code"},
		{"Patient", "_has:Observation:status:code=" + v, "invalid", "never points to Patient"},
		{"Patient", "_has:Observation:encounter:code=" + v, "invalid", "never points to Patient"},
		{"Patient", "_has:Observation:patient:colour=" + v, "not-supported", "colour"},
		{"Patient", "_has:Nothing:patient:colour=" + v, "not-supported", "_has"},
		{"Observation", "encounter.episode-of-care.patient.general-practitioner:Organization.name=" + v, "too-costly", "more than 3 references"},
		{"Provenance", "target.identifier=" + v, "too-costly", "name one"},
		{"CarePlan", "_count=-1", "invalid", "_count"},
		{"CarePlan", "_count=" + v, "invalid", "_count"},
		{"CarePlan", "_count=1&_count=2", "invalid", "_count may be given only once"},
		{"CarePlan", "_summary=text", "not-supported", "_summary"},
		{"CarePlan", "_summary=" + v, "invalid", "_summary"},
		{"CarePlan", "_total=" + v, "invalid", "_total"},
		{"CarePlan", "_sort=subject", "not-supported", "CarePlan cannot be sorted by subject"},
		{"CarePlan", "_sort=date,-date", "invalid", "_sort names date twice"},
		{"Observation", "code-value-quantity=a$" + v, "invalid", "part 2"},
		{"Observation", "code-value-quantity=a$1$" + v, "invalid", "code-value-quantity"},
		{"Observation", "code-value-quantity:not=a$1", "not-supported", "code-value-quantity:not"},
		{"Observation", "_sort=code-value-quantity", "not-supported", "cannot be sorted"},
		{"Patient", "identifier:of-type=a|" + v, "invalid", "identifier:of-type"},
		{"Patient", "gender:of-type=a|b|" + v, "not-supported", "gender:of-type"},
		{"CarePlan", "status:in=http://x/" + v, "not-supported", "not held here"},
		{"CarePlan", "status:below=" + v, "invalid", "status:below"},
		{"CarePlan", "status:above=http://x|" + v, "not-supported", "not held here"},
		{"CarePlan", "subject:below=Patient/" + v, "not-supported", "subject:below"},
		{"PlanDefinition", "url:below=urn:oid:" + v, "invalid", "url:below"},
		{"PlanDefinition", "url:above=http://a" + strings.Repeat("/b", 40), "too-costly", "url:above"},
		{"CarePlan", "_list=$current-allergies", "not-supported", "_list"},
		{"CarePlan", "_filter=status eq " + v, "not-supported", "_filter is not supported"},
		{"CarePlan", "encounter._text=" + v, "not-supported", "_text is asked of what is searched"},
		{"CarePlan", "_content=" + strings.Repeat("a ", MaxWords) + v, "too-costly", "words"},
		{"Location", "near=" + v, "invalid", "near"},
		{"CarePlan", "near=1|1|" + v, "not-supported", "near"},
		{"CarePlan", "_revinclude=*", "not-supported", "_revinclude must be written"},
		{"CarePlan", "_revinclude=Slot:*", "not-supported", "_revinclude"},
		{"CarePlan", "_include=Task:*", "invalid", "must begin with the type that is searched"},
		{"CarePlan", "_include=Task:owner", "invalid", "must begin with the type that is searched"},
		{"CarePlan", "_include=CarePlan:status", "not-supported", "_include"},
		{"CarePlan", "_include=CarePlan:subject:Device", "invalid", "_include"},
		{"CarePlan", "_include:recurse=CarePlan:subject", "not-supported", "write _include:iterate"},
		{"CarePlan", "_include:exact=CarePlan:subject", "not-supported", "_include:exact"},
		{"CarePlan", "_contained=true", "not-supported", "_contained"},
		{"CarePlan", "_contained=both", "not-supported", "_contained"},
		{"CarePlan", "_revinclude=Task:owner", "invalid", "never points to CarePlan"},
		{"CarePlan", "_include=CarePlan:subject" + strings.Repeat("&_include=CarePlan:care-team&_revinclude=Task:based-on&_include=CarePlan:subject:Patient&_include=CarePlan:encounter&_include=CarePlan:goal&_include=CarePlan:condition&_include=CarePlan:performer&_include=CarePlan:part-of&_include=CarePlan:replaces&_revinclude=Task:focus", 1), "too-costly", "at most 10"},
		{"Patient", "_has:Observation=" + v, "invalid", "_has:Observation"},
		{"Nothing", "a=" + v, "not-supported", "no such resource type"},
		{"CarePlan", strings.Repeat("status=a&", MaxParameters+1), "too-costly", "parameters"},
		{"CarePlan", "_id=" + strings.Repeat("a,", MaxValues) + "a", "too-costly", "values"},
		{"CarePlan", "010190-999X=1", "not-supported", "search parameter called [name withheld] here"},
	} {
		pairs, err := Pairs(c.query)
		require.NoError(t, err)
		opt := testOptions
		q, err := Parse(c.typ, pairs, opt)
		var refusal *Error
		if !errors.As(err, &refusal) {
			t.Errorf("%s?%s: got %+v, %v; want a refusal", c.typ, c.query, q, err)
			continue
		}
		issue := refusal.Issues[0]
		if issue.Code != c.code || issue.Severity != "error" || !strings.Contains(issue.Diagnostics, c.says) {
			t.Errorf("%s?%s: got %s %q, want %s with %q", c.typ, c.query, issue.Code, issue.Diagnostics, c.code, c.says)
		}
		if strings.Contains(err.Error(), v) || strings.Contains(err.Error(), "010190") {
			t.Errorf("%s?%s: the value is repeated in %q", c.typ, c.query, err)
		}
	}
}

func TestEveryParameterAtFaultIsNamed(t *testing.T) {
	_, err := Parse("CarePlan", []Pair{{"colour", "1"}, {"status", "active"}, {"date", "x"}}, testOptions)
	var refusal *Error
	require.ErrorAs(t, err, &refusal)
	require.Len(t, refusal.Issues, 2)
}

func TestLenientLeavesOutUnknownParametersOnlyAndSaysSo(t *testing.T) {
	opt := testOptions
	opt.Lenient = true
	q, err := Parse("CarePlan", []Pair{{"colour", "1"}, {"status", "active"}, {"subject.colour", "1"}}, opt)
	require.NoError(t, err)
	require.Equal(t, []string{"colour", "subject.colour"}, q.Ignored)
	require.Len(t, q.Where, 1)
	require.Equal(t, "status=active", q.Raw)
	for _, pair := range []Pair{{"status:above", "a"}, {"date", "x"}, {"_summary", "text"}} {
		_, err = Parse("CarePlan", []Pair{pair}, opt)
		require.Error(t, err, "%v is never passed over", pair)
	}
}
