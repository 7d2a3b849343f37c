package auth

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"

	"sotesilta/consent"
)

// RegistryOption adjusts LoadRegistry.
type RegistryOption func(*loader)

// WithFiles lets jwksFile name a file of files. Without it jwksFile is refused.
func WithFiles(files fs.FS) RegistryOption { return func(l *loader) { l.files = files } }

// WithKeys gives the keys of clients that register none themselves. The sandbox makes its clients' keys this way.
func WithKeys(keys func(clientID string) ([]PublicKey, error)) RegistryOption {
	return func(l *loader) { l.keys = keys }
}

// WithKeyHosts allows jwksUri on these hosts (host, or host:port), by https only. Without it jwksUri is refused.
func WithKeyHosts(hosts ...string) RegistryOption { return func(l *loader) { l.hosts = hosts } }

// loader builds and validates a Registry.
type loader struct {
	registry *Registry
	files    fs.FS
	keys     func(string) ([]PublicKey, error)
	hosts    []string
	client   *http.Client

	problems []error
	thumbs   map[string]string // key thumbprint → client
	units    map[string]Unit   // by Organization/…
	oids     map[string]string // OID → Organization/…
	roles    map[string]string // PractitionerRole/… → place
	shared   map[string]bool   // Practitioner/… of several users
}

// The kinds of user that each kind of client may have; the first is the default.
var userKinds = map[ClientKind][]consent.Kind{
	SystemApp:   {consent.Professional, consent.Client, consent.Guardian, consent.Representative},
	OwnViewApp:  {consent.Client, consent.Guardian, consent.Representative},
	AuditorApp:  {consent.Auditor},
	OperatorApp: {consent.Operator},
}

// kindPurposes is what each kind of actor may claim (contract "Who a token speaks for"); the first is the default. A
// system without a user claims no ground: that is a human's assertion.
var kindPurposes = map[consent.Kind][]consent.Purpose{
	consent.System: {consent.Care},
	consent.Professional: {
		consent.Care, consent.NeedAssessment, consent.Incapacity, consent.Emergency, consent.StatutoryAct,
	},
	consent.Client:         {consent.OwnData},
	consent.Guardian:       {consent.OwnData},
	consent.Representative: {consent.OwnData},
	consent.Auditor:        {consent.Supervision},
	consent.Operator:       {consent.Care},
}

// allPurposes is the codes of CodeSystem purpose.
var allPurposes = []consent.Purpose{
	consent.Care, consent.NeedAssessment, consent.Incapacity, consent.Emergency, consent.StatutoryAct,
	consent.Supervision, consent.OwnData,
}

// Tasks of decree 457/2024 by register: § 3 health care; § 10.1 public and § 10.2 private social care; § 20 either.
// Services are those of § 4, health care only.
var (
	taskForm = map[consent.Register]*regexp.Regexp{
		consent.Health: regexp.MustCompile(`^(3\.[1-5]|20\.[1-4])$`),
		consent.Social: regexp.MustCompile(`^(10\.1\.[1-5]|10\.2\.[1-3]|20\.[1-4])$`),
	}
	serviceForm = regexp.MustCompile(`^4\.([1-9]|1[0-4])$`)
	oidForm     = regexp.MustCompile(`^urn:oid:[0-2](\.(0|[1-9][0-9]*))+$`)
	fhirIDForm  = regexp.MustCompile(`^[A-Za-z0-9.-]{1,64}$`)
)

func (l *loader) fail(place, format string, args ...any) {
	l.problems = append(l.problems, fmt.Errorf("%s: %s", place, fmt.Sprintf(format, args...)))
}

func (l *loader) load(file registryFile) {
	l.thumbs, l.units, l.oids = map[string]string{}, map[string]Unit{}, map[string]string{}
	l.roles, l.shared = map[string]string{}, map[string]bool{}
	if len(file.Clients) == 0 {
		l.fail("clients", "none")
	}
	for i, entry := range file.Clients {
		place := fmt.Sprintf("clients[%d]", i)
		if !idForm.MatchString(entry.ID) {
			l.fail(place, "id: missing, or not of letters, digits, dot, underscore and hyphen (at most 64)")
			continue
		}
		place = "clients/" + entry.ID
		if l.registry.byID[entry.ID] != nil {
			l.fail(place, "id: used twice")
			continue
		}
		c := l.loadClient(place, entry)
		l.registry.clients = append(l.registry.clients, c)
		l.registry.byID[c.ID] = c
	}
	for person := range l.shared {
		delete(l.registry.persons, person)
	}
}

func (l *loader) loadClient(place string, e clientEntry) *Client {
	c := &Client{
		ID: e.ID, Name: l.text(place, "name", e.Name), Kind: ClientKind(or(e.Kind, string(SystemApp))),
		Controller: l.ref(place, "controller", e.Controller, "Organization"), Register: l.register(place, e.Register),
		byUser: map[string]*User{}, units: map[string]*Unit{},
	}
	if userKinds[c.Kind] == nil {
		l.fail(place, "kind: not system, own-view, auditor or operator")
		return c
	}
	c.Units = make([]Unit, 0, len(e.Units))
	for i, unit := range e.Units {
		l.loadUnit(fmt.Sprintf("%s/units[%d]", place, i), c, unit)
	}
	for i := range c.Units {
		c.units[c.Units[i].ID] = &c.Units[i]
		if c.Units[i].OID != "" {
			c.units[c.Units[i].OID] = &c.Units[i]
		}
	}
	if c.Kind == SystemApp && len(c.Units) == 0 {
		l.fail(place, "units: a system needs at least one")
	}
	set, err := parseScopes(strings.Join(e.Scopes, " "))
	if err != nil {
		l.fail(place, "scopes: %v", err)
	} else if len(set) == 0 {
		l.fail(place, "scopes: missing")
	}
	c.scopes = set
	c.Purposes = l.purposes(place, e.Purposes)
	if len(e.Purposes) == 0 {
		l.fail(place, "purposes: missing")
	}
	l.loadKeys(place, c, e)
	c.Users = make([]User, 0, len(e.Users))
	for i, user := range e.Users {
		l.loadUser(fmt.Sprintf("%s/users[%d]", place, i), place, c, user)
	}
	if c.Kind == OwnViewApp && len(c.Users) == 0 {
		l.fail(place, "users: an own-view app needs at least one")
	}
	for i := range c.Users {
		l.index(c, &c.Users[i])
	}
	return c
}

func (l *loader) loadUnit(place string, c *Client, e unitEntry) {
	u := Unit{ID: l.ref(place, "id", e.ID, "Organization"), Name: l.text(place, "name", e.Name), OID: e.OID, Producer: e.Producer}
	u.Register = l.register(place, or(e.Register, string(c.Register)))
	u.Controller = l.ref(place, "controller", or(e.Controller, c.Controller), "Organization")
	switch {
	case u.Register == "" && c.Kind == SystemApp:
		l.fail(place, "register: missing here and at the client")
	case c.Register != "" && u.Register != c.Register:
		l.fail(place, "register: not the client's; leave the client's out when it serves both sectors")
	}
	if u.OID != "" && (len(u.OID) > maxText || !oidForm.MatchString(u.OID)) {
		l.fail(place, "oid: not urn:oid:…")
	}
	if slices.ContainsFunc(c.Units, func(o Unit) bool { return o.ID == u.ID }) {
		l.fail(place, "id: used twice")
		return
	}
	if other, known := l.units[u.ID]; known && (other.Register != u.Register || other.Controller != u.Controller || other.Producer != u.Producer) {
		l.fail(place, "id: another client's unit of the same id has another register, controller or producer")
	}
	if other, known := l.oids[u.OID]; u.OID != "" && known && other != u.ID {
		l.fail(place, "oid: used by another unit")
	}
	l.units[u.ID] = u
	l.oids[u.OID] = u.ID
	c.Units = append(c.Units, u)
}

func (l *loader) loadUser(place, parent string, c *Client, e userEntry) {
	if !idForm.MatchString(e.ID) {
		l.fail(place, "id: missing, or not of letters, digits, dot, underscore and hyphen (at most 64)")
		return
	}
	place = parent + "/users/" + e.ID
	u := User{
		ID: e.ID, Name: l.text(place, "name", e.Name), Kind: consent.Kind(or(e.Kind, string(userKinds[c.Kind][0]))),
		Controller: c.Controller, Task: e.Task, Service: e.Service, Authority: e.Authority,
		NationalProviderIdentifier: e.NationalProviderIdentifier, SubjectRoles: e.SubjectRoles,
	}
	if !slices.Contains(userKinds[c.Kind], u.Kind) {
		l.fail(place, "kind: a client of kind %s has no such users", c.Kind)
		return
	}
	for _, id := range []string{u.ID, u.NationalProviderIdentifier} {
		if id != "" && slices.ContainsFunc(c.Users, func(o User) bool { return o.ID == id || o.NationalProviderIdentifier == id }) {
			l.fail(place, "id or nationalProviderIdentifier: used twice")
			return
		}
	}
	if len(u.NationalProviderIdentifier) > maxText || !printable(u.NationalProviderIdentifier) || identityCode.MatchString(u.NationalProviderIdentifier) {
		l.fail(place, "nationalProviderIdentifier: not a professional's number")
	}
	for _, code := range u.SubjectRoles {
		if code == "" || len(code) > maxText {
			l.fail(place, "subjectRoles: an empty or overlong code")
		}
	}
	if ownView(u.Kind) {
		l.loadOwnView(place, &u, e)
	} else {
		l.loadWorker(place, c, &u, e)
	}
	l.loadPurposes(place, c, &u, e)
	c.Users = append(c.Users, u)
}

// ownView says whether a kind of user looks at a client's data as the client's own: the client, or who acts for the client.
func ownView(kind consent.Kind) bool {
	return kind == consent.Client || kind == consent.Guardian || kind == consent.Representative
}

// loadWorker is what a professional, auditor or operator needs.
func (l *loader) loadWorker(place string, c *Client, u *User, e userEntry) {
	if len(e.Clients) > 0 {
		l.fail(place, "clients: for the own view of clients, guardians and representatives only")
	}
	must := u.Kind == consent.Professional
	if must || e.Person != "" {
		u.Person = l.ref(place, "person", e.Person, "Practitioner")
	}
	if must || e.Role != "" {
		u.Role = l.ref(place, "role", e.Role, "PractitionerRole")
	}
	if other := l.roles[u.Role]; u.Role != "" && other != "" {
		l.fail(place, "role: used by %s as well", other)
	}
	l.roles[u.Role] = place
	if must || e.Unit != "" {
		u.Unit = l.ref(place, "unit", e.Unit, "Organization")
		if unit := c.units[u.Unit]; unit != nil {
			u.Register, u.Controller = unit.Register, unit.Controller
		} else if u.Unit != "" {
			l.fail(place, "unit: not a unit of the client")
		}
	}
	if !must {
		return
	}
	if form := taskForm[u.Register]; form != nil && !form.MatchString(u.Task) {
		l.fail(place, "task: missing, or not a task of decree 457/2024 for the %s register (§ 3, § 10 or § 20)", u.Register)
	}
	if u.Service != "" && (u.Register != consent.Health || !serviceForm.MatchString(u.Service)) {
		l.fail(place, "service: not a health service of decree 457/2024 § 4 (4.1–4.14)")
	}
	if u.Register == consent.Health && strings.HasPrefix(u.Task, "3.") && u.Service == "" {
		l.fail(place, "service: missing; a task of § 3 is done in a service of § 4")
	}
	if u.Authority && u.Register != consent.Social {
		l.fail(place, "authority: only in social care (sosiaalihuollon viranomainen)")
	}
}

// loadOwnView is what a client, or who acts for one, needs to look at the client's data.
func (l *loader) loadOwnView(place string, u *User, e userEntry) {
	if e.Role+e.Unit+e.Task+e.Service+e.NationalProviderIdentifier != "" || e.Authority {
		l.fail(place, "a %s has no role, unit, task, service, authority or provider identifier", u.Kind)
	}
	types := []string{"Patient"}
	if u.Kind != consent.Client {
		types = append(types, "RelatedPerson")
	}
	u.Person = l.ref(place, "person", e.Person, types...)
	for _, id := range e.Clients {
		if !fhirIDForm.MatchString(id) || slices.Contains(u.Clients, id) {
			l.fail(place, "clients: not Patient ids, each once")
			break
		}
		u.Clients = append(u.Clients, id)
	}
	if len(u.Clients) == 0 {
		l.fail(place, "clients: missing")
	}
	if u.Kind == consent.Client && (len(u.Clients) != 1 || u.Person != "Patient/"+u.Clients[0]) {
		l.fail(place, "clients: a client sees only the own data, Patient id and person being the same")
	}
}

// loadPurposes leaves a user the purposes of the own kind within those of the client.
func (l *loader) loadPurposes(place string, c *Client, u *User, e userEntry) {
	claimed := l.purposes(place, e.Purposes)
	for _, p := range claimed {
		if !slices.Contains(c.Purposes, p) || !slices.Contains(kindPurposes[u.Kind], p) {
			l.fail(place, "purposes: %s is beyond the client or the kind of user", p)
		}
	}
	for _, p := range kindPurposes[u.Kind] {
		if slices.Contains(c.Purposes, p) && (len(claimed) == 0 || slices.Contains(claimed, p)) {
			u.Purposes = append(u.Purposes, p)
		}
	}
	if len(u.Purposes) == 0 {
		l.fail(place, "purposes: the client's leave this kind of user (%s) none", u.Kind)
	}
}

func (l *loader) index(c *Client, u *User) {
	c.byUser[u.ID] = u
	if u.NationalProviderIdentifier != "" {
		c.byUser[u.NationalProviderIdentifier] = u
	}
	if u.Kind != consent.Professional {
		return
	}
	actor := c.actorOf(u)
	if u.Role != "" {
		l.registry.persons[u.Role] = actor
	}
	if _, known := l.registry.persons[u.Person]; known {
		l.shared[u.Person] = true
	}
	if u.Person != "" {
		l.registry.persons[u.Person] = actor
	}
}

// loadKeys takes the client's keys from exactly one place.
func (l *loader) loadKeys(place string, c *Client, e clientEntry) {
	set := keySet{}
	c.keys = set
	add := func(where string, k PublicKey, err error) {
		if err == nil {
			err = set.add(k)
		}
		if err != nil {
			l.fail(place, "%s: %v", where, err)
			return
		}
		if other, taken := l.thumbs[k.thumb]; taken {
			l.fail(place, "%s: the key of %s as well; each client has its own", where, other)
		}
		l.thumbs[k.thumb] = c.ID
	}
	given := 0
	for _, is := range []bool{e.JWKS != nil, e.JWKSFile != "", e.JWKSURI != ""} {
		if is {
			given++
		}
	}
	switch {
	case given > 1:
		l.fail(place, "jwks, jwksFile, jwksUri: more than one of them")
	case e.JWKSURI != "":
		if err := l.checkURI(e.JWKSURI); err != nil {
			l.fail(place, "jwksUri: %v", err)
			return
		}
		c.jwksURI = e.JWKSURI
		c.keys = newRemoteKeys(e.JWKSURI, l.client)
	case e.JWKS != nil:
		for i, m := range e.JWKS.Keys {
			k, err := m.registered()
			add(fmt.Sprintf("jwks.keys[%d]", i), k, err)
		}
	case e.JWKSFile != "":
		l.registry.keyFiles = append(l.registry.keyFiles, e.JWKSFile)
		keys, err := l.readKeyFile(e.JWKSFile)
		if err != nil {
			l.fail(place, "jwksFile: %v", err)
			return
		}
		for i, m := range keys.Keys {
			k, err := m.registered()
			add(fmt.Sprintf("jwksFile: keys[%d]", i), k, err)
		}
	case l.keys != nil:
		keys, err := l.keys(c.ID)
		if err != nil {
			l.fail(place, "key: %v", err)
			return
		}
		for _, k := range keys {
			if k.alg != ES384 && k.alg != RS384 {
				l.fail(place, "key: a client's key is for ES384 or RS384")
				continue
			}
			add("key", k, nil)
		}
	}
	if len(set) == 0 && e.JWKSURI == "" {
		l.fail(place, "jwks: no key")
	}
}

func (l *loader) readKeyFile(name string) (jwks, error) {
	if l.files == nil {
		return jwks{}, errors.New("files are not read here")
	}
	info, err := fs.Stat(l.files, name)
	if err != nil {
		return jwks{}, cause(err)
	}
	if info.Size() > maxKeySetSize {
		return jwks{}, errors.New("too big")
	}
	data, err := fs.ReadFile(l.files, name)
	if err != nil {
		return jwks{}, cause(err)
	}
	var set jwks
	if json.Unmarshal(data, &set) != nil {
		return jwks{}, errors.New("not a JWK Set")
	}
	return set, nil
}

// checkURI keeps the gateway from being sent anywhere but to hosts the operator chose.
func (l *loader) checkURI(uri string) error {
	u, err := url.Parse(uri)
	switch {
	case err != nil || len(uri) > 2000:
		return errors.New("not a URL")
	case u.Scheme != "https" || u.User != nil || u.Fragment != "" || u.Host == "":
		return errors.New("not a plain https URL")
	case !slices.Contains(l.hosts, u.Host):
		return errors.New("its host is not on the list of allowed key hosts")
	}
	return nil
}

func (l *loader) text(place, member, value string) string {
	if value == "" || len(value) > maxText {
		l.fail(place, "%s: missing, or longer than %d", member, maxText)
	}
	return value
}

// ref checks a reference Type/id of one of the types.
func (l *loader) ref(place, member, value string, types ...string) string {
	typ, id, _ := strings.Cut(value, "/")
	if !slices.Contains(types, typ) || !fhirIDForm.MatchString(id) {
		l.fail(place, "%s: missing, or not %s/…", member, strings.Join(types, "/… or "))
		return ""
	}
	return value
}

func (l *loader) register(place, value string) consent.Register {
	switch r := consent.Register(value); r {
	case "", consent.Health, consent.Social:
		return r
	default:
		l.fail(place, "register: neither health nor social")
		return ""
	}
}

func (l *loader) purposes(place string, values []string) []consent.Purpose {
	var out []consent.Purpose
	for _, v := range values {
		p := consent.Purpose(v)
		if !slices.Contains(allPurposes, p) || slices.Contains(out, p) {
			l.fail(place, "purposes: not codes of CodeSystem purpose, each once")
			continue
		}
		out = append(out, p)
	}
	return out
}

func or(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}
