package inbound_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sotesilta/consent"
	"sotesilta/gateway/exchange"
	"sotesilta/gateway/inbound"
	"sotesilta/internal/fhir"
	"sotesilta/mappings/hl7v2"
	"sotesilta/mappings/jukola"
)

// The real Desk has what inbound needs.
var _ inbound.Desk = (*exchange.Desk)(nil)

const visit = "MSH|^~\\&|JUKOLA-EHR|JUKOLA|SOTESILTA|KSHVA|20260302081500+0200||ADT^A04^ADT_A01|JUK0001|P|2.5\r" +
	"PID|1||010594Y9032^^^HETU&1.2.246.21&ISO^NNFIN||Testi^Aino^Maria^^^^L||19940501|F\r" +
	"PV1|1|O|||||90001^Ojala^Olli||||||||||||4711^^^VISIT|||||||||||||||||||||||||20260302081000+0200\r"

// county is a Desk with one client, keeping what is created under its identifier.
type county struct {
	mu       sync.Mutex
	created  []*fhir.Value
	callers  []exchange.Caller
	matched  []exchange.Identification
	matching error
	writing  error
	stall    chan struct{}
	updated  int
}

func (c *county) Match(_ context.Context, caller exchange.Caller, id exchange.Identification) (*exchange.Resource, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.callers, c.matched = append(c.callers, caller), append(c.matched, id)
	if c.matching != nil {
		return nil, c.matching
	}
	known := map[string]string{"010594Y9032": "aino", "010594Y9021": "onni"}[id.IdentityCode]
	if known == "" || id.Family != "Testi" {
		return nil, exchange.Refuse(exchange.Absent, "not-found", "", "No certain match.")
	}
	return &exchange.Resource{Type: "Patient", ID: known}, nil
}

func (c *county) Transact(_ context.Context, caller exchange.Caller, ops []exchange.Op) ([]exchange.Written, error) {
	if c.stall != nil {
		<-c.stall
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.callers = append(c.callers, caller)
	if c.writing != nil {
		return nil, c.writing
	}
	var out []exchange.Written
	for _, op := range ops {
		if op.IfNoneExist == nil {
			return nil, errors.New("a create that is not conditional")
		}
		want := op.IfNoneExist.Where[0].Values[0]
		if op.IfNoneExist.Where[0].Param.Name != "identifier" {
			return nil, errors.New("not a condition on the identifier")
		}
		written := exchange.Written{Resource: exchange.Resource{Type: op.Type, Body: op.Doc.JSON()}, Created: true}
		for i, there := range c.created {
			if fhir.ResourceType(there) != op.Type || there.Text("identifier", "system") != want.System || there.Text("identifier", "value") != want.Code {
				continue
			}
			var next *fhir.Value
			if op.Meet != nil {
				var err error
				if next, err = op.Meet(there.Clone()); err != nil {
					return nil, err
				}
			}
			if next != nil {
				c.updated++
				c.created[i] = next
			}
			written = exchange.Written{Resource: exchange.Resource{Type: op.Type, ID: fmt.Sprint(i), Version: int64(7 + i), Body: c.created[i].JSON()}, Existing: next == nil}
		}
		if written.Created {
			c.created = append(c.created, op.Doc)
		}
		out = append(out, written)
	}
	return out, nil
}

func (c *county) all() []*fhir.Value {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]*fhir.Value(nil), c.created...)
}

type rig struct {
	desk    *county
	server  *inbound.Server
	address string
	log     *lockedBuffer
	stop    func() error
}

type lockedBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.String()
}

func start(t *testing.T, change func(*inbound.Server, *inbound.Source)) *rig {
	t.Helper()
	lenses, err := jukola.Lenses()
	require.NoError(t, err)
	sealer, err := inbound.NewSealer(bytes.Repeat([]byte{7}, 32))
	require.NoError(t, err)
	r := &rig{desk: &county{}, log: &lockedBuffer{}}
	src := &inbound.Source{
		ID: "jukola-ehr", Lenses: lenses,
		Caller: func() exchange.Caller {
			return exchange.Caller{Actor: consent.Actor{Kind: consent.System, App: "jukola-ehr"}}
		},
	}
	here, err := inbound.Peers(inbound.Here(src)...)
	require.NoError(t, err)
	r.server = &inbound.Server{
		Desk: r.desk, Quarantine: inbound.WorkQueueTasks{Desk: r.desk}, Sealer: sealer, Source: here,
		Log: slog.New(slog.NewJSONHandler(r.log, nil)), FrameLimit: 64 << 10,
	}
	if change != nil {
		change(r.server, src)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	r.address = ln.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.server.Serve(ctx, ln) }()
	r.stop = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() { require.NoError(t, r.stop()) })
	return r
}

func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	return conn
}

func send(t *testing.T, address, message string) *hl7v2.Message {
	t.Helper()
	conn := dial(t, address)
	require.NoError(t, hl7v2.WriteFrame(conn, []byte(message)))
	return receive(t, conn)
}

func receive(t *testing.T, conn net.Conn) *hl7v2.Message {
	t.Helper()
	data, err := hl7v2.NewFrameReader(conn, 1<<20, nil).Next()
	require.NoError(t, err)
	ack, err := hl7v2.Parse(data, hl7v2.Limits{})
	require.NoError(t, err)
	return ack
}

func TestVisitOfACertainClientIsRecordedOnce(t *testing.T) {
	r := start(t, nil)
	for range 2 { // the second time it is a repeat
		ack := send(t, r.address, visit)
		require.Equal(t, "AA", ack.Get("MSA-1"))
		require.Equal(t, "JUK0001", ack.Get("MSA-2"))
		require.Equal(t, "JUKOLA-EHR", ack.Get("MSH-5"))
	}
	created := r.desk.all()
	require.Len(t, created, 1)
	require.Equal(t, "Encounter", fhir.ResourceType(created[0]))
	require.Equal(t, "Patient/aino", created[0].Text("subject", "reference"))
	require.Equal(t, "arrived", created[0].Text("status"))
	require.Equal(t, exchange.Identification{IdentityCode: "010594Y9032", Family: "Testi", Given: "Aino", BirthDate: "1994-05-01"}, r.desk.matched[0])
	for _, c := range r.desk.callers {
		require.Equal(t, exchange.Receive, c.Interaction)
		require.Equal(t, "jukola-ehr", c.Actor.App)
	}
}

// The end of a visit ends what rests on it; a late repeat of its beginning does not begin it again.
func TestVisitEndsOnce(t *testing.T) {
	r := start(t, nil)
	end := strings.NewReplacer("ADT^A04", "ADT^A03", "JUK0001", "JUK0002", "20260302081000+0200", "20260302081000+0200|20260302090000+0200").Replace(visit)
	for i, message := range []string{visit, end, end, visit} {
		require.Equal(t, "AA", send(t, r.address, message).Get("MSA-1"))
		if i == 0 {
			r.desk.all()[0].Set("priority", fhir.NewObject(fhir.Member{Name: "text", Value: fhir.NewString("added over FHIR")}))
		}
	}
	created := r.desk.all()
	require.Len(t, created, 1)
	require.Equal(t, 1, r.desk.updated)
	require.Equal(t, "finished", created[0].Text("status"))
	require.Equal(t, "added over FHIR", created[0].Text("priority", "text"), "what the message does not speak of stays")
	require.Equal(t, "2026-03-02T09:00:00+02:00", created[0].Text("period", "end"))
	require.Equal(t, "Patient/aino", created[0].Text("subject", "reference"))
}

func TestSeveralMessagesOnOneConnection(t *testing.T) {
	r := start(t, nil)
	conn := dial(t, r.address)
	for i := range 3 {
		text := strings.NewReplacer("JUK0001", fmt.Sprintf("C%d", i), "4711", fmt.Sprintf("47%d", i)).Replace(visit)
		require.NoError(t, hl7v2.WriteFrame(conn, []byte(text)))
		require.Equal(t, fmt.Sprintf("C%d", i), receive(t, conn).Get("MSA-2"))
	}
	require.Len(t, r.desk.all(), 3)
}

// Nobody is linked by guess: without a certain match the message waits, sealed, and AA is answered.
func TestUnmatchedMessagesWaitSealed(t *testing.T) {
	for name, c := range map[string]struct{ from, to, reason string }{
		"nobody has the identity code": {"010594Y9032", "020594X903P", inbound.NoCertainMatch},
		"the name is another's":        {"Testi^Aino", "Muu^Aino", inbound.NoCertainMatch},
		"wrong check character":        {"010594Y9032", "010594Y9033", inbound.BadCode},
		"two identity codes":           {"^NNFIN||", "^NNFIN~010594Y9021^^^HETU||", inbound.Several},
		"a code of another authority":  {"^NNFIN||", "^NNFIN~010594Y9021^^^KUNTA&1.2.3&ISO||", inbound.Several},
		"a code no rule carries":       {"^NNFIN||", "^NNFIN~010594Y9021^^^HETU&1.2.3&ISO||", inbound.Several},
		"another alternate identifier": {"^NNFIN||", "^NNFIN|010594Y9021|", inbound.Several},
		"another external identifier":  {"PID|1||", "PID|1|010594Y9021|", inbound.Several},
		"another social security code": {"|F\rPV1", "|F|||||||||||010594Y9021\rPV1", inbound.Several},
		"two people":                   {"\rPV1", "\rPID|2||010594Y9021^^^HETU&1.2.246.21&ISO^NNFIN||Testi^Onni||19940501|M\rPV1", inbound.Several},
		"a second person after all":    {"+0200\r", "+0200\rPID|2||010594Y9021^^^HETU||Testi^Onni\r", inbound.Several},
		"a second person of no code":   {"\rPV1", "\rPID|2||||Testi^Onni||19940501|M\rPV1", inbound.Several},
		"the same person twice":        {"\rPV1", "\rPID|2||010594Y9032^^^HETU||Testi^Aino||19940501|F\rPV1", inbound.Several},
		"no identity code":             {"010594Y9032^^^HETU&1.2.246.21&ISO^NNFIN", "", inbound.NoCode},
		"no PID":                       {"PID|", "ZID|", inbound.NoCode},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, nil)
			message := strings.Replace(visit, c.from, c.to, 1)
			require.NotEqual(t, visit, message)
			for range 2 {
				require.Equal(t, "AA", send(t, r.address, message).Get("MSA-1"))
			}
			created := r.desk.all()
			require.Len(t, created, 1, "the same message is kept once")
			task := created[0]
			require.Equal(t, "Task", fhir.ResourceType(task))
			require.Empty(t, fhir.Validate(task), "the Task is valid FHIR")
			require.Equal(t, inbound.Unmatched, task.Text("code", "coding", "code"))
			require.Equal(t, c.reason, task.Text("statusReason", "coding", "code"))
			require.Equal(t, "JUK0001", task.All("identifier")[1].Text("value"), "it is found in the system that sent it")
			require.Nil(t, task.Get("for"))
			for range fhir.References(task) {
				t.Fatal("the waiting message refers to something")
			}
			text := string(task.JSON())
			for _, secret := range []string{"010594", "Testi", "4711"} {
				require.NotContains(t, text, secret)
			}
			sealed, err := base64.StdEncoding.DecodeString(task.Text("input", "valueBase64Binary"))
			require.NoError(t, err)
			opened, err := r.server.Sealer.Open("jukola-ehr", sealed)
			require.NoError(t, err)
			require.Equal(t, message, string(opened))
			_, err = r.server.Sealer.Open("another", sealed)
			require.Error(t, err, "sealed for its source only")
		})
	}
}

// A sender may make its control ids of anything; one that holds an identity code stays sealed.
func TestAControlIDThatTellsWhoStaysSealed(t *testing.T) {
	r := start(t, nil)
	message := strings.NewReplacer("JUK0001", "A010594Y9021", "Testi^Aino", "Muu^Aino").Replace(visit)
	require.Equal(t, "AA", send(t, r.address, message).Get("MSA-1"))
	require.Len(t, r.desk.all()[0].All("identifier"), 1)
	require.NotContains(t, string(r.desk.all()[0].JSON()), "010594")
}

func TestAnswersToWhatCannotBeTaken(t *testing.T) {
	unavailable := exchange.Refuse(exchange.Unrecorded, "transient", "", "no ledger")
	for name, c := range map[string]struct {
		from, to               string
		change                 func(*county)
		code, segment, fld, er string
	}{
		"malformed segment":       {"PV1|", "pv1|SECRET", nil, "AE", "", "", hl7v2.SegmentSequence},
		"no control id":           {"JUK0001", "", nil, "AE", "MSH", "10", hl7v2.FieldMissing},
		"no visit number":         {"4711^^^VISIT", "", nil, "AE", "PV1", "19", hl7v2.FieldMissing},
		"unknown authority":       {"^^^VISIT", "^^^SECRET", nil, "AE", "", "", hl7v2.FieldMissing},
		"unknown class":           {"PV1|1|O", "PV1|1|SECRET", nil, "AE", "PV1", "2", hl7v2.TableValue},
		"unknown type":            {"ADT^A04^ADT_A01", "SECRET^A04", nil, "AR", "MSH", "9", hl7v2.UnsupportedType},
		"unknown event":           {"ADT^A04^ADT_A01", "ADT^A99", nil, "AR", "MSH", "9", hl7v2.UnsupportedEvent},
		"only sent, never taken":  {"ADT^A04^ADT_A01", "SIU^S12", nil, "AR", "MSH", "9", hl7v2.UnsupportedType},
		"test into production":    {"|P|2.5", "|T|2.5", nil, "AR", "MSH", "11", hl7v2.UnsupportedMode},
		"unknown version":         {"|P|2.5", "|P|9.9", nil, "AR", "MSH", "12", hl7v2.UnsupportedForm},
		"line end in a number":    {"4711^^^VISIT", `4711\X0D\SECRET^^^VISIT`, nil, "AE", "PV1", "19", hl7v2.DataType},
		"line feed in a number":   {"4711^^^VISIT", `4711\.br\SECRET^^^VISIT`, nil, "AE", "PV1", "19", hl7v2.DataType},
		"zero byte in a number":   {"4711^^^VISIT", `4711\X00\^^^VISIT`, nil, "AE", "PV1", "19", hl7v2.DataType},
		"bidi mark in a number":   {"4711^^^VISIT", `4711\XE280AE\^^^VISIT`, nil, "AE", "PV1", "19", hl7v2.DataType},
		"line end in a client id": {"010594Y9032^^^", `010594Y9032\X0D\^^^`, nil, "AE", "PID", "3", hl7v2.DataType},
		"line end in a person id": {"90001^Ojala", `90001\X0A\^Ojala`, nil, "AE", "PV1", "7", hl7v2.DataType},
		"ledger cannot record":    {"", "", func(c *county) { c.writing = unavailable }, "AR", "", "", hl7v2.ApplicationFailed},
		"no answer who it is":     {"", "", func(c *county) { c.matching = unavailable }, "AR", "", "", hl7v2.ApplicationFailed},
		"refused by the process": {"", "", func(c *county) {
			c.writing = exchange.Refuse(exchange.Unprocessable, "invalid", "Encounter.class", "SECRET")
		}, "AE", "", "", hl7v2.ApplicationFailed},
		"work queue cannot write": {"010594Y9032", "020594X903P", func(c *county) { c.writing = unavailable }, "AR", "", "", hl7v2.ApplicationFailed},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, nil)
			if c.change != nil {
				c.change(r.desk)
			}
			message := strings.Replace(visit, c.from, c.to, 1)
			ack := send(t, r.address, message)
			require.Equal(t, c.code, ack.Get("MSA-1"))
			require.Equal(t, c.segment, ack.Get("ERR-2.1"))
			require.Equal(t, c.fld, ack.Get("ERR-2.3"))
			require.Equal(t, c.er, ack.Get("ERR-3.1"))
			wire, err := ack.Encode()
			require.NoError(t, err)
			if c.to != "SECRET^A04" { // MSH-9.2 alone is repeated
				require.NotContains(t, string(wire), "SECRET")
			}
			require.Empty(t, r.desk.all())
			require.Equal(t, "AA", func() string {
				r.desk.mu.Lock()
				r.desk.writing, r.desk.matching = nil, nil
				r.desk.mu.Unlock()
				return send(t, r.address, visit).Get("MSA-1")
			}(), "the server goes on")
		})
	}
}

func TestVisitNumberOfAnotherPersonIsRefused(t *testing.T) {
	r := start(t, nil)
	require.Equal(t, "AA", send(t, r.address, visit).Get("MSA-1"))
	ack := send(t, r.address, strings.Replace(visit, "010594Y9032", "010594Y9021", 1))
	require.Equal(t, "AE", ack.Get("MSA-1"))
	require.Equal(t, hl7v2.DuplicateKey, ack.Get("ERR-3"))
	require.Len(t, r.desk.all(), 1)
}

func TestRealIdentityCodesDoNotEnterATestCounty(t *testing.T) {
	r := start(t, func(_ *inbound.Server, src *inbound.Source) { src.SyntheticOnly = true })
	for _, message := range []string{
		strings.Replace(visit, "010594Y9032", "010101-123N", 1),
		strings.Replace(visit, "^NNFIN||", "^NNFIN~010101-123N^^^HETU||", 1),
		strings.Replace(visit, "PID|1||", "PID|1||010101-123N^^^HETU~", 1),
		strings.Replace(visit, "\rPV1", "\rPID|2||010101-123N^^^HETU\rPV1", 1),
	} {
		ack := send(t, r.address, message)
		require.Equal(t, "AE", ack.Get("MSA-1"))
		require.Equal(t, "PID", ack.Get("ERR-2.1"))
	}
	require.Empty(t, r.desk.all(), "not even the work queue keeps it")
	require.Empty(t, r.desk.matched)
}

func TestBrokenFramesAreAnsweredClosedAndOthersServed(t *testing.T) {
	r := start(t, func(s *inbound.Server, _ *inbound.Source) { s.Receive = 200 * time.Millisecond })
	for name, wire := range map[string]string{
		"oversized":       "\v" + visit + strings.Repeat("x", 200<<10) + "\x1c\r",
		"no frame":        visit,
		"frame in frame":  "\v" + visit + "\v" + visit + "\x1c\r",
		"never completed": "\v" + visit,
	} {
		t.Run(name, func(t *testing.T) {
			conn := dial(t, r.address)
			_, err := io.WriteString(conn, wire)
			require.NoError(t, err)
			require.Equal(t, "AR", receive(t, conn).Get("MSA-1"))
			_, err = conn.Read(make([]byte, 1))
			require.Error(t, err, "the connection is closed")
			require.Empty(t, r.desk.all())
		})
	}
	require.Equal(t, "AA", send(t, r.address, visit).Get("MSA-1"))
}

func TestConnectionsAreBounded(t *testing.T) {
	r := start(t, func(s *inbound.Server, _ *inbound.Source) { s.Connections = 1 })
	first := dial(t, r.address)
	require.NoError(t, hl7v2.WriteFrame(first, []byte(visit)))
	require.Equal(t, "AA", receive(t, first).Get("MSA-1"))
	_, err := dial(t, r.address).Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
	first.Close()
	require.Eventually(t, func() bool {
		conn, err := net.Dial("tcp", r.address)
		if err != nil {
			return false
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(time.Second))
		if hl7v2.WriteFrame(conn, []byte(visit)) != nil {
			return false
		}
		_, err = hl7v2.NewFrameReader(conn, 1<<20, nil).Next()
		return err == nil
	}, 5*time.Second, 20*time.Millisecond)
}

func TestAMessageUnderWayIsAnsweredBeforeTheEnd(t *testing.T) {
	r := start(t, nil)
	r.desk.stall = make(chan struct{})
	idle, busy := dial(t, r.address), dial(t, r.address)
	require.NoError(t, hl7v2.WriteFrame(busy, []byte(visit)))
	require.Eventually(t, func() bool { r.desk.mu.Lock(); defer r.desk.mu.Unlock(); return len(r.desk.matched) == 1 }, 5*time.Second, time.Millisecond)
	stopped := make(chan error, 1)
	go func() { stopped <- r.stop() }()
	_, err := idle.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF, "idle connections end at once")
	select {
	case <-stopped:
		t.Fatal("stopped with a message under way")
	case <-time.After(50 * time.Millisecond):
	}
	close(r.desk.stall)
	require.Equal(t, "AA", receive(t, busy).Get("MSA-1"))
	require.NoError(t, <-stopped)
	require.Len(t, r.desk.all(), 1)
}

func TestNothingOfAMessageIsLogged(t *testing.T) {
	var outcomes []inbound.Outcome
	var mu sync.Mutex
	r := start(t, func(s *inbound.Server, _ *inbound.Source) {
		s.Observe = func(o inbound.Outcome) { mu.Lock(); defer mu.Unlock(); outcomes = append(outcomes, o) }
	})
	send(t, r.address, visit)
	send(t, r.address, strings.Replace(visit, "Testi", "Muu", 1))
	send(t, r.address, strings.Replace(visit, "PV1|1|O", "PV1|1|Q", 1))
	send(t, r.address, visit+"broken Aino 010594Y9032")
	require.NoError(t, r.stop())
	log := r.log.String()
	require.Contains(t, log, "message received")
	for _, secret := range []string{"010594", "Testi", "Muu", "Aino", "Ojala", "4711", "JUK0001"} {
		require.NotContains(t, log, secret)
	}
	require.Len(t, outcomes, 4)
	require.Equal(t, "ADT^A04", outcomes[0].Type)
	require.Equal(t, inbound.NoCertainMatch, outcomes[1].Reason)
	require.Equal(t, "untranslatable", outcomes[2].Reason)
	require.Equal(t, "malformed", outcomes[3].Reason)
}

// What comes over a system's connection and says that another system sent it is neither's word.
func TestSendersAreThoseRegistered(t *testing.T) {
	named := func(senders ...inbound.Sender) *rig {
		return start(t, func(_ *inbound.Server, src *inbound.Source) { src.Senders = senders })
	}
	ehr := hl7v2.HD{"JUKOLA-EHR"}
	for name, c := range map[string]struct {
		senders []inbound.Sender
		from    string // MSH-3 and MSH-4
		code    string
	}{
		"none registered":      {nil, "PEGASOS|MUU", "AA"},
		"as registered":        {[]inbound.Sender{{Application: ehr, Facility: hl7v2.HD{"JUKOLA"}}}, "JUKOLA-EHR|JUKOLA", "AA"},
		"any facility":         {[]inbound.Sender{{Application: ehr}}, "JUKOLA-EHR|MUU", "AA"},
		"one of two":           {[]inbound.Sender{{Application: hl7v2.HD{"LAB"}}, {Application: ehr}}, "JUKOLA-EHR|JUKOLA", "AA"},
		"more than registered": {[]inbound.Sender{{Application: ehr}}, "JUKOLA-EHR^1.2.3^ISO|JUKOLA", "AA"},
		"another application":  {[]inbound.Sender{{Application: ehr}}, "SECRET|JUKOLA", "AR"},
		"another facility":     {[]inbound.Sender{{Application: ehr, Facility: hl7v2.HD{"JUKOLA"}}}, "JUKOLA-EHR|SECRET", "AR"},
		"parts of two":         {[]inbound.Sender{{Application: ehr, Facility: hl7v2.HD{"A"}}, {Application: hl7v2.HD{"LAB"}, Facility: hl7v2.HD{"B"}}}, "JUKOLA-EHR|B", "AR"},
		"another OID":          {[]inbound.Sender{{Application: hl7v2.HD{"JUKOLA-EHR", "1.2.3", "ISO"}}}, "JUKOLA-EHR^1.2.4^ISO|JUKOLA", "AR"},
		"no name":              {[]inbound.Sender{{Application: ehr}}, "|JUKOLA", "AR"},
		"a hidden character":   {[]inbound.Sender{{Application: ehr}}, `JUKOLA-EHR\X0D\|JUKOLA`, "AR"},
	} {
		t.Run(name, func(t *testing.T) {
			r := named(c.senders...)
			ack := send(t, r.address, strings.Replace(visit, "JUKOLA-EHR|JUKOLA", c.from, 1))
			require.Equal(t, c.code, ack.Get("MSA-1"))
			if c.code == "AA" {
				require.Len(t, r.desk.all(), 1)
				return
			}
			require.Equal(t, "MSH", ack.Get("ERR-2.1"))
			require.Equal(t, "3", ack.Get("ERR-2.3"))
			require.NotContains(t, ack.Get("ERR-8"), "SECRET")
			require.Empty(t, r.desk.all())
			require.Empty(t, r.desk.matched)
			require.NotContains(t, r.log.String(), "SECRET")
		})
	}
}

// One machine does not take all places, and connections that say nothing are soon over.
func TestIdleConnectionsKeepNobodyOut(t *testing.T) {
	r := start(t, func(s *inbound.Server, _ *inbound.Source) { s.PerRemote, s.First = 3, 300*time.Millisecond })
	talking := dial(t, r.address)
	require.NoError(t, hl7v2.WriteFrame(talking, []byte(visit)))
	require.Equal(t, "AA", receive(t, talking).Get("MSA-1"))
	silent := []net.Conn{dial(t, r.address), dial(t, r.address)}
	_, err := dial(t, r.address).Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF, "a fourth from one address is closed at once")
	began := time.Now()
	for _, conn := range silent {
		_, err := conn.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF, "no message came in time")
	}
	require.Less(t, time.Since(began), 3*time.Second)
	require.NoError(t, hl7v2.WriteFrame(talking, []byte(visit)), "who sent a message may wait longer for the next")
	require.Equal(t, "AA", receive(t, talking).Get("MSA-1"))
	require.Equal(t, "AA", send(t, r.address, visit).Get("MSA-1"), "the places are free again")
}

func TestSealer(t *testing.T) {
	_, err := inbound.NewSealer(make([]byte, 31))
	require.Error(t, err)
	s, err := inbound.NewSealer(make([]byte, 32))
	require.NoError(t, err)
	one, two := s.Seal("a", []byte("text")), s.Seal("a", []byte("text"))
	require.NotEqual(t, one, two, "equal messages do not look equal")
	require.Equal(t, s.Fingerprint("a", []byte("text")), s.Fingerprint("a", []byte("text")))
	require.NotEqual(t, s.Fingerprint("a", []byte("text")), s.Fingerprint("b", []byte("text")))
	for i := range one {
		changed := bytes.Clone(one)
		changed[i] ^= 1
		_, err := s.Open("a", changed)
		require.Error(t, err)
	}
	_, err = s.Open("a", nil)
	require.Error(t, err)
}
