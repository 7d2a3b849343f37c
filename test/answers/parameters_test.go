package answers

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"sotesilta/internal/official"
	"sotesilta/internal/terms"
	"sotesilta/test/gatewaytest"
)

// leftOut are the official search parameters that are not there, by type and name or by name alone, and why.
var leftOut = map[string]string{
	"_query": "there are no named queries",

	"Patient.address":                  turvakielto,
	"Patient.address-city":             turvakielto,
	"Patient.address-country":          turvakielto,
	"Patient.address-postalcode":       turvakielto,
	"Patient.address-state":            turvakielto,
	"Patient.address-use":              turvakielto,
	"Patient.email":                    turvakielto,
	"Patient.phone":                    turvakielto,
	"Patient.telecom":                  turvakielto,
	"RelatedPerson.address":            turvakielto,
	"RelatedPerson.address-city":       turvakielto,
	"RelatedPerson.address-country":    turvakielto,
	"RelatedPerson.address-postalcode": turvakielto,
	"RelatedPerson.address-state":      turvakielto,
	"RelatedPerson.address-use":        turvakielto,
	"RelatedPerson.email":              turvakielto,
	"RelatedPerson.phone":              turvakielto,
	"RelatedPerson.telecom":            turvakielto,

	"AuditEvent._content":    auditColumns,
	"AuditEvent._profile":    auditColumns,
	"AuditEvent._security":   auditColumns,
	"AuditEvent._source":     auditColumns,
	"AuditEvent._tag":        auditColumns,
	"AuditEvent._text":       auditColumns,
	"AuditEvent.action":      auditColumns,
	"AuditEvent.address":     auditColumns,
	"AuditEvent.agent-name":  auditColumns,
	"AuditEvent.agent-role":  auditColumns,
	"AuditEvent.entity-name": auditColumns,
	"AuditEvent.entity-role": auditColumns,
	"AuditEvent.entity-type": auditColumns,
	"AuditEvent.site":        auditColumns,
	"AuditEvent.source":      auditColumns,
	"AuditEvent.type":        auditColumns,
}

const (
	turvakielto  = "address and telecom may be withheld (661/2009 § 36), and a search would tell them by guessing"
	auditColumns = "AuditEvents are views of the ledger, found by its columns; what stands in no column, or is alike in all, is not searched by"
)

// TestEveryOfficialSearchParameterIsServedOrLeftOutForAReason: served types × official parameters = ours + leftOut.
func TestEveryOfficialSearchParameterIsServedOrLeftOutForAReason(t *testing.T) {
	gatewaytest.Each(t, everyParameter)
}

func everyParameter(t *testing.T, g *gatewaytest.Gateway) {
	type parameter struct{ typ, definition string }
	ours := map[string]parameter{}
	types := map[string]bool{}
	for _, resource := range g.Send(t, "GET", "/fhir/metadata", nil).Want(t, 200).Doc(t).All("rest", "resource") {
		typ := resource.Text("type")
		types[typ] = true
		for _, p := range resource.Get("searchParam").Items() {
			ours[typ+"."+p.Text("name")] = parameter{p.Text("type"), p.Text("definition")}
		}
	}
	require.Greater(t, len(types), 60)
	reasons := map[string]bool{}
	all := map[string]bool{}
	for resource, err := range official.Test(t).Bundled("searchParams") {
		require.NoError(t, err)
		var p struct {
			Code, Type string
			Base       []string
		}
		require.NoError(t, json.Unmarshal(resource.JSON, &p))
		for _, base := range p.Base {
			for typ := range types {
				if base != typ && base != "Resource" && base != "DomainResource" {
					continue
				}
				name := typ + "." + p.Code
				all[name] = true
				got, served := ours[name]
				why := name
				if leftOut[why] == "" {
					why = p.Code
				}
				if leftOut[why] != "" {
					reasons[why] = true
				}
				require.NotEqual(t, served, leftOut[why] != "", "%s is served, or left out for a reason", name)
				if served {
					require.Equal(t, parameter{p.Type, resource.URL}, got, name)
				}
			}
		}
	}
	for name, p := range ours {
		require.True(t, all[name] || strings.HasPrefix(p.definition, terms.Base), "%s is an official parameter, or one of our own", name)
	}
	require.Len(t, reasons, len(leftOut), "every reason is still needed")
	t.Logf("%d parameters of %d types, %d served", len(all), len(types), len(ours))
}
