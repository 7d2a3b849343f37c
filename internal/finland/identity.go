// Package finland knows the personal identity code (henkilötunnus). It is read, checked and recognised here and nowhere
// else, so that one place decides what may appear in a URL or a log. Nothing in this package shows a code: not an error,
// not the String of a parsed one.
package finland

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// Why text is no personal identity code. A code that fails only ErrIdentityCheck is still returned: a wrong check
// character is a slip to be settled by people, not a reason to lose the message.
var (
	ErrIdentityForm  = errors.New("not the form of a personal identity code (DDMMYY, century sign, individual number, check character)")
	ErrIdentityDate  = errors.New("the date of birth of the personal identity code does not exist")
	ErrIdentityCheck = errors.New("the check character of the personal identity code is wrong")
)

// IdentityCode is a personal identity code taken apart.
type IdentityCode struct {
	code string
	Born time.Time // the date of birth, at midnight UTC
	// Synthetic: the individual number is 900–999. Such codes are given to nobody for life; they serve as temporary
	// codes and in tests.
	Synthetic bool
}

// Code is the code itself, in capitals. It belongs in bodies only.
func (c IdentityCode) Code() string { return c.code }

// String hides the code, so that it cannot slip into a log or an error.
func (c IdentityCode) String() string { return hidden }

// GoString hides the code too.
func (c IdentityCode) GoString() string { return hidden }

// LogValue hides the code and the date of birth.
func (c IdentityCode) LogValue() slog.Value { return slog.StringValue(hidden) }

const hidden = "[identity code]"

// centuries gives the first year of the century for each sign: + - A of old, and those added to - and A in 2023
// (decree 128/2010 § 2 as amended).
var centuries = [256]int{
	'+': 1800,
	'-': 1900, 'Y': 1900, 'X': 1900, 'W': 1900, 'V': 1900, 'U': 1900,
	'A': 2000, 'B': 2000, 'C': 2000, 'D': 2000, 'E': 2000, 'F': 2000,
}

// checks are the check characters by remainder.
const checks = "0123456789ABCDEFHJKLMNPRSTUVWXY"

// ParseIdentityCode reads a personal identity code; white space around it and small letters are let pass. The errors
// are ErrIdentityForm, ErrIdentityDate and, with the code filled in, ErrIdentityCheck.
func ParseIdentityCode(s string) (IdentityCode, error) {
	s = strings.ToUpper(strings.TrimSpace(s))
	if len(s) != codeLength || !shaped(s) {
		return IdentityCode{}, ErrIdentityForm
	}
	individual := digits(s[7:10])
	if individual < 2 { // 000 and 001 are not given
		return IdentityCode{}, fmt.Errorf("%w: the individual numbers 000 and 001 are not given", ErrIdentityForm)
	}
	born, ok := birth(s)
	if !ok {
		return IdentityCode{}, ErrIdentityDate
	}
	code := IdentityCode{code: s, Born: born, Synthetic: individual >= 900}
	if !checked(s) {
		return code, ErrIdentityCheck
	}
	return code, nil
}

const codeLength = len("DDMMYYCZZZQ")

// shaped says whether s begins with the characters of an identity code in capitals.
func shaped(s string) bool {
	for i := range codeLength {
		switch c := s[i]; i {
		case 6:
			if centuries[c] == 0 {
				return false
			}
		case 10:
			if strings.IndexByte(checks, c) < 0 {
				return false
			}
		default:
			if c < '0' || c > '9' {
				return false
			}
		}
	}
	return true
}

// birth is the date of birth of a shaped code.
func birth(s string) (time.Time, bool) {
	day, month, year := digits(s[0:2]), digits(s[2:4]), centuries[s[6]]+digits(s[4:6])
	t := time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC)
	return t, t.Day() == day && int(t.Month()) == month
}

// checked says whether the check character of a shaped code is right: the nine digits modulo 31.
func checked(s string) bool {
	return checks[(digits(s[0:6])*1000+digits(s[7:10]))%len(checks)] == s[10]
}

func digits(s string) int {
	n := 0
	for i := range len(s) {
		n = n*10 + int(s[i]-'0')
	}
	return n
}
