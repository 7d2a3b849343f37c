package exchange

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"sotesilta/consent"
	"sotesilta/gateway/store"
	"sotesilta/internal/fhir"
	"sotesilta/internal/terms"
)

// lawType is the type under which the text of the law is kept: public, nobody's care, and by id the policy version that
// records name (law 8).
const lawType = "Library"

// LawLibrary is the text of an Engine as a Library that the operator publishes before the Engine comes into force. Its id
// is the policy version, its contents are the files. The same text makes the same Library.
func LawLibrary(e *consent.Engine) (*fhir.Value, error) {
	files, err := e.Text().Marshal()
	if err != nil {
		return nil, err
	}
	contents := make([]*fhir.Value, 0, len(files))
	for _, name := range slices.Sorted(maps.Keys(files)) {
		contents = append(contents, fhir.NewObject(
			fhir.Member{Name: "contentType", Value: fhir.NewString("text/plain; charset=utf-8")},
			fhir.Member{Name: "data", Value: fhir.NewString(base64.StdEncoding.EncodeToString(files[name]))},
			fhir.Member{Name: "title", Value: fhir.NewString(name)},
		))
	}
	return fhir.NewObject(
		fhir.Member{Name: "resourceType", Value: fhir.NewString(lawType)},
		fhir.Member{Name: "id", Value: fhir.NewString(e.Version())},
		fhir.Member{Name: "url", Value: fhir.NewString(terms.Base + lawType + "/" + e.Version())},
		fhir.Member{Name: "name", Value: fhir.NewString("LegalBases")},
		fhir.Member{Name: "title", Value: fhir.NewString("Käsittelyn ja luovutuksen perusteet: päätössäännöt")},
		fhir.Member{Name: "status", Value: fhir.NewString("active")},
		fhir.Member{Name: "type", Value: fhir.NewObject(fhir.Member{Name: "coding", Value: fhir.NewArray(fhir.NewObject(
			fhir.Member{Name: "system", Value: fhir.NewString("http://terminology.hl7.org/CodeSystem/library-type")},
			fhir.Member{Name: "code", Value: fhir.NewString("logic-library")},
		))})},
		fhir.Member{Name: "content", Value: fhir.NewArray(contents...)},
	), nil
}

// errNoText: the text of a policy version was not kept.
var errNoText = errors.New("exchange: the text of this policy version is not kept")

// readLaw makes the Engine of a policy version again from the text that was kept.
func readLaw(ctx context.Context, snap store.Snapshot, version string) (*consent.Engine, error) {
	if !fhir.ValidID(version) {
		return nil, errNoText
	}
	row, err := snap.Get(ctx, lawType, version)
	if errors.Is(err, store.ErrNotFound) || err == nil && (row.Deleted || row.Class.Register != consent.Directory) {
		return nil, errNoText
	}
	if err != nil {
		return nil, err
	}
	doc, err := fhir.Parse(row.Body, fhir.DefaultLimits)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for _, content := range doc.Get("content").Items() {
		data, err := base64.StdEncoding.DecodeString(strings.TrimSpace(content.Text("data")))
		if err != nil {
			return nil, fmt.Errorf("exchange: %s/%s: %s: %w", lawType, version, content.Text("title"), err)
		}
		files[content.Text("title")] = data
	}
	return consent.Restore(version, files)
}
