package auth

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/go-json-experiment/json"
	"github.com/stretchr/testify/require"

	"sotesilta/consent"
)

func TestPersonsAreFoundByRoleAndByPerson(t *testing.T) {
	w := newWorld(t)
	nurse, ok := w.Person("PractitionerRole/nurse")
	require.True(t, ok)
	require.Equal(t, "nurse", nurse.User)
	require.Equal(t, consent.Health, nurse.Register)
	byPerson, ok := w.Person("Practitioner/nurse")
	require.True(t, ok)
	require.Equal(t, nurse, byPerson)
	for _, ref := range []string{"Patient/aino", "RelatedPerson/lumi-guardian", "Practitioner/nobody", "nurse", ""} {
		_, ok = w.Person(ref)
		require.False(t, ok, ref)
	}

	// One person in two roles is found by role only.
	w.Use(w.registry(func(text string) string {
		return strings.Replace(text, "person: Practitioner/digi-nurse", "person: Practitioner/nurse", 1)
	}))
	_, ok = w.Person("Practitioner/nurse")
	require.False(t, ok)
	digi, ok := w.Person("PractitionerRole/digi-nurse")
	require.True(t, ok)
	require.Equal(t, "omaks", digi.App)
}

// Who acts for a client is registered with the clients; a producer's unit makes its professionals a producer's.
func TestRepresentativesAndProducers(t *testing.T) {
	w := newWorld(t)
	registry := w.registry(func(text string) string {
		text = strings.Replace(text, "name: Jukola health station, oid", "name: Jukola health station, producer: true, oid", 1)
		return strings.Replace(text, "kind: guardian", "kind: representative", 1)
	})
	w.Use(registry)
	nurse, ok := w.Person("PractitionerRole/nurse")
	require.True(t, ok)
	require.True(t, nurse.Producer)
	worker, ok := w.Person("PractitionerRole/social-worker")
	require.True(t, ok)
	require.False(t, worker.Producer)
	acting, ok := registry.Actor("omaks", "lumi-guardian")
	require.True(t, ok)
	require.Equal(t, consent.Representative, acting.Kind)
	require.Equal(t, []string{"lumi"}, acting.Clients)
	require.Empty(t, acting.Units)
}

func TestARegistryWithFaultsIsRefusedWithThePlace(t *testing.T) {
	w := newWorld(t)
	data, err := os.ReadFile("testdata/registry.yaml")
	require.NoError(t, err)
	good := string(data)
	for name, c := range map[string]struct{ old, new, says string }{
		"unknown member":                   {"    register: health\n", "    registers: health\n", "line 6: field registers not found"},
		"member twice":                     {"    kind: own-view\n", "    kind: own-view\n    kind: system\n", "already defined"},
		"client twice":                     {"id: my-data", "id: omaks", "clients/omaks: id: used twice"},
		"no client id":                     {"id: my-data", "id: ''", "clients[3]: id: missing"},
		"client id with a slash":           {"id: my-data", "id: ../my-data", "clients[3]: id"},
		"no controller":                    {"    controller: Organization/county\n", "", "clients/jukola-ehr: controller: missing"},
		"controller is no organisation":    {"controller: Organization/county", "controller: Patient/county", "clients/jukola-ehr: controller"},
		"no name":                          {"    name: Jukola health station\n", "", "clients/jukola-ehr: name: missing"},
		"unknown kind":                     {"kind: own-view", "kind: superuser", "clients/my-data: kind"},
		"no such register":                 {"register: health\n    units", "register: identity\n    units", "clients/jukola-ehr: register"},
		"unit without register":            {"name: Omaks social, register: social", "name: Omaks social", "clients/omaks/units[1]: register: missing"},
		"unit of the other sector":         {"name: Home nursing}", "name: Home nursing, register: social}", "clients/jukola-ehr/units[1]: register"},
		"unit of two registers":            {"id: Organization/omaks-social, ", "id: Organization/jukola, ", "another register"},
		"unit twice":                       {"id: Organization/home-nursing", "id: Organization/jukola", "clients/jukola-ehr/units[1]: id: used twice"},
		"no scopes":                        {"    scopes: [system/AuditEvent.rs]\n", "", "clients/auditor: scopes: missing"},
		"v1 scopes":                        {"system/AuditEvent.rs", "system/AuditEvent.read", "clients/auditor: scopes: SMART v1"},
		"no purposes":                      {"    purposes: [supervision]\n", "", "clients/auditor: purposes: missing"},
		"no such purpose":                  {"purposes: [supervision]", "purposes: [curiosity]", "clients/auditor: purposes"},
		"user twice":                       {"id: student", "id: nurse", "clients/jukola-ehr/users/nurse: id or nationalProviderIdentifier: used twice"},
		"user's id is another's number":    {"id: student", "id: \"90000000001\"", "used twice"},
		"unit of another client":           {"unit: Organization/omaks-health", "unit: Organization/jukola", "clients/omaks/users/digi-nurse: unit: not a unit of the client"},
		"professional without unit":        {"        unit: Organization/omaks-health\n", "", "clients/omaks/users/digi-nurse: unit: missing"},
		"professional without role":        {"        role: PractitionerRole/digi-nurse\n", "", "clients/omaks/users/digi-nurse: role: missing"},
		"role of two users":                {"PractitionerRole/digi-nurse", "PractitionerRole/nurse", "clients/omaks/users/digi-nurse: role: used by clients/jukola-ehr/users/nurse"},
		"social task in health care":       {"task: \"3.1\"", "task: \"10.1.1\"", "clients/jukola-ehr/users/nurse: task"},
		"no task":                          {"        task: \"10.1.2\"\n", "", "clients/omaks/users/digi-counsellor: task: missing"},
		"no such service":                  {"service: \"4.1\"", "service: \"4.15\"", "clients/jukola-ehr/users/nurse: service"},
		"no service":                       {"        service: \"4.1\"\n", "", "clients/jukola-ehr/users/nurse: service: missing"},
		"authority in health care":         {"        task: \"3.1\"\n", "        task: \"3.1\"\n        authority: true\n", "clients/jukola-ehr/users/nurse: authority"},
		"purpose beyond the client":        {"purposes: [care]\n  - id: county", "purposes: [own-data]\n  - id: county", "clients/jukola-ehr/users/student: purposes"},
		"client sees another":              {"person: Patient/aino, clients: [aino]", "person: Patient/aino, clients: [lumi]", "clients/omaks/users/aino: clients"},
		"client sees several":              {"clients: [aino]", "clients: [aino, lumi]", "clients/omaks/users/aino: clients"},
		"guardian without clients":         {", clients: [lumi]}\n  - id: my-data", "}\n  - id: my-data", "clients/omaks/users/lumi-guardian: clients: missing"},
		"client with a unit":               {"kind: client, person: Patient/aino", "kind: client, unit: Organization/omaks-health, person: Patient/aino", "clients/omaks/users/aino: a client has no role"},
		"professional with clients":        {"        task: \"10.1.2\"\n", "        task: \"10.1.2\"\n        clients: [aino]\n", "clients/omaks/users/digi-counsellor: clients"},
		"auditor among a system's users":   {"kind: guardian", "kind: auditor", "clients/omaks/users/lumi-guardian: kind"},
		"identity code as provider number": {"\"90000000001\"", "\"010190-999X\"", "clients/jukola-ehr/users/nurse: nationalProviderIdentifier"},
		"private key":                      {"    kind: auditor\n", "    kind: auditor\n    jwks: {keys: [{kty: EC, crv: P-384, kid: a, x: aa, y: aa, d: c2VjcmV0}]}\n", "clients/auditor: jwks.keys[0]: holds a private key"},
		"symmetric key":                    {"    kind: auditor\n", "    kind: auditor\n    jwks: {keys: [{kty: oct, kid: a, k: c2VjcmV0}]}\n", "clients/auditor: jwks.keys[0]: holds a private key"},
		"broken key":                       {"    kind: auditor\n", "    kind: auditor\n    jwks: {keys: [{kty: EC, crv: P-384, kid: a, x: AAAA, y: AAAA}]}\n", "clients/auditor: jwks.keys[0]: x: not 48 octets"},
		"no key":                           {"    kind: auditor\n", "    kind: auditor\n    jwks: {keys: []}\n", "clients/auditor: jwks: no key"},
		"key address not allowed":          {"    kind: auditor\n", "    kind: auditor\n    jwksUri: https://keys.example/jwks\n", "clients/auditor: jwksUri: its host"},
		"key address in clear":             {"    kind: auditor\n", "    kind: auditor\n    jwksUri: http://keys.example/jwks\n", "clients/auditor: jwksUri: not a plain https"},
		"key file not allowed":             {"    kind: auditor\n", "    kind: auditor\n    jwksFile: ../secret\n", "clients/auditor: jwksFile: files are not read"},
		"second document":                  {"# A small county", "---\nclients: []\n---\n# A small county", "more than one document"},
	} {
		t.Run(name, func(t *testing.T) {
			require.Contains(t, good, c.old)
			_, err := LoadRegistry(strings.NewReader(strings.Replace(good, c.old, c.new, 1)), WithKeys(w.clientKey))
			require.ErrorContains(t, err, c.says)
			require.NotContains(t, err.Error(), "c2VjcmV0")
			require.NotContains(t, err.Error(), "010190-999X")
		})
	}
	_, err = LoadRegistry(strings.NewReader(""))
	require.Error(t, err)
	_, err = LoadRegistry(strings.NewReader("clients: []"))
	require.ErrorContains(t, err, "clients: none")
	_, err = LoadRegistry(strings.NewReader(good))
	require.ErrorContains(t, err, "clients/operator: jwks: no key", "all faults are named at once")
}

func TestKeysComeFromTheFileAFolderOrTheCaller(t *testing.T) {
	key, err := NewClientKey()
	require.NoError(t, err)
	set, err := json.Marshal(jwks{Keys: []jwk{mustMembers(key.Public())}})
	require.NoError(t, err)
	const rest = `"id":"auditor","name":"A","kind":"auditor","controller":"Organization/c","scopes":["system/AuditEvent.rs"],"purposes":["supervision"]`
	for name, load := range map[string]func() (*Registry, error){
		"inline, as JSON": func() (*Registry, error) {
			return LoadRegistry(strings.NewReader(`{"clients":[{` + rest + `,"jwks":` + string(set) + `}]}`))
		},
		"file": func() (*Registry, error) {
			return LoadRegistry(strings.NewReader(`{"clients":[{`+rest+`,"jwksFile":"a.jwks"}]}`), WithFiles(fstest.MapFS{"a.jwks": {Data: set}}))
		},
		"caller": func() (*Registry, error) {
			return LoadRegistry(strings.NewReader(`{"clients":[{`+rest+`}]}`), WithKeys(func(string) ([]PublicKey, error) {
				return []PublicKey{key.Public()}, nil
			}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			reg, err := load()
			require.NoError(t, err)
			got, err := mustClient(reg, "auditor").key(t.Context(), key.Public().ID())
			require.NoError(t, err)
			require.Equal(t, key.Public().thumb, got.thumb)
		})
	}
	two := `{"clients":[{` + rest + `,"jwks":` + string(set) + `},{` + strings.Replace(rest, `"auditor"`, `"auditor-2"`, 1) + `,"jwks":` + string(set) + `}]}`
	_, err = LoadRegistry(strings.NewReader(two))
	require.ErrorContains(t, err, "clients/auditor-2: jwks.keys[0]: the key of auditor as well")
}

func TestKeysAreKeptFromOthers(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	key, err := LoadOrCreateKey(dir)
	require.NoError(t, err)
	again, err := LoadOrCreateKey(dir)
	require.NoError(t, err)
	require.Equal(t, key.Public().thumb, again.Public().thumb)
	client, err := LoadOrCreateClientKey(dir, "jukola-ehr")
	require.NoError(t, err)
	for path, mode := range map[string]os.FileMode{"": 0o700, "clients": 0o700, TokenKeyFile: 0o600, "clients/jukola-ehr.jwk": 0o600} {
		info, err := os.Stat(filepath.Join(dir, path))
		require.NoError(t, err)
		require.Equal(t, mode, info.Mode().Perm(), path)
	}
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 2, "nothing is left lying about")

	got, err := ReadClientKey(dir, "jukola-ehr")
	require.NoError(t, err)
	require.Equal(t, client.Public(), got.Public())
	require.ErrorIs(t, writeKey(filepath.Join(dir, "clients", "jukola-ehr.jwk"), client), os.ErrExist)
	_, err = ReadClientKey(dir, "nobody")
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NotContains(t, err.Error(), dir)
	_, err = ReadClientKey(dir, "../token")
	require.ErrorContains(t, err, "not a client id")

	require.NoError(t, os.Chmod(filepath.Join(dir, TokenKeyFile), 0o644))
	_, err = LoadOrCreateKey(dir)
	require.ErrorContains(t, err, "open to others (0644)")
	require.NoError(t, os.Chmod(filepath.Join(dir, TokenKeyFile), 0o600))
	require.NoError(t, os.Chmod(dir, 0o777))
	_, err = LoadOrCreateKey(dir)
	require.ErrorContains(t, err, "folder")
}

func TestKeysSurviveTheirText(t *testing.T) {
	ec, err := NewClientKey()
	require.NoError(t, err)
	for _, key := range []*Key{ec, rsaKey()} {
		text, err := key.MarshalJWK()
		require.NoError(t, err)
		got, err := ParseKey(text)
		require.NoError(t, err)
		sig, err := got.public.method.Sign("x", got.signer)
		require.NoError(t, err)
		require.NoError(t, key.Public().verify("x", sig))
		require.Error(t, key.Public().verify("y", sig))
	}
	// The thumbprint of RFC 7638 § 3.1's own example.
	n := "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
	pub, err := jwk{Kty: "RSA", N: n, E: "AQAB"}.public()
	require.NoError(t, err)
	require.Equal(t, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs", pub.ID())
}
