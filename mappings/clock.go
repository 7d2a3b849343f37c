package mappings

import (
	"strings"
	"time"

	"sotesilta/internal/fhir"
)

// forms are the precisions of TS and DTM (HL7 v2.5 § 2.A.77) and the dateTime of each (FHIR R4 § 2.24.0.1). FHIR has
// no hour without minutes, and none without seconds: those are padded with zeros when read.
var forms = []struct{ hl7, fhir string }{
	{"2006", "2006"},
	{"200601", "2006-01"},
	{"20060102", "2006-01-02"},
	{"200601021504", "2006-01-02T15:04:05Z07:00"},
	{"20060102150405", "2006-01-02T15:04:05Z07:00"},
}

// readTime reads a TS; local times are of zone. dated says that it has no time of day.
func readTime(s string, zone *time.Location) (text string, dated bool, why string) {
	digits, offset := s, ""
	if i := strings.IndexAny(s, "+-"); i >= 0 {
		digits, offset = s[:i], s[i:]
	}
	digits, fraction, _ := strings.Cut(digits, ".")
	if len(fraction) > 4 || strings.Trim(fraction, "0123456789") != "" || fraction != "" && len(digits) != 14 {
		return "", false, "it is not a time"
	}
	for _, form := range forms {
		if len(form.hl7) != len(digits) {
			continue
		}
		dated = len(digits) <= 8
		if dated {
			if _, err := time.Parse(form.hl7, digits); err != nil {
				return "", false, "it is not a time"
			}
			if offset != "" {
				return "", false, "a date has no offset"
			}
			t, _ := time.Parse(form.hl7, digits)
			return t.Format(form.fhir), true, ""
		}
		var t time.Time
		var err error
		if offset != "" {
			t, err = time.Parse(form.hl7+"-0700", digits+offset)
		} else {
			t, err = time.ParseInLocation(form.hl7, digits, zone)
		}
		if err != nil || t.Format(form.hl7) != digits {
			return "", false, "it is not a time, or one that summer time leaves out"
		}
		text = t.Format("2006-01-02T15:04:05")
		if fraction != "" {
			text += "." + fraction
		}
		text += t.Format("Z07:00")
		if _, _, ok := fhir.ParseDate(text); !ok {
			return "", false, "it is not a time"
		}
		return text, false, ""
	}
	return "", false, "it is not a time"
}

// writeTime is the opposite of readTime, in the offset that the element tells.
func writeTime(s string) (string, bool) {
	if _, _, ok := fhir.ParseDate(s); !ok {
		return "", false
	}
	day, clock, timed := strings.Cut(s, "T")
	day = strings.ReplaceAll(day, "-", "")
	if !timed {
		return day, true
	}
	offset := "+0000"
	if i := strings.IndexAny(clock, "+-Z"); i < 0 {
		return "", false
	} else if clock[i] != 'Z' {
		offset, clock = strings.ReplaceAll(clock[i:], ":", ""), clock[:i]
	} else {
		clock = clock[:i]
	}
	clock, fraction, _ := strings.Cut(clock, ".")
	if fraction = strings.TrimRight(fraction, "0"); fraction != "" {
		if len(fraction) > 4 {
			return "", false
		}
		fraction = "." + fraction
	}
	return day + strings.ReplaceAll(clock, ":", "") + fraction + offset, true
}

type timeCodec struct{}

func (timeCodec) decode(t *turn, _ *rule, c *cell) (*fhir.Value, string) {
	s := c.get(1, 1)
	if s == "" {
		return nil, ""
	}
	text, _, why := readTime(s, t.lens.zone)
	if why != "" {
		return nil, why
	}
	return fhir.NewString(text), ""
}

func (timeCodec) encode(t *turn, _ *rule, v *fhir.Value, c *cell) string {
	text, ok := writeTime(t.see(v))
	if !ok {
		return "it is not a time"
	}
	c.set(1, 1, text)
	return ""
}

type instantCodec struct{ timeCodec }

func (instantCodec) decode(t *turn, _ *rule, c *cell) (*fhir.Value, string) {
	s := c.get(1, 1)
	if s == "" {
		return nil, ""
	}
	text, dated, why := readTime(s, t.lens.zone)
	if why == "" && dated {
		why = "it has no time of day"
	}
	if why != "" {
		return nil, why
	}
	return fhir.NewString(text), ""
}

type dateCodec struct{}

func (dateCodec) decode(t *turn, _ *rule, c *cell) (*fhir.Value, string) {
	s := c.get(1, 1)
	if s == "" {
		return nil, ""
	}
	text, dated, why := readTime(s, t.lens.zone)
	if why != "" {
		return nil, why
	}
	if !dated { // a time of day says nothing more of a date of birth; midnight is how many systems spell a date
		text, _, _ = strings.Cut(text, "T")
	}
	return fhir.NewString(text), ""
}

func (dateCodec) encode(t *turn, _ *rule, v *fhir.Value, c *cell) string {
	text, ok := writeTime(t.see(v))
	if !ok || len(text) > 8 {
		return "it is not a date"
	}
	c.set(1, 1, text)
	return ""
}
