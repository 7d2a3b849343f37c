package notify_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sotesilta/gateway/exchange"
	"sotesilta/gateway/notify"
	"sotesilta/mappings"
	"sotesilta/mappings/hl7v2"
	"sotesilta/mappings/jukola"
)

// The real Desk has what notify needs.
var _ notify.Desk = (*exchange.Desk)(nil)

const appointment = `{"resourceType":"Appointment","id":"a1","meta":{"versionId":"1"},"status":"booked",
"start":"2026-03-10T10:00:00+02:00","participant":[{"actor":{"reference":"Patient/aino"},"status":"accepted"},
{"actor":{"reference":"PractitionerRole/nurse"},"status":"accepted"}]}`

// outbox is a Desk whose rows and refusals the tests set.
type outbox struct {
	mu       sync.Mutex
	events   []exchange.Event
	position map[string]int64
	rows     map[string]*exchange.Resource
	gathered []string
	holder   map[string]string
	away     int // leases refused because another has the turn
	broken   int // Gathers that fail before one succeeds
	stuck    int // Advances that fail before one succeeds
}

func newOutbox() *outbox {
	o := &outbox{position: map[string]int64{}, holder: map[string]string{}, rows: map[string]*exchange.Resource{}}
	o.put("Appointment", "a1", 1, appointment)
	o.put("Patient", "aino", 1, `{"resourceType":"Patient","id":"aino","identifier":[{"system":"urn:oid:1.2.246.21","value":"010594Y9032"}],"name":[{"family":"Testi","given":["Aino"]}],"birthDate":"1994-05-01"}`)
	o.put("PractitionerRole", "nurse", 1, `{"resourceType":"PractitionerRole","id":"nurse","practitioner":{"reference":"Practitioner/olli"}}`)
	o.put("Practitioner", "olli", 1, `{"resourceType":"Practitioner","id":"olli","name":[{"family":"Ojala","given":["Olli"]}]}`)
	return o
}

func (o *outbox) put(typ, id string, version int64, body string) {
	o.rows[typ+"/"+id] = &exchange.Resource{Type: typ, ID: id, Version: version, Body: []byte(body)}
}

func (o *outbox) happened(typ, id string, version int64, i exchange.Interaction) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.events = append(o.events, exchange.Event{Seq: int64(len(o.events) + 1), Type: typ, ID: id, Version: version, Interaction: i, Time: time.Now()})
}

func (o *outbox) GatherWith(ctx context.Context, c exchange.Caller, more func([]*exchange.Resource) []string, refs ...string) (all []*exchange.Resource, err error) {
	for len(refs) > 0 {
		found, err := o.gather(ctx, c, refs...)
		if err != nil {
			return nil, err
		}
		all, refs = append(all, found...), more(found)
	}
	return all, nil
}

func (o *outbox) gather(_ context.Context, c exchange.Caller, refs ...string) ([]*exchange.Resource, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if c.Actor.App != "jukola-ehr" {
		return nil, errors.New("asked for somebody else")
	}
	o.gathered = append(o.gathered, strings.Join(refs, " "))
	if o.broken > 0 {
		o.broken--
		return nil, exchange.Refuse(exchange.Unrecorded, "transient", "", "no ledger")
	}
	var out []*exchange.Resource
	for _, ref := range refs {
		out = append(out, o.rows[ref])
	}
	return out, nil
}

func (o *outbox) Events(_ context.Context, after int64, limit int) ([]exchange.Event, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	next := o.events[after:]
	return append([]exchange.Event(nil), next[:min(len(next), limit)]...), nil
}

func (o *outbox) TakeLease(_ context.Context, l exchange.Lease) (bool, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	taken := o.take(l)
	if !taken {
		o.away++
	}
	return taken, nil
}

// turn is who has the turn at a consumer's events, and how often others were turned away.
func (o *outbox) turn(consumer string) (holder string, away int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.holder[consumer], o.away
}

func (o *outbox) take(l exchange.Lease) bool {
	if by := o.holder[l.Name]; by != "" && by != l.Holder {
		return false
	}
	if o.holder[l.Name] = l.Holder; l.Life == 0 {
		delete(o.holder, l.Name)
	}
	return true
}

func (o *outbox) Position(_ context.Context, consumer string) (int64, error) {
	return o.at(consumer), nil
}

func (o *outbox) Advance(_ context.Context, l exchange.Lease, from, to int64) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.stuck > 0 {
		o.stuck--
		return exchange.Refuse(exchange.Unrecorded, "exception", "", "no store")
	}
	if !o.take(l) || o.position[l.Name] != from {
		return exchange.Refuse(exchange.Conflict, "conflict", "", "another's")
	}
	o.position[l.Name] = to
	return nil
}

// steal gives the turn to somebody else, who deals with the events up to seq.
func (o *outbox) steal(consumer, holder string, seq int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.holder[consumer], o.position[consumer] = holder, max(seq, o.position[consumer])
}

func (o *outbox) at(consumer string) int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.position[consumer]
}

func (o *outbox) asked() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]string(nil), o.gathered...)
}

// ehr is a real MLLP peer that answers by its script and then AA.
type ehr struct {
	ln       net.Listener
	mu       sync.Mutex
	messages []*hl7v2.Message
	script   []string // AA, AE, AR, silence, close, other
}

func listen(t *testing.T, address string, script ...string) *ehr {
	t.Helper()
	ln, err := net.Listen("tcp", address)
	require.NoError(t, err)
	e := &ehr{ln: ln, script: script}
	t.Cleanup(func() { ln.Close() })
	go hl7v2.Converse(ln, e.answer)
	return e
}

func (e *ehr) answer(m *hl7v2.Message) (reply *hl7v2.Message, on bool) {
	e.mu.Lock()
	e.messages = append(e.messages, m)
	answer := "AA"
	if len(e.script) > 0 {
		answer, e.script = e.script[0], e.script[1:]
	}
	e.mu.Unlock()
	header, ack := m.Header(), hl7v2.Ack{Code: answer, ControlID: "1", Time: time.Now()}
	switch answer {
	case "close":
		return nil, false
	case "silence":
		return nil, true
	case "other":
		ack.Code, header.ControlID = "AA", "something else"
	case "AE", "AR":
		path, _ := hl7v2.ParsePath("SCH-11")
		ack.Errors = []*hl7v2.Error{{Code: hl7v2.Locked, Path: path, Text: "SECRET"}}
	}
	return hl7v2.Acknowledge(header, ack), true
}

func (e *ehr) got() []*hl7v2.Message {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]*hl7v2.Message(nil), e.messages...)
}

type run struct {
	mu         sync.Mutex
	deliveries []notify.Delivery
	log        bytes.Buffer
	stop       func() error
}

func (r *run) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.Write(p)
}

func (r *run) statuses() (out []notify.Status) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, d := range r.deliveries {
		out = append(out, d.Status)
	}
	return out
}

func receiver(t *testing.T, id, address string) notify.Receiver {
	t.Helper()
	lenses, err := jukola.Lenses()
	require.NoError(t, err)
	r := notify.Receiver{
		ID: id, Address: address, Lens: mappings.Find(lenses, "jukola-siu"), Types: []string{"Appointment"},
		Envelope: mappings.Envelope{Sender: hl7v2.HD{"SOTESILTA"}, Receiver: hl7v2.HD{"JUKOLA-EHR"}},
	}
	r.Caller = func() (c exchange.Caller) { c.Actor.App = "jukola-ehr"; return c }
	return r
}

func work(t *testing.T, desk notify.Desk, change func(*notify.Worker), receivers ...notify.Receiver) *run {
	t.Helper()
	r := &run{}
	w := &notify.Worker{
		Desk: desk, Receivers: receivers, Log: slog.New(slog.NewTextHandler(r, nil)),
		Observe: func(d notify.Delivery) { r.mu.Lock(); defer r.mu.Unlock(); r.deliveries = append(r.deliveries, d) },
		Poll:    5 * time.Millisecond, Retry: 5 * time.Millisecond, RetryTo: 20 * time.Millisecond, Answer: 300 * time.Millisecond,
	}
	if change != nil {
		change(w)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	r.stop = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() { require.NoError(t, r.stop()) })
	return r
}

func eventually(t *testing.T, what func() bool) {
	t.Helper()
	require.Eventually(t, what, 10*time.Second, 2*time.Millisecond)
}

func TestBookedAppointmentReachesTheUnit(t *testing.T) {
	desk, peer := newOutbox(), listen(t, "127.0.0.1:0")
	desk.happened("Observation", "o1", 1, exchange.Create)
	desk.happened("Appointment", "a1", 1, exchange.Create)
	desk.happened("Appointment", "a1", 1, exchange.Delete)
	r := work(t, desk, nil, receiver(t, "jukola", peer.ln.Addr().String()))
	eventually(t, func() bool { return desk.at("notify/jukola") == 3 })
	require.Len(t, peer.got(), 1)
	m := peer.got()[0]
	require.Equal(t, "S12", m.Get("MSH-9.2"))
	require.Equal(t, "SS2", m.Get("MSH-10"))
	require.Equal(t, "010594Y9032", m.Get("PID-3"))
	require.Equal(t, "Ojala", m.Get("AIP-3.2"))
	require.Equal(t, []string{"Appointment/a1", "Patient/aino PractitionerRole/nurse", "Practitioner/olli"}, desk.asked())
	require.NoError(t, r.stop())
	require.Equal(t, []notify.Status{notify.Sent}, r.statuses())
	for _, secret := range []string{"010594", "Testi", "Ojala"} {
		require.NotContains(t, r.log.String(), secret)
	}
}

func TestDeniedIsNotSent(t *testing.T) {
	for name, deny := range map[string]func(*outbox){
		"the appointment": func(o *outbox) { o.rows["Appointment/a1"] = nil },
		"the client":      func(o *outbox) { o.rows["Patient/aino"] = nil },
	} {
		t.Run(name, func(t *testing.T) {
			desk, peer := newOutbox(), listen(t, "127.0.0.1:0")
			deny(desk)
			desk.happened("Appointment", "a1", 1, exchange.Create)
			r := work(t, desk, nil, receiver(t, "jukola", peer.ln.Addr().String()))
			eventually(t, func() bool { return desk.at("notify/jukola") == 1 })
			require.NoError(t, r.stop())
			require.Empty(t, peer.got())
		})
	}
}

// A message that waited is decided anew: what was withdrawn meanwhile is not sent.
func TestEachAttemptDecidesAnew(t *testing.T) {
	desk, peer := newOutbox(), listen(t, "127.0.0.1:0", "AR")
	desk.happened("Appointment", "a1", 1, exchange.Create)
	r := work(t, desk, func(w *notify.Worker) {
		observe := w.Observe
		w.Observe = func(d notify.Delivery) {
			observe(d)
			desk.mu.Lock()
			defer desk.mu.Unlock()
			desk.rows["Appointment/a1"] = nil
		}
	}, receiver(t, "jukola", peer.ln.Addr().String()))
	eventually(t, func() bool { return desk.at("notify/jukola") == 1 })
	require.NoError(t, r.stop())
	require.Len(t, peer.got(), 1)
	require.Equal(t, []notify.Status{notify.Waiting, notify.Withheld}, r.statuses())
}

func TestRetriesUntilAccepted(t *testing.T) {
	desk, peer := newOutbox(), listen(t, "127.0.0.1:0", "AR", "close", "other", "silence", "AA")
	desk.broken = 1
	desk.happened("Appointment", "a1", 1, exchange.Create)
	desk.happened("Appointment", "a1", 2, exchange.Update)
	r := work(t, desk, nil, receiver(t, "jukola", peer.ln.Addr().String()))
	eventually(t, func() bool { return desk.at("notify/jukola") == 2 })
	require.NoError(t, r.stop())
	var ids []string
	for _, m := range peer.got() {
		ids = append(ids, m.Get("MSH-10")+" "+m.Get("MSH-9.2"))
	}
	require.Equal(t, []string{"SS1 S12", "SS1 S12", "SS1 S12", "SS1 S12", "SS1 S12", "SS2 S14"}, ids)
	require.NotContains(t, r.log.String(), "SECRET")
}

func TestRefusedForGoodDoesNotHoldUpTheNext(t *testing.T) {
	desk, peer := newOutbox(), listen(t, "127.0.0.1:0", "AE")
	desk.happened("Appointment", "a1", 1, exchange.Create)
	desk.put("Appointment", "a2", 1, strings.Replace(appointment, `"a1"`, `"a2"`, 1))
	desk.happened("Appointment", "a2", 1, exchange.Create)
	r := work(t, desk, nil, receiver(t, "jukola", peer.ln.Addr().String()))
	eventually(t, func() bool { return desk.at("notify/jukola") == 2 })
	require.NoError(t, r.stop())
	require.Equal(t, []notify.Status{notify.Refused, notify.Sent}, r.statuses())
	require.Equal(t, "AE SCH-11 (206)", r.deliveries[0].Why)
}

func TestAnOlderVersionGivesWayToTheNewer(t *testing.T) {
	desk, peer := newOutbox(), listen(t, "127.0.0.1:0")
	desk.put("Appointment", "a1", 3, strings.Replace(appointment, `"booked"`, `"cancelled"`, 1))
	desk.happened("Appointment", "a1", 2, exchange.Update)
	desk.happened("Appointment", "a1", 3, exchange.Update)
	r := work(t, desk, nil, receiver(t, "jukola", peer.ln.Addr().String()))
	eventually(t, func() bool { return desk.at("notify/jukola") == 2 })
	require.NoError(t, r.stop())
	require.Equal(t, []notify.Status{notify.Superseded, notify.Sent}, r.statuses())
	require.Equal(t, "S15", peer.got()[0].Get("MSH-9.2"))
}

// A receiver that is down costs no record, holds up nobody else, and gets its messages when it is back.
func TestAReceiverThatIsDownCatchesUp(t *testing.T) {
	desk, up := newOutbox(), listen(t, "127.0.0.1:0")
	reserved, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := reserved.Addr().String()
	reserved.Close()
	desk.happened("Appointment", "a1", 1, exchange.Create)
	r := work(t, desk, nil, receiver(t, "down", address), receiver(t, "up", up.ln.Addr().String()))
	eventually(t, func() bool { return desk.at("notify/up") == 1 && len(r.statuses()) > 3 })
	require.Len(t, desk.asked(), 3, "nothing is gathered, and so nothing recorded as sent, for the one that is down")
	require.Zero(t, desk.at("notify/down"))
	back := listen(t, address)
	eventually(t, func() bool { return desk.at("notify/down") == 1 })
	require.NoError(t, r.stop())
	require.Len(t, back.got(), 1)
}

func TestGivesUpInTheEnd(t *testing.T) {
	desk := newOutbox()
	desk.happened("Appointment", "a1", 1, exchange.Create)
	dead := receiver(t, "dead", "")
	dead.Dial = func(context.Context, string) (net.Conn, error) { return nil, errors.New("unreachable") }
	r := work(t, desk, func(w *notify.Worker) { w.GiveUp = 30 * time.Millisecond }, dead)
	eventually(t, func() bool { return desk.at("notify/dead") == 1 })
	require.NoError(t, r.stop())
	statuses := r.statuses()
	require.Equal(t, notify.GivenUp, statuses[len(statuses)-1])
}

// What was sent is not sent again because the store failed for a moment: the position waits for it.
func TestAPositionThatIsNotKeptIsKeptLater(t *testing.T) {
	desk, peer := newOutbox(), listen(t, "127.0.0.1:0")
	desk.stuck = 3
	desk.happened("Appointment", "a1", 1, exchange.Create)
	r := work(t, desk, nil, receiver(t, "jukola", peer.ln.Addr().String()))
	eventually(t, func() bool { return desk.at("notify/jukola") == 1 })
	require.NoError(t, r.stop())
	require.Len(t, peer.got(), 1)
}

// Two nodes work for one receiver: each message goes out by one of them, and the second goes on where the first ended.
func TestOneNodeAtATimeSends(t *testing.T) {
	desk, peer := newOutbox(), listen(t, "127.0.0.1:0")
	nodes := []*run{}
	for range 2 {
		nodes = append(nodes, work(t, desk, nil, receiver(t, "jukola", peer.ln.Addr().String())))
	}
	for i := range 20 {
		desk.happened("Appointment", "a1", 1, exchange.Create)
		eventually(t, func() bool { return desk.at("notify/jukola") == int64(i+1) })
		if i == 9 {
			first := nodes[0]
			if len(first.statuses()) == 0 {
				first = nodes[1]
			}
			require.Len(t, first.statuses(), 10, "the node whose turn it is sent all")
			had, _ := desk.turn("notify/jukola")
			require.NoError(t, first.stop())
			has, _ := desk.turn("notify/jukola") // the other's, if it was quick
			require.NotEqual(t, had, has, "and gave it back")
		}
	}
	require.Len(t, nodes[0].statuses(), 10)
	require.Len(t, nodes[1].statuses(), 10)
	var ids []string
	for _, m := range peer.got() {
		ids = append(ids, m.Get("MSH-10"))
	}
	require.Len(t, ids, 20)
	for i, id := range ids {
		require.Equal(t, fmt.Sprint("SS", i+1), id)
	}
}

// A node that lost its turn while a message was under way writes nothing down, and sends nothing more.
func TestANodeThatLostItsTurnStops(t *testing.T) {
	desk, peer := newOutbox(), listen(t, "127.0.0.1:0")
	desk.happened("Appointment", "a1", 1, exchange.Create)
	desk.happened("Appointment", "a1", 1, exchange.Create)
	desk.happened("Appointment", "a1", 1, exchange.Create)
	r := work(t, desk, func(w *notify.Worker) {
		observe := w.Observe
		w.Observe = func(d notify.Delivery) {
			observe(d)
			desk.steal("notify/jukola", "another node", 2)
		}
	}, receiver(t, "jukola", peer.ln.Addr().String()))
	eventually(t, func() bool { return len(r.statuses()) == 1 })
	eventually(t, func() bool { _, away := desk.turn("notify/jukola"); return away >= 3 }) // it goes on asking for the turn
	require.EqualValues(t, 2, desk.at("notify/jukola"), "what the other wrote down")
	require.Len(t, peer.got(), 1)
}

func TestIncompleteReceiversAreRefused(t *testing.T) {
	for name, change := range map[string]func(*notify.Receiver){
		"no id": func(r *notify.Receiver) { r.ID = "" }, "no lens": func(r *notify.Receiver) { r.Lens = nil },
		"no address": func(r *notify.Receiver) { r.Address = "" }, "type of no lens": func(r *notify.Receiver) { r.Types = []string{"Observation"} },
	} {
		r := receiver(t, "x", "127.0.0.1:1")
		change(&r)
		require.Error(t, (&notify.Worker{Receivers: []notify.Receiver{r}}).Run(context.Background()), name)
	}
}
