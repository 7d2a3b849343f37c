package hostile

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"sotesilta/internal/fhir"
	"sotesilta/mappings/hl7v2"
	"sotesilta/test/gatewaytest"
)

// admit is an ADT^A04 of a person to the health station.
func admit(control, code, family, given, born, visit string) string {
	return "MSH|^~\\&|JUKOLA|JUKOLA|SOTESILTA|COUNTY|20261121100000+0200||ADT^A04^ADT_A01|" + control + "|P|2.5|||||FIN|UNICODE UTF-8\r" +
		"EVN|A04|20261121100000+0200\r" +
		"PID|1||" + code + "^^^HETU^NNFIN||" + family + "^" + given + "||" + born + "|F\r" +
		"PV1|1|O|JUKOLA||||||||||||||||" + visit + "|||||||||||||||||||||||||20261121100000+0200\r"
}

// of is the identity code, names and birth date of a client of the county.
func of(t *testing.T, g *gatewaytest.Gateway, client string) (code, family, given, born string) {
	t.Helper()
	doc := g.Nurse().Get(t, "Patient/"+client).Doc(t)
	return doc.Text("identifier", "value"), doc.Text("name", "family"), doc.Text("name", "given"), strings.ReplaceAll(doc.Text("birthDate"), "-", "")
}

func dial(t *testing.T, g *gatewaytest.Gateway) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", g.MLLP)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	return conn
}

// send sends a message on a connection and answers its acknowledgement.
func send(t *testing.T, conn net.Conn, message string) *hl7v2.Message {
	t.Helper()
	if err := hl7v2.WriteFrame(conn, []byte(message)); err != nil {
		t.Fatal(err)
	}
	return acknowledged(t, conn)
}

func acknowledged(t *testing.T, conn net.Conn) *hl7v2.Message {
	t.Helper()
	data, err := hl7v2.NewFrameReader(conn, 1<<20, nil).Next()
	if err != nil {
		t.Fatalf("no acknowledgement: %v", err)
	}
	for _, code := range gatewaytest.IdentityCodes() {
		if bytes.Contains(data, []byte(code)) {
			t.Errorf("an acknowledgement holds an identity code: %q", data)
		}
	}
	ack, err := hl7v2.Parse(data, hl7v2.Limits{})
	if err != nil {
		t.Fatalf("an acknowledgement that cannot be read: %v: %q", err, data)
	}
	return ack
}

// queue counts the messages that wait in the health station's work queue.
func queue(t *testing.T, g *gatewaytest.Gateway) []*fhir.Value {
	t.Helper()
	return g.As("jukola-ehr", "").All(t, "Task?code=unmatched-message")
}

// An ADT about a known person makes one Encounter of that person, however often it is sent.
func TestMessageSentAgain(t *testing.T) {
	gatewaytest.Own(t, func(t *testing.T, g *gatewaytest.Gateway) {
		code, family, given, born := of(t, g, "aino")
		message := admit("SAME-1", code, family, given, born, "V-AGAIN")
		conn := dial(t, g)
		for range 3 {
			ack := send(t, conn, message)
			if ack.Get("MSA-1") != "AA" || ack.Get("MSA-2") != "SAME-1" {
				t.Errorf("acknowledged with %s of %s", ack.Get("MSA-1"), ack.Get("MSA-2"))
			}
		}
		if ack := send(t, dial(t, g), message); ack.Get("MSA-1") != "AA" {
			t.Errorf("on another connection: %s", ack.Get("MSA-1"))
		}
		found := g.Nurse().All(t, "Encounter?identifier=V-AGAIN")
		if len(found) != 1 {
			t.Fatalf("the message sent four times made %d Encounters", len(found))
		}
		encounter := found[0]
		if encounter.Text("subject", "reference") != "Patient/aino" || encounter.Text("meta", "security", "code") != "health" {
			t.Errorf("the Encounter: %s", encounter.AppendJSON(nil))
		}
		if strings.Contains(string(encounter.AppendJSON(nil)), code) {
			t.Error("the Encounter holds the identity code")
		}
		if got := queue(t, g); len(got) != 0 {
			t.Errorf("%d messages wait in the work queue", len(got))
		}
		// The message is nobody's permit: social care still sees nothing of it.
		g.SocialWorker().Do(t, "GET", gatewaytest.Ref(encounter), nil).Outcome(t, 404)
		var received int
		for _, event := range g.Auditor().All(t, "AuditEvent?patient=Patient/aino&subtype=receive") {
			if strings.Contains(string(event.AppendJSON(nil)), "jukola-ehr") {
				received++
			}
		}
		if received == 0 {
			t.Error("taking the message in is not recorded")
		}
	})
}

// "no match to a person: AA and the work queue": nobody is linked by guess.
func TestUnknownPerson(t *testing.T) {
	gatewaytest.Own(t, func(t *testing.T, g *gatewaytest.Gateway) {
		code, family, given, born := of(t, g, "aino")
		before := len(g.Nurse().All(t, "Encounter?_count=100"))
		waiting := 0
		for name, message := range map[string]string{
			"unknown code":        admit("U-1", "010190-999P", "Tuntematon", "Tuomas", "19900101", "V-U1"),
			"wrong name":          admit("U-2", code, "Väärä", given, born, "V-U2"),
			"wrong birth date":    admit("U-3", code, family, given, "19010101", "V-U3"),
			"no code":             admit("U-4", "", family, given, born, "V-U4"),
			"bad check character": admit("U-5", code[:10]+string(rune('A'+(code[10]-'A'+1)%6)), family, given, born, "V-U5"),
		} {
			for range 2 { // the same message again waits once
				ack := send(t, dial(t, g), message)
				if got := ack.Get("MSA-1"); got != "AA" {
					t.Errorf("%s: %s %s", name, got, ack.Get("ERR-8"))
				}
			}
			waiting++
			if got := queue(t, g); len(got) != waiting {
				t.Errorf("%s: %d messages wait, want %d", name, len(got), waiting)
			}
		}
		if after := len(g.Nurse().All(t, "Encounter?_count=100")); after != before {
			t.Errorf("%d Encounters were made of people who were not certain", after-before)
		}
		for _, task := range queue(t, g) {
			text := string(task.AppendJSON(nil))
			for _, secret := range []string{code, "010190-999P", "Tuntematon", family, "MSH|", "TVNI"} {
				if strings.Contains(text, secret) {
					t.Errorf("a waiting message is not sealed, it shows %q", secret)
				}
			}
			for _, p := range []*gatewaytest.Party{g.SocialWorker(), g.DigiNurse(), g.Physician(), g.As("county-social", "")} {
				p.Do(t, "GET", gatewaytest.Ref(task), nil).Outcome(t, 404)
			}
		}
		// A code that may be a real person's is refused in the sandbox, and kept nowhere.
		if got := send(t, dial(t, g), admit("U-6", "010190-123"+check("010190123"), "Oikea", "Olli", "19900101", "V-U6")).Get("MSA-1"); got != "AE" {
			t.Errorf("a code with an individual number below 900: %s", got)
		}
		if got := queue(t, g); len(got) != waiting {
			t.Errorf("the refused message waits")
		}
	})
}

// check is the check character of an identity code.
func check(digits string) string {
	n := 0
	for _, d := range digits {
		n = (n*10 + int(d-'0')) % 31
	}
	return string("0123456789ABCDEFHJKLMNPRSTUVWXY"[n])
}

// Truncated, oversized and garbled frames: a precise answer where there can be one, the connection ends, the next one
// is served.
func TestBrokenFrames(t *testing.T) {
	gatewaytest.Each(t, func(t *testing.T, g *gatewaytest.Gateway) {
		code, family, given, born := of(t, g, "onni")
		good := admit("F-1", code, family, given, born, "V-FRAMES")
		before := len(g.Nurse().All(t, "Encounter?_count=100"))
		for name, tc := range map[string]struct {
			bytes string
			acks  string // MSA-1, "" when the connection may end without one
		}{
			"no start block":            {good + "\x1c\r", "AR"},
			"HTTP":                      {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "AR"},
			"zeros":                     {strings.Repeat("\x00", 1000), "AR"},
			"frame within a frame":      {"\x0b" + good[:40] + "\x0b" + good + "\x1c\r", "AR"},
			"no carriage return at end": {"\x0b" + good + "\x1cX", "AR"},
			"oversized":                 {"\x0b" + good + "OBX|1|TX|||" + strings.Repeat("x", 3<<20) + "\r\x1c\r", "AR"},
			"empty frame":               {"\x0b\x1c\r", "A"},
			"garbage in a frame":        {"\x0bgarbage\x1c\r", "A"},
			"no MSH":                    {"\x0bPID|1||x\r\x1c\r", "A"},
			"bad UTF-8":                 {"\x0b" + strings.Replace(good, family, "\xff\xfe", 1) + "\x1c\r", "A"},
			"too many segments":         {"\x0b" + good + strings.Repeat("NTE|1\r", 100000) + "\x1c\r", "A"},
			"unknown type":              {"\x0b" + strings.Replace(good, "ADT^A04^ADT_A01", "ZZZ^Z99", 1) + "\x1c\r", "AR"},
			"unknown event":             {"\x0b" + strings.Replace(good, "A04", "A99", 2) + "\x1c\r", "AR"},
			"unknown version":           {"\x0b" + strings.Replace(good, "|2.5|", "|9.9|", 1) + "\x1c\r", "AR"},
			"no control id":             {"\x0b" + strings.Replace(good, "F-1", "", 1) + "\x1c\r", "AE"},
			"a test message":            {"\x0b" + strings.Replace(good, "|P|2.5", "|T|2.5", 1) + "\x1c\r", "AR"},
		} {
			t.Run(name, func(t *testing.T) {
				conn := dial(t, g)
				if _, err := conn.Write([]byte(tc.bytes)); err != nil {
					t.Log(err) // the gateway may have closed already
				}
				ack := acknowledged(t, conn)
				if got := ack.Get("MSA-1"); !strings.HasPrefix(got, tc.acks) || got == "AA" {
					t.Errorf("acknowledged with %s %q, want %s", got, ack.Get("ERR-8"), tc.acks)
				}
				if ack.Get("ERR-3.1") == "" {
					t.Errorf("the refusal has no code (ERR-3): %q", ack.Get("ERR-8"))
				}
			})
		}
		// Truncated: the sender closes in the middle, or falls silent and closes its half.
		conn := dial(t, g)
		conn.Write([]byte("\x0b" + good[:50]))
		conn.(*net.TCPConn).CloseWrite()
		if got := acknowledged(t, conn).Get("MSA-1"); got != "AR" {
			t.Errorf("truncated: %s", got)
		}
		if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("after a broken frame the connection stays open: %v", err)
		}
		for range 100 {
			abrupt := dial(t, g)
			abrupt.Write([]byte("\x0b" + good[:50]))
			abrupt.Close()
		}
		if after := len(g.Nurse().All(t, "Encounter?_count=100")); after != before {
			t.Errorf("broken frames made %d Encounters", after-before)
		}
		if got := send(t, dial(t, g), strings.Replace(good, "F-1", "F-2", 1)).Get("MSA-1"); got != "AA" {
			t.Errorf("a good message after all that: %s", got)
		}
		serving(t, g)
	})
}
