package hl7v2_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"sotesilta/mappings/hl7v2"
)

const visit = "MSH|^~\\&|EHR|JUKOLA|SOTESILTA||20260301080000+0200||ADT^A04^ADT_A01|M1|P|2.5||||||UNICODE UTF-8\r" +
	"PID|1||010594Y9032^^^HETU&1.2.246.21&ISO^NNFIN~77^^^JUKOLA^MR||Mäki^Aino||19940501|F\r" +
	"PV1|1|O||R|||T1^Ojala^Olli~T2^Suo^Sari||||||||||||4711^^^VISIT\r"

func TestCanonicalMessageIsWrittenBackAsItCame(t *testing.T) {
	m, err := hl7v2.Parse([]byte(visit), hl7v2.Limits{})
	require.NoError(t, err)
	back, err := m.Encode()
	require.NoError(t, err)
	require.Equal(t, visit, string(back))
}

func TestPaths(t *testing.T) {
	m, err := hl7v2.Parse([]byte(visit), hl7v2.Limits{})
	require.NoError(t, err)
	for path, want := range map[string]string{
		"MSH-1": "|", "MSH-2": `^~\&`, "MSH-9.2": "A04", "MSH-10": "M1",
		"PID-3": "010594Y9032", "PID-3[1].4.2": "1.2.246.21", "PID-3[2].1": "77", "PID-3[3]": "",
		"PID-5.1": "Mäki", "PV1-7[2].2": "Suo", "PV1[2]-1": "", "ZZZ-1": "", "PID": "", "PID-0": "", "PID-3[0]": "",
	} {
		require.Equal(t, want, m.Get(path), path)
	}
}

func TestWhatSystemsReallySend(t *testing.T) {
	for name, data := range map[string]string{
		"byte order mark":          "\xef\xbb\xbf" + visit,
		"line feeds":               strings.ReplaceAll(visit, "\r", "\n"),
		"CRLF and a blank line":    strings.ReplaceAll(visit, "\r", "\r\n\r\n"),
		"trailing spaces":          strings.ReplaceAll(visit, "\r", "  \r"),
		"no end of last segment":   strings.TrimSuffix(visit, "\r"),
		"other encoding chars":     strings.NewReplacer("|", "#", "^~\\&", "*!%@", "^", "*", "~", "!", "&", "@").Replace(visit),
		"segments out of order":    strings.Replace(visit, "PID|", "ZX1|a\rPV2|||x\rPID|", 1),
		"latin-1 told by MSH-18":   strings.NewReplacer("UNICODE UTF-8", "8859/1", "ä", "\xe4").Replace(visit),
		"empty MSH-18 means UTF-8": strings.Replace(visit, "||||||UNICODE UTF-8", "", 1),
	} {
		t.Run(name, func(t *testing.T) {
			m, err := hl7v2.Parse([]byte(data), hl7v2.Limits{})
			require.NoError(t, err)
			require.Equal(t, "Mäki", m.Get("PID-5"))
			require.Equal(t, "1.2.246.21", m.Get("PID-3.4.2"))
			require.Equal(t, "4711", m.Get("PV1-19"))
		})
	}
}

func TestEscapes(t *testing.T) {
	m, err := hl7v2.Parse([]byte("MSH|^~\\&#\rNTE|1||a\\F\\b\\S\\c\\T\\d\\R\\e\\E\\f\\P\\g\\.br\\h\\XC3A4\\i\\H\\j\\"), hl7v2.Limits{})
	require.NoError(t, err)
	require.Equal(t, "a|b^c&d~e\\f#g\nhäi\\H\\j\\", m.Get("NTE-3"))
}

func TestRefusalsNameThePlaceAndNoValue(t *testing.T) {
	for name, c := range map[string]struct {
		data, code, path string
		limits           hl7v2.Limits
	}{
		"empty":                      {"", hl7v2.SegmentSequence, "MSH", hl7v2.Limits{}},
		"no MSH":                     {"PID|1||SECRET", hl7v2.SegmentSequence, "MSH", hl7v2.Limits{}},
		"only a separator":           {"MSH|", hl7v2.SegmentSequence, "MSH-1", hl7v2.Limits{}},
		"letters as encoding chars":  {"MSH|SECR\r", hl7v2.SegmentSequence, "MSH-2", hl7v2.Limits{}},
		"same encoding char twice":   {"MSH|^^\\&|SECRET", hl7v2.SegmentSequence, "MSH-2", hl7v2.Limits{}},
		"unknown character set":      {strings.Replace(visit, "UNICODE UTF-8", "SECRET", 1), hl7v2.TableValue, "MSH-18", hl7v2.Limits{}},
		"not in its character set":   {strings.Replace(visit, "ä", "\xe4SECRET", 1), hl7v2.DataType, "MSH-18", hl7v2.Limits{}},
		"broken line":                {visit + "SECRET text\r", hl7v2.SegmentSequence, "", hl7v2.Limits{}},
		"second MSH":                 {visit + visit, hl7v2.SegmentSequence, "MSH", hl7v2.Limits{}},
		"control character":          {visit + "NTE|1||SECRET\x01\r", hl7v2.DataType, "NTE-3", hl7v2.Limits{}},
		"too long":                   {visit, hl7v2.SegmentSequence, "", hl7v2.Limits{Bytes: 20}},
		"too many segments":          {visit, hl7v2.SegmentSequence, "", hl7v2.Limits{Segments: 2}},
		"too many fields":            {visit + "PV2|" + strings.Repeat("|", 400), hl7v2.SegmentSequence, "PV2", hl7v2.Limits{}},
		"too many components":        {visit + "PV2|" + strings.Repeat("^", 400), hl7v2.DataType, "PV2-1", hl7v2.Limits{}},
		"too many subcomponents":     {visit + "PV2||" + strings.Repeat("&", 400), hl7v2.DataType, "PV2-2", hl7v2.Limits{}},
		"too many repetitions":       {visit + "PV2|||" + strings.Repeat("~", 900), hl7v2.DataType, "PV2-3", hl7v2.Limits{}},
		"batch header is no message": {"FHS|^~\\&\r" + visit, hl7v2.SegmentSequence, "MSH", hl7v2.Limits{}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := hl7v2.Parse([]byte(c.data), c.limits)
			var refusal *hl7v2.Error
			require.ErrorAs(t, err, &refusal)
			require.Equal(t, c.code, refusal.Code)
			require.Equal(t, c.path, refusal.Path.String())
			require.NotContains(t, err.Error(), "SECRET")
		})
	}
}

// What is set at any place can be got from it after writing and reading.
func TestSetAndGetThroughTheWire(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := hl7v2.New()
		places := map[string]string{}
		for i := range rapid.IntRange(1, 8).Draw(t, "segments") {
			s := m.Append("ZZ" + string(rune('A'+i)))
			for range rapid.IntRange(0, 6).Draw(t, "values") {
				p := hl7v2.Place{
					Field: rapid.IntRange(1, 9).Draw(t, "field"), Repetition: rapid.IntRange(1, 3).Draw(t, "rep"),
					Component: rapid.IntRange(1, 4).Draw(t, "component"), Subcomponent: rapid.IntRange(1, 3).Draw(t, "sub"),
				}
				v := rapid.OneOf(rapid.String(), rapid.StringOf(rapid.RuneFrom([]rune("|^~\\&#\r\n\x0b\x1c aä€F")))).Draw(t, "value")
				require.NoError(t, s.Set(p, v))
				places[hl7v2.Path{Segment: s.Name(), Place: p}.String()] = v
			}
		}
		wire, err := m.Encode()
		require.NoError(t, err)
		back, err := hl7v2.Parse(wire, hl7v2.Limits{})
		require.NoError(t, err)
		for path, v := range places {
			require.Equal(t, v, back.Get(path), path)
		}
		again, err := back.Encode()
		require.NoError(t, err)
		require.Equal(t, wire, again)
	})
}

func TestLeavesAreEveryValueOnce(t *testing.T) {
	m, err := hl7v2.Parse([]byte("MSH|^~\\&|A\rNTE|1||x^y&z~w\rNTE|2||v\r"), hl7v2.Limits{})
	require.NoError(t, err)
	var paths []string
	m.Leaves(func(l hl7v2.Leaf) bool { paths = append(paths, m.PathOf(l)); return true })
	require.Empty(t, cmp.Diff([]string{
		"MSH-3", "NTE-1", "NTE-3.1", "NTE-3.2.1", "NTE-3.2.2", "NTE-3[2]", "NTE[2]-1", "NTE[2]-3",
	}, paths))
}

func TestLatin1IsWrittenBackInLatin1(t *testing.T) {
	data := strings.NewReplacer("UNICODE UTF-8", "8859/1", "ä", "\xe4").Replace(visit)
	m, err := hl7v2.Parse([]byte(data), hl7v2.Limits{})
	require.NoError(t, err)
	back, err := m.Encode()
	require.NoError(t, err)
	require.Equal(t, data, string(back))
	require.NoError(t, m.First("PID").Set(hl7v2.Place{Field: 5}, "€"))
	_, err = m.Encode()
	require.Error(t, err, "what the character set cannot carry is not replaced by something else")
}

func TestAcknowledgement(t *testing.T) {
	m, err := hl7v2.Parse([]byte(visit), hl7v2.Limits{})
	require.NoError(t, err)
	place, err := hl7v2.ParsePath("PV1-19.1")
	require.NoError(t, err)
	ack := hl7v2.Ack{
		Code: hl7v2.Fault, ControlID: "A1", Time: time.Date(2026, 3, 1, 6, 0, 0, 0, time.UTC),
		Errors: []*hl7v2.Error{{Code: hl7v2.FieldMissing, Path: place, Text: "the visit has no number"}},
	}
	wire, err := hl7v2.Acknowledge(m.Header(), ack).Encode()
	require.NoError(t, err)
	require.Equal(t, "MSH|^~\\&|SOTESILTA||EHR|JUKOLA|20260301060000+0000||ACK^A04^ACK|A1|P|2.5||||||UNICODE UTF-8\r"+
		"MSA|AE|M1\rERR||PV1^1^19^1^1|101^Required field missing^HL70357|E||||the visit has no number\r", string(wire))
	header := m.Header()
	header.Version = "2.3"
	wire, err = hl7v2.Acknowledge(header, ack).Encode()
	require.NoError(t, err)
	require.Contains(t, string(wire), "ERR|PV1^1^19^101&the visit has no number\r", "before 2.5 ERR-1 carries the error")
}

func TestHeaderOfARefusedMessage(t *testing.T) {
	h := hl7v2.HeaderOf([]byte(strings.Replace(visit, "UNICODE UTF-8", "KOI8", 1) + "broken"))
	require.Equal(t, "M1", h.ControlID)
	require.Equal(t, "A04", h.Event)
	require.Empty(t, hl7v2.HeaderOf([]byte("nothing of the kind")))
}

func TestPublicSamplesAreReadAndKept(t *testing.T) {
	files, err := filepath.Glob("../../../shared/samples/hl7v2/*.hl7")
	require.NoError(t, err)
	if len(files) == 0 {
		t.Skip("0 public samples found: ../shared/samples/hl7v2 is absent")
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		m, err := hl7v2.Parse(data, hl7v2.Limits{})
		require.NoError(t, err, file)
		wire, err := m.Encode()
		require.NoError(t, err)
		again, err := hl7v2.Parse(wire, hl7v2.Limits{})
		require.NoError(t, err)
		leaves := func(m *hl7v2.Message) (out []string) {
			m.Leaves(func(l hl7v2.Leaf) bool {
				out = append(out, m.PathOf(l)+"="+m.Segments()[l.Segment].Get(l.Place))
				return true
			})
			return out
		}
		require.NotEmpty(t, leaves(m))
		require.Empty(t, cmp.Diff(leaves(m), leaves(again)), file)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(visit))
	f.Add([]byte("MSH|^~\\&#\rNTE|1||a\\F\\b\\XFF\\\\"))
	f.Add([]byte("MSH^"))
	f.Fuzz(func(t *testing.T, data []byte) {
		hl7v2.HeaderOf(data)
		m, err := hl7v2.Parse(data, hl7v2.Limits{Bytes: 4096})
		if err != nil {
			var refusal *hl7v2.Error
			if !errors.As(err, &refusal) {
				t.Fatalf("not an *Error: %v", err)
			}
			return
		}
		m.Leaves(func(l hl7v2.Leaf) bool {
			if _, err := hl7v2.ParsePath(m.PathOf(l)); err != nil {
				t.Fatal(err)
			}
			return true
		})
		wire, err := m.Encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := hl7v2.Parse(wire, hl7v2.Limits{Bytes: 8192})
		if err != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
		if second, _ := again.Encode(); string(second) != string(wire) {
			t.Fatalf("not stable:\n%q\n%q", wire, second)
		}
	})
}
