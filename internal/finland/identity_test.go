package finland

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Individual numbers 900–999 only: nobody's.
var syntheticCodes = []string{
	"010190-999W", "050594U903M", "050594U902L", "040594V9030", "040594V902Y", "030694W9024", "030594W903B", "030516D9037",
	"030516D9026", "020594X903P", "020594X902N", "020516C903K", "020516C902J", "020504B904H", "020504A902E", "020503F9037",
	"020502E902X", "010594Y9032", "010594Y9021", "010516B903X", "010516B902W", "010501E9032",
}

func TestIdentityCodesOfAllCenturySigns(t *testing.T) {
	signs := map[byte]bool{}
	for _, s := range syntheticCodes {
		code, err := ParseIdentityCode(s)
		require.NoError(t, err, s)
		assert.True(t, code.Synthetic, s)
		assert.Equal(t, s, code.Code())
		assert.Equal(t, s[0:2]+s[2:4]+s[4:6], code.Born.Format("020106"))
		century := 19
		if strings.IndexByte("ABCDEF", s[6]) >= 0 {
			century = 20
		}
		assert.Equal(t, century, code.Born.Year()/100, s)
		signs[s[6]] = true
	}
	for _, sign := range "-YXWVUABCDEF" {
		assert.True(t, signs[byte(sign)], "no code with the sign %c", sign)
	}
	old, err := ParseIdentityCode("010190+999W")
	require.NoError(t, err)
	assert.Equal(t, 1890, old.Born.Year())
}

func TestIdentityCodesThatAreNone(t *testing.T) {
	for _, c := range []struct {
		s    string
		want error
	}{
		{"", ErrIdentityForm},
		{"010190-999", ErrIdentityForm},
		{"010190-999WP", ErrIdentityForm},
		{"010190G999W", ErrIdentityForm},
		{"010190-99AP", ErrIdentityForm},
		{"010190-999G", ErrIdentityForm},
		{"o10190-999W", ErrIdentityForm},
		{"010190-0018", ErrIdentityForm},
		{"310290-999W", ErrIdentityDate},
		{"290201A999W", ErrIdentityDate},
		{"011390-999W", ErrIdentityDate},
		{"000190-999W", ErrIdentityDate},
		{"010190-999R", ErrIdentityCheck},
	} {
		_, err := ParseIdentityCode(c.s)
		require.ErrorIs(t, err, c.want, c.s)
		assert.NotContains(t, err.Error(), "999")
	}
	code, err := ParseIdentityCode(" 010190-999x ")
	require.ErrorIs(t, err, ErrIdentityCheck)
	assert.Equal(t, "010190-999X", code.Code(), "the code is there to be settled")
	assert.Equal(t, time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC), code.Born)
	leap, err := ParseIdentityCode(synthetic(29, 2, 0, 'A', 900))
	require.NoError(t, err)
	assert.Equal(t, time.February, leap.Born.Month())
}

func TestIdentityCodesNeverShowThemselves(t *testing.T) {
	code, err := ParseIdentityCode("010190-999W")
	require.NoError(t, err)
	for _, shown := range []string{
		fmt.Sprint(code), fmt.Sprintf("%v %+v %s %#v", code, code, code, code), code.LogValue().String(), fmt.Sprint([]IdentityCode{code}),
	} {
		assert.NotContains(t, shown, "999")
		assert.Contains(t, shown, "[identity code]")
	}
}

func TestFindIdentityCode(t *testing.T) {
	for _, s := range []string{
		"010190-999W", "010190-999w", "/fhir/Patient?identifier=urn:oid:1.2.246.21|010190-999W&_count=1", "x010190-999Wx", "HETU010190-999W",
		"050594u903m", "(010190–999W)", "010190−999W,", "12010190-999W34", "010190-999X", "a 310199-9999 b", "010190+999W",
		"010190-999W-1234-1234-123456789012", "000000000000010190-999W",
		"０１０１９０-９９９Ｗ", "０１０１９０－999w", "010190\u0301-999W", "010190-\u00ad999W", "01019\u200b0-999W", "⁰¹⁰¹⁹⁰-⁹⁹⁹W", "𝟎𝟏0190-999W",
	} {
		assert.True(t, FindIdentityCode(s), s)
	}
	for _, s := range []string{
		"", "010190", "010190-99", "310290-999W", "2026-11-21T08:30:00.000Z", "urn:oid:1.2.246.537.6.40.201501", "010190-999G",
		"ab010190-999a-4bcd-8123-0123456789ab", "AB010190-999A-4BCD-8123-0123456789AB", "Patient/aino", "20261121-1200x", "0401234567", "x010190-999X",
	} {
		assert.False(t, FindIdentityCode(s), s)
	}
	assert.Equal(t, "ä [identity code], [identity code]!", MaskIdentityCodes("ä 010190-999W, 050594U903M!"))
	assert.Equal(t, "a [identity code]!", MaskIdentityCodes("a ０１０１９０-９９９Ｗ!"))
	assert.Equal(t, "[identity code], [identity code]", MaskIdentityCodes("010190-999W, ０１０１９０-９９９Ｗ"))
	assert.Equal(t, "no code – here", MaskIdentityCodes("no code – here"))
}

// synthetic makes a code of the individual numbers 900–999.
func synthetic(day, month, year int, sign byte, individual int) string {
	n := fmt.Sprintf("%02d%02d%02d%03d", day, month, year, individual)
	return n[:6] + string(sign) + n[6:] + string(checks[digits(n)%31])
}

func TestEverySyntheticCodeIsReadAndFound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := synthetic(rapid.IntRange(1, 28).Draw(t, "day"), rapid.IntRange(1, 12).Draw(t, "month"), rapid.IntRange(0, 99).Draw(t, "year"),
			rapid.SampledFrom([]byte("+-YXWVUABCDEF")).Draw(t, "sign"), rapid.IntRange(900, 999).Draw(t, "individual"))
		code, err := ParseIdentityCode(s)
		if err != nil || code.Code() != s || !code.Synthetic {
			t.Fatalf("not read: %v", err)
		}
		before := rapid.String().Draw(t, "before")
		text := before + s + rapid.String().Draw(t, "after")
		if !FindIdentityCode(text) || strings.Contains(MaskIdentityCodes(text), s) {
			t.Fatal("not found amid other text")
		}
	})
}

func FuzzFindIdentityCode(f *testing.F) {
	f.Add("x010190-999Wy")
	f.Add("010190\u2013")
	f.Fuzz(func(t *testing.T, s string) {
		if FindIdentityCode(MaskIdentityCodes(s)) {
			t.Fatal("a code is left after masking")
		}
		if _, err := ParseIdentityCode(s); err == nil && !FindIdentityCode(s) {
			t.Fatal("a code is not found")
		}
	})
}
