package load

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"sotesilta/gateway/auth"
)

// Token gets an access token from the gateway's token endpoint by private_key_jwt, as any client does.
func (g *Gateway) Token(ctx context.Context, client, user string) (string, error) {
	assertion, err := g.Assertion(client, user)
	if err != nil {
		return "", err
	}
	token, err := auth.Fetch(ctx, g.Root+auth.TokenPath, assertion, "")
	if err != nil {
		return "", fmt.Errorf("token for %s@%s: %w", user, client, err)
	}
	return token.AccessToken, nil
}

// Assertion is a fresh assertion, good once.
func (g *Gateway) Assertion(client, user string) (string, error) {
	key, err := auth.ReadClientKey(g.Keys, client)
	if err != nil {
		return "", err
	}
	return auth.Assertion(key, client, g.Root+auth.TokenPath, auth.Claims{User: user})
}

// Read is a request for a resource by id, such as Task/1.
func (g *Gateway) Read(token, ref string) Request {
	return NewRequest("GET", g.Addr, "/fhir/"+ref, nil, "Authorization", "Bearer "+token, "Accept", fhirJSON)
}

// Create is a request that creates a resource.
func (g *Gateway) Create(token, typ string, body []byte) Request {
	return NewRequest("POST", g.Addr, "/fhir/"+typ, body, "Authorization", "Bearer "+token,
		"Accept", fhirJSON, "Content-Type", fhirJSON)
}

const fhirJSON = "application/fhir+json"

// Put creates one resource and answers its reference Type/id.
func (g *Gateway) Put(token, typ string, body []byte) (string, error) {
	c, err := Dial(g.Addr)
	if err != nil {
		return "", err
	}
	defer c.Close()
	a, err := c.Do(g.Create(token, typ, body))
	if err != nil {
		return "", err
	}
	if a.Status != http.StatusCreated {
		return "", fmt.Errorf("POST %s: %d: %s", typ, a.Status, a.Body)
	}
	return Created(a)
}

// Created is the reference Type/id of what an answer says was created.
func Created(a *Answer) (string, error) {
	var resource struct {
		Type string `json:"resourceType"`
		ID   string `json:"id"`
	}
	if err := json.Unmarshal(a.Body, &resource); err != nil || resource.ID == "" {
		return "", fmt.Errorf("the answer holds no resource: %.200s", a.Body)
	}
	return resource.Type + "/" + resource.ID, nil
}

// sentence pads texts to the size of real ones; it says nothing of anybody.
const sentence = "Asiakkaan kanssa sovittiin yhteisestä suunnitelmasta, ja seuraava vaihe on kirjattu tähän. "

// Task is a Task of a health station about a client, of about 3 KB, with the members that such Tasks have in practice:
// its search index has some fifteen values. mark tells it from others.
func Task(client, mark string) []byte {
	return compact(map[string]any{
		"resourceType": "Task",
		"identifier":   []any{map[string]any{"system": "urn:oid:1.2.246.10.99999.1", "value": mark}},
		"status":       "requested", "intent": "order", "priority": "routine",
		"code":         coded("http://hl7.org/fhir/CodeSystem/task-code", "fulfill"),
		"description":  "Hoidon tarpeen arvio " + mark,
		"for":          reference("Patient/" + client),
		"authoredOn":   "2026-11-21T08:00:00+02:00",
		"lastModified": "2026-11-21T08:00:00+02:00",
		"restriction":  map[string]any{"period": map[string]any{"end": "2026-12-21"}},
		"note":         notes(12),
		"input": []any{
			map[string]any{"type": map[string]any{"text": "kiireellisyys"}, "valueString": sentence},
			map[string]any{"type": map[string]any{"text": "yhteydenotto"}, "valueString": sentence},
		},
	})
}

// CarePlan is a plan of about 3 KB.
func CarePlan(client string) []byte {
	var activities []any
	for range 6 {
		activities = append(activities, map[string]any{"detail": map[string]any{
			"status": "scheduled", "code": map[string]any{"text": "Käynti terveysasemalla"},
			"description": sentence + sentence, "scheduledString": "kerran kuukaudessa",
		}})
	}
	return compact(map[string]any{
		"resourceType": "CarePlan", "status": "active", "intent": "plan", "title": "Terveys- ja hoitosuunnitelma",
		"category":    []any{coded("http://snomed.info/sct", "734163000")},
		"description": sentence, "subject": reference("Patient/" + client),
		"period": map[string]any{"start": "2026-01-01", "end": "2026-12-31"}, "created": "2026-01-01",
		"activity": activities, "note": notes(5),
	})
}

func coded(system, code string) map[string]any {
	return map[string]any{"coding": []any{map[string]any{"system": system, "code": code}}}
}

func reference(to string) map[string]any { return map[string]any{"reference": to} }

func notes(n int) []any {
	var out []any
	for range n {
		out = append(out, map[string]any{"time": "2026-11-21T08:00:00+02:00", "text": sentence})
	}
	return out
}

func compact(doc map[string]any) []byte {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(doc); err != nil {
		panic(err) // maps of texts
	}
	return bytes.TrimSpace(b.Bytes())
}
