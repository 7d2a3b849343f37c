package rest

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"sotesilta/consent"
	"sotesilta/consent/ledger"
	"sotesilta/gateway/exchange"
	"sotesilta/gateway/report"
	"sotesilta/internal/fhir"
	"sotesilta/internal/terms"
)

// Reporter is as much of the one door as log reports and proofs need; *exchange.Desk is the real one.
type Reporter interface {
	Report(ctx context.Context, c exchange.Caller, q exchange.ReportRequest) (*report.Report, error)
	Prove(ctx context.Context, c exchange.Caller, id string) (*ledger.Proof, error)
	Rights(ctx context.Context, c exchange.Caller, q exchange.RightsRequest) (*fhir.Value, error)
	Notices(ctx context.Context, c exchange.Caller, q exchange.NoticesRequest) (bundle *fhir.Value, next string, err error)
}

var _ Reporter = (*exchange.Desk)(nil)

// Reports are the operations that give log data with their proofs: Patient/id/$disclosure-report (package report tells
// the forms and what the document holds) and AuditEvent/id/$proof, the proof of one record for who supervises.
func Reports(desk Reporter) []Operation {
	return []Operation{
		{
			Type: "Patient", Name: "disclosure-report", Instance: true,
			Definition: terms.Base + "OperationDefinition/disclosure-report",
			Documentation: "The client's log report (703/2023 §§ 11 and 74) as a document with a proof for each line. Parameters: form " +
				"(code: own-view, section-11), from and to (dateTime or date), count, cursor; of section-11 also register (code: health, social), " +
				"reason (string), requested (date) and withheld (parts record and reason).",
			Handle: func(ctx context.Context, c exchange.Caller, id string, in *fhir.Value) (*exchange.Resource, error) {
				q, err := reportRequest(id, in)
				if err != nil {
					return nil, err
				}
				made, err := desk.Report(ctx, c, q)
				if err != nil {
					return nil, err
				}
				return &exchange.Resource{Type: "Bundle", Body: made.Bundle().JSON()}, nil
			},
		},
		{
			Type: "AuditEvent", Name: "proof", Instance: true,
			Definition: terms.Base + "OperationDefinition/proof",
			Documentation: "The proof that this record is in the ledger, for `gateway verify`: a Binary with a C2SP tlog-proof. " +
				"It holds the whole record; asking for it is recorded as a read of the AuditEvent.",
			Handle: func(ctx context.Context, c exchange.Caller, id string, _ *fhir.Value) (*exchange.Resource, error) {
				proof, err := desk.Prove(ctx, c, id)
				if err != nil {
					return nil, err
				}
				return &exchange.Resource{Type: "Binary", ID: id, Body: report.Binary(id, proof).JSON()}, nil
			},
		},
		{
			Type: "AuditEvent", Name: "rights",
			Definition: terms.Base + "OperationDefinition/rights",
			Documentation: "The register of users and rights (703/2023 § 9.3) at any date, for who supervises: who had which rights, and since " +
				"when. Parameters: date (date: at some moment of that day; dateTime: then; now without it), client, user, person, count, cursor " +
				"(the parameter next of the page before).",
			Handle: func(ctx context.Context, c exchange.Caller, _ string, in *fhir.Value) (*exchange.Resource, error) {
				q, err := rightsRequest(in)
				if err != nil {
					return nil, err
				}
				rights, err := desk.Rights(ctx, c, q)
				if err != nil {
					return nil, err
				}
				return &exchange.Resource{Type: "Parameters", Body: rights.JSON()}, nil
			},
		},
		{
			Type: "AuditEvent", Name: "disclosure-notices",
			Definition: terms.Base + "OperationDefinition/disclosure-notices",
			Documentation: "What was disclosed of the social register, for notices of disclosure (luovutusilmoitus, Kanta's " +
				"SocialWelfareAuditEvent), for who supervises: a collection of AuditEvents, each whole in itself. Parameters: register (social), " +
				"from and to (date or dateTime, at most 31 days apart), count, cursor (Bundle.identifier of the page before, while there is one).",
			Handle: func(ctx context.Context, c exchange.Caller, _ string, in *fhir.Value) (*exchange.Resource, error) {
				q, err := noticesRequest(in)
				if err != nil {
					return nil, err
				}
				bundle, next, err := desk.Notices(ctx, c, q)
				if err != nil {
					return nil, err
				}
				if next != "" {
					bundle.Set("identifier", fhir.NewObject(
						fhir.Member{Name: "system", Value: fhir.NewString(nextPage)}, fhir.Member{Name: "value", Value: fhir.NewString(next)},
					))
				}
				return &exchange.Resource{Type: "Bundle", Body: bundle.JSON()}, nil
			},
		},
	}
}

// nextPage names, in Bundle.identifier, the cursor of the next page of an export.
const nextPage = terms.Base + "NamingSystem/next-page"

// noticesRequest reads the input of $disclosure-notices; what is missing is told by name later.
func noticesRequest(in *fhir.Value) (q exchange.NoticesRequest, err error) {
	err = takeParameters("$disclosure-notices", in,
		parameter{"register", asText(&q.Register)}, parameter{"from", asDate(&q.From, new(time.Time))}, parameter{"to", asDate(new(time.Time), &q.To)},
		parameter{"count", asCount(&q.Count)}, parameter{"cursor", asText(&q.Cursor)})
	return q, err
}

// rightsRequest reads the input of $rights.
func rightsRequest(in *fhir.Value) (q exchange.RightsRequest, err error) {
	err = takeParameters("$rights", in,
		parameter{"date", asDate(&q.From, &q.To)}, parameter{"client", asText(&q.Client)}, parameter{"user", asText(&q.User)},
		parameter{"person", asText(&q.Person)}, parameter{"count", asCount(&q.Count)}, parameter{"cursor", asText(&q.Cursor)})
	return q, err
}

// parameter is one that an operation takes, and what takes its value.
type parameter struct {
	name string
	take func(value string) error
}

// takeParameters reads the input of an operation that takes these, each of a simple value and at most once; without input
// there are none.
func takeParameters(operation string, in *fhir.Value, takes ...parameter) error {
	const place = "Parameters.parameter"
	if in == nil {
		return nil
	}
	if fhir.ResourceType(in) != "Parameters" {
		return refuse(http.StatusBadRequest, "structure", "Parameters", operation+" takes Parameters.")
	}
	seen := map[string]bool{}
	for _, p := range in.Get("parameter").Items() {
		name, value := p.Text("name"), valueOf(p)
		at := slices.IndexFunc(takes, func(t parameter) bool { return t.name == name })
		if at < 0 {
			names := make([]string, len(takes))
			for i, t := range takes {
				names[i] = t.name
			}
			return refuse(http.StatusBadRequest, "not-supported", place, operation+" has the parameters "+strings.Join(names, ", ")+".")
		}
		if seen[name] || value == "" || takes[at].take(value) != nil {
			return refuse(http.StatusBadRequest, "invalid", place, operation+": "+name+" is not of its type, or comes twice.")
		}
		seen[name] = true
	}
	return nil
}

func asText[T ~string](into *T) func(string) error {
	return func(value string) error { *into = T(value); return nil }
}

// asDate takes a date or dateTime as the span that it covers.
func asDate(from, to *time.Time) func(string) error {
	return func(value string) (err error) { *from, *to, err = dateOf(value); return err }
}

// asCount takes a number of rows; nothing asked for is not the same as not asked, and becomes -1.
func asCount(into *int) func(string) error {
	return func(value string) (err error) {
		if *into, err = strconv.Atoi(value); *into == 0 {
			*into = -1
		}
		return err
	}
}

// reportRequest reads the input of $disclosure-report.
func reportRequest(client string, in *fhir.Value) (exchange.ReportRequest, error) {
	q := exchange.ReportRequest{Client: client}
	bad := func(what string) error {
		return refuse(http.StatusBadRequest, "invalid", "Parameters.parameter", "$disclosure-report: "+what)
	}
	if in == nil {
		return q, nil // what is missing is told by name
	}
	if fhir.ResourceType(in) != "Parameters" {
		return q, refuse(http.StatusBadRequest, "structure", "Parameters", "$disclosure-report takes Parameters.")
	}
	seen := map[string]bool{}
	for _, p := range in.Get("parameter").Items() {
		name := p.Text("name")
		if seen[name] && name != "withheld" {
			return q, bad("a parameter comes twice.")
		}
		seen[name] = true
		var err error
		value := valueOf(p)
		switch name {
		case "form":
			q.Form = report.Form(value)
		case "register":
			q.Register = consent.Register(value)
		case "from":
			q.From, _, err = dateOf(value)
		case "to":
			_, q.To, err = dateOf(value)
		case "reason":
			q.Reason = value
		case "requested":
			if _, _, err = dateOf(value); err == nil {
				q.Asked = value
			}
		case "count":
			err = asCount(&q.Count)(value)
		case "cursor":
			q.Cursor = value
		case "withheld":
			var record, reason string
			for _, part := range p.Get("part").Items() {
				switch part.Text("name") {
				case "record":
					record = valueOf(part)
				case "reason":
					reason = valueOf(part)
				}
			}
			if q.Withheld == nil {
				q.Withheld = map[string]string{}
			}
			if _, twice := q.Withheld[record]; twice {
				return q, bad("a record is withheld twice.")
			}
			q.Withheld[record] = reason
		default:
			return q, refuse(http.StatusBadRequest, "not-supported", "Parameters.parameter",
				"$disclosure-report has the parameters form, register, from, to, reason, requested, withheld, count and cursor.")
		}
		if err != nil {
			return q, bad(name + " is not of its type.")
		}
	}
	return q, nil
}

// valueOf is the text of a parameter's value, of whatever type it is.
func valueOf(p *fhir.Value) string {
	for _, member := range p.Members() {
		if len(member.Name) > len("value") && member.Name[:len("value")] == "value" {
			return member.Value.Str()
		}
	}
	return ""
}

// dateOf is the span that a date or dateTime covers; days are days in Finland.
func dateOf(text string) (from, to time.Time, err error) {
	from, to, ok := fhir.ParseDate(text)
	if !ok {
		return from, to, errNotDate
	}
	if len(text) <= len(time.DateOnly) {
		from, to = consent.FinnishDay(from.UTC()), consent.FinnishDay(to.UTC())
	}
	return from.UTC(), to.UTC(), nil
}

var errNotDate = refuse(http.StatusBadRequest, "invalid", "Parameters.parameter", "Not a date.")
