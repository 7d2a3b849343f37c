package oracle

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"regexp"
	"strings"
)

// twin is something hidden and two things that never were, each as the values of the places in requests.
type twin struct{ hidden, absent, control map[string]string }

var places = regexp.MustCompile(`\{([a-z]+)\}`)

// world is what there is to probe.
type world struct {
	resources     []*twin
	patient       *twin
	hiddenPatient *twin // nil when the asker may see the Patient
	referrer      *twin // the asker's own that refers to what is hidden
	referred      *twin // the asker's own that something hidden refers to
	identity      identity
}

// identity is what $match is asked with.
type identity struct{ System, Value, Family, Given, Born string }

// random is a text like another: digits for digits, letters for letters, hexadecimal where all of it is.
func random(like string) string {
	hex := uuid.MatchString(like)
	out := []byte(like)
	for i, c := range out {
		switch {
		case hex && c != '-' && i != 14 && i != 19:
			out[i] = "0123456789abcdef"[rand.N(16)]
		case hex:
		case c >= '1' && c <= '9', c == '0' && i > 0:
			out[i] = byte('1' + rand.N(9))
		case c >= 'a' && c <= 'z':
			out[i] = byte('a' + rand.N(26))
		case c >= 'A' && c <= 'Z':
			out[i] = byte('A' + rand.N(26))
		}
	}
	return string(out)
}

// never is an id of the form of another that nothing has, as far as both parties can see.
func (b *battery) never(ctx context.Context, typ, like string) (string, error) {
	for range 20 {
		id := random(like)
		there := false
		for _, p := range []*party{b.asker, b.preparer} {
			if p == nil {
				continue
			}
			a, err := p.do(ctx, get(typ+"/"+id))
			if err != nil {
				return "", err
			}
			if a.status == http.StatusUnauthorized {
				return "", fmt.Errorf("the server does not take the credentials (401)")
			}
			there = there || a.status < 300
		}
		if !there && id != like {
			return id, nil
		}
	}
	return "", fmt.Errorf("no id like that of %s/%s is free", typ, like)
}

// wrote creates a resource and answers its id.
func wrote(ctx context.Context, p *party, typ, body string) (string, error) {
	a, err := p.do(ctx, request{http.MethodPost, typ, body, []string{"Prefer", "return=representation"}})
	if err != nil {
		return "", err
	}
	if at := location.FindStringSubmatch(a.header.Get("Location")); at != nil && a.status < 300 {
		return at[1], nil
	}
	if d, err := a.doc(); err == nil && d.Type == typ && d.ID != "" && a.status < 300 {
		return d.ID, nil
	}
	return "", fmt.Errorf("POST %s answers %d: %.300s", typ, a.status, a.body)
}

// fill makes a resource of a template.
func (b *battery) fill(template, patient, mark, target string) string {
	return strings.NewReplacer("{system}", b.system, "{value}", mark, "{mark}", mark, "{codes}", b.codes, "{code}", "code-"+mark, "{target}", target).
		Replace(about(template, patient))
}

// prepare learns what is hidden, and writes what it needs where it may.
func (b *battery) prepare(ctx context.Context) (*world, error) {
	w := &world{}
	if err := b.learn(ctx, w); err != nil {
		return nil, err
	}
	b.choose()
	known := b.Known
	if b.preparer != nil && b.Write {
		mark := random(b.mark)
		id, err := wrote(ctx, b.preparer, b.Type, b.fill(templates[b.Type], b.Patient, mark, ""))
		if err != nil {
			return nil, fmt.Errorf("the preparer cannot write what is to be hidden: %w", err)
		}
		tw, err := b.twin(ctx, b.Type, id, mark)
		if err != nil {
			return nil, err
		}
		w.resources = append(w.resources, tw)
		if err := b.refer(ctx, w, tw); err != nil {
			return nil, err
		}
	} else if b.preparer != nil {
		a, err := b.preparer.do(ctx, get(b.Type+"?patient=Patient/"+b.Patient+"&_count=3"))
		if err != nil {
			return nil, err
		}
		if d, err := a.doc(); err == nil {
			known = append(known, d.matches()...)
		}
	}
	for _, ref := range known {
		typ, id, ok := strings.Cut(ref, "/")
		if !ok {
			return nil, fmt.Errorf("%q is no reference Type/id", ref)
		}
		tw, err := b.twin(ctx, typ, id, "")
		if err != nil {
			return nil, err
		}
		w.resources = append(w.resources, tw)
	}
	if len(w.resources) == 0 && w.hiddenPatient == nil {
		return nil, fmt.Errorf("nothing hidden is known: name some (--known), or give credentials that find it (--prepare-…)")
	}
	return w, nil
}

// learn finds out about the client.
func (b *battery) learn(ctx context.Context, w *world) error {
	if b.Patient == "" {
		return nil
	}
	w.identity.System, w.identity.Value, _ = strings.Cut(b.Identifier, "|")
	if b.preparer != nil {
		a, err := b.preparer.do(ctx, get("Patient/"+b.Patient))
		if err != nil {
			return err
		}
		w.identity = identityOf(a.body, w.identity)
	}
	absent, err := b.never(ctx, "Patient", b.Patient)
	if err != nil {
		return err
	}
	control, err := b.never(ctx, "Patient", b.Patient)
	if err != nil {
		return err
	}
	side := func(id string, who identity) map[string]string {
		values := map[string]string{
			"type": b.Type, "patient": id, "psystem": who.System, "pvalue": who.Value, "family": who.Family, "given": who.Given, "born": who.Born,
			"codes": b.codes, "code": "x", "mark": random(b.mark),
		}
		if subject := id; b.Write {
			if id != b.Patient && b.Twin != "" {
				subject = b.Twin
				values["twin"] = b.Twin
			}
			values["about"] = b.fill(templates[b.Type], subject, values["mark"], "")
		}
		return values
	}
	nobody := func() identity {
		who := w.identity
		who.Value, who.Family, who.Given = random(who.Value), random(who.Family), random(who.Given)
		return who
	}
	w.patient = &twin{side(b.Patient, w.identity), side(absent, nobody()), side(control, nobody())}
	a, err := b.asker.do(ctx, get("Patient/"+b.Patient))
	if err != nil {
		return err
	}
	switch {
	case a.status == http.StatusUnauthorized:
		return fmt.Errorf("the server does not take the asker's credentials (401)")
	case a.status >= 300:
		w.hiddenPatient = w.patient
	case len(b.Known) == 0 && b.preparer == nil:
		// A Patient that is denied and seen all the same: that is what the battery is here to tell.
		w.hiddenPatient = w.patient
	}
	return nil
}

// identityOf reads what $match and searches by identity are asked with.
func identityOf(body []byte, or identity) identity {
	var p struct {
		Identifier []struct{ System, Value string }
		Name       []struct {
			Family string
			Given  []string
		}
		BirthDate string
	}
	if json.Unmarshal(body, &p) != nil {
		return or
	}
	if len(p.Identifier) > 0 && or.Value == "" {
		or.System, or.Value = p.Identifier[0].System, p.Identifier[0].Value
	}
	if len(p.Name) > 0 {
		or.Family = p.Name[0].Family
		if len(p.Name[0].Given) > 0 {
			or.Given = p.Name[0].Given[0]
		}
	}
	or.Born = p.BirthDate
	return or
}

// choose finds a type by which the asker can refer to anything.
func (b *battery) choose() {
	for _, r := range referring {
		if b.can.serves(r.typ, "create") && b.can.serves(r.typ, "?"+r.param) {
			b.other, b.param = r.typ, r.param
			return
		}
	}
}

// refers is a resource of the type chosen that refers to a target.
func (b *battery) refers(patient, target string) string {
	for _, r := range referring {
		if r.typ == b.other {
			return strings.ReplaceAll(b.fill(strings.ReplaceAll(r.resource, "{mark}", "\x00"), patient, "", target), "\x00", "{mark}")
		}
	}
	return ""
}

// twin is a hidden resource and two that never were; value is its identifier, "" when it is not the battery's own.
func (b *battery) twin(ctx context.Context, typ, id, value string) (*twin, error) {
	absent, err := b.never(ctx, typ, id)
	if err != nil {
		return nil, err
	}
	control, err := b.never(ctx, typ, id)
	if err != nil {
		return nil, err
	}
	system, code := b.system, "code-"+value
	codes := b.codes
	if value == "" && b.preparer != nil {
		system, value, codes, code = b.valuesOf(ctx, typ, id)
	}
	side := func(id, value, code string) map[string]string {
		values := map[string]string{
			"type": typ, "id": id, "patient": b.Patient, "other": b.other, "param": b.param, "system": system, "value": value, "codes": codes, "code": code,
		}
		if template := templates[typ]; template != "" && b.Write {
			fresh := strings.NewReplacer("{system}", b.system, "{codes}", b.codes, "{code}", "x").Replace(about(template, b.Own))
			values["template"] = fresh
			values["resource"] = strings.Replace(strings.ReplaceAll(fresh, "{value}", b.mark), "{", `{"id":"`+id+`",`, 1)
			values["referring"] = b.refers(b.Own, typ+"/"+id)
			values["conditional"] = b.refers(b.Own, typ+"?identifier="+system+"|"+value)
		}
		return values
	}
	return &twin{side(id, value, code), side(absent, random(value), "code-"+random(value)), side(control, random(value), "code-"+random(value))}, nil
}

// valuesOf are the first identifier and code of a resource, as the preparer sees it.
func (b *battery) valuesOf(ctx context.Context, typ, id string) (system, value, codes, code string) {
	a, err := b.preparer.do(ctx, get(typ+"/"+id))
	if err != nil {
		return
	}
	var r struct {
		Identifier []struct{ System, Value string }
		Code       struct {
			Coding []struct{ System, Code string }
		}
	}
	_ = json.Unmarshal(a.body, &r) // another shape has nothing to ask by
	if len(r.Identifier) > 0 {
		system, value = r.Identifier[0].System, r.Identifier[0].Value
	}
	if len(r.Code.Coding) > 0 {
		codes, code = r.Code.Coding[0].System, r.Code.Coding[0].Code
	}
	return
}

// refer writes the asker's own resources that refer to what is hidden and to what is absent, and those that something
// hidden refers to.
func (b *battery) refer(ctx context.Context, w *world, tw *twin) error {
	if b.other == "" {
		return nil
	}
	var own [3]string
	for i, side := range []map[string]string{tw.hidden, tw.absent, tw.control} {
		var err error
		body := strings.ReplaceAll(b.refers(b.Own, side["type"]+"/"+side["id"]), "{mark}", random(b.mark))
		if own[i], err = wrote(ctx, b.asker, b.other, body); err != nil {
			return nil // it may not write, or not refer: ofResource tells whether it may not alike
		}
	}
	with := func(side map[string]string, name, value string) map[string]string {
		out := map[string]string{name: value}
		for k, v := range side {
			if k != name {
				out[k] = v
			}
		}
		return out
	}
	w.referrer = &twin{with(tw.hidden, "own", own[0]), with(tw.absent, "own", own[1]), with(tw.control, "own", own[2])}
	for i := range own {
		var err error
		body := strings.ReplaceAll(b.refers(b.Own, b.other+"/nothing"), "{mark}", random(b.mark))
		if own[i], err = wrote(ctx, b.asker, b.other, body); err != nil {
			return nil
		}
	}
	body := strings.ReplaceAll(b.refers(b.Patient, b.other+"/"+own[0]), "{mark}", random(b.mark))
	referrer, err := wrote(ctx, b.preparer, b.other, body)
	if err != nil {
		return nil // the preparer may not write that type
	}
	never := random(referrer)
	w.referred = &twin{}
	for i, side := range []*map[string]string{&w.referred.hidden, &w.referred.absent, &w.referred.control} {
		*side = map[string]string{"type": b.other, "other": b.other, "param": b.param, "own": own[i], "referrer": map[bool]string{true: referrer, false: never}[i == 0]}
	}
	return nil
}
