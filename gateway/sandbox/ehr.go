package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"time"

	"sotesilta/consent/ledger"
	"sotesilta/internal/fhir"
	"sotesilta/internal/terms"
	"sotesilta/mappings/hl7v2"
)

// EHR is the health station's own system on the other end of the wire: it sends HL7 v2 messages to the gateway, and
// takes in those that the gateway sends.
type EHR struct {
	listener net.Listener
	received chan string
	people   map[string]*fhir.Value
	visit    string
}

// NewEHR listens for messages on a free loopback port.
func NewEHR() (*EHR, error) {
	people, err := bundle("population.json")
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	e := &EHR{listener: listener, received: make(chan string, 64), people: map[string]*fhir.Value{}}
	for _, person := range people {
		e.people[fhir.ID(person)] = person
	}
	go hl7v2.Converse(listener, e.take)
	return e, nil
}

// Address is where the system listens.
func (e *EHR) Address() string { return e.listener.Addr().String() }

// Close stops listening.
func (e *EHR) Close() error { return e.listener.Close() }

// take answers a message with AA and notes its type.
func (e *EHR) take(message *hl7v2.Message) (*hl7v2.Message, bool) {
	select {
	case e.received <- message.Get("MSH-9.1") + "^" + message.Get("MSH-9.2"):
	default:
	}
	return hl7v2.Acknowledge(message.Header(), hl7v2.Ack{Code: "AA", ControlID: ledger.NewID()[:20], Time: time.Now()}), true
}

// Received is the type of the next message that came, such as SIU^S12.
func (e *EHR) Received(ctx context.Context) (string, error) {
	select {
	case text := <-e.received:
		return text, nil
	case <-ctx.Done():
		return "", ctx.Err()
	case <-time.After(10 * time.Second):
		return "", errors.New("no message came")
	}
}

// Arrive sends the ADT^A04 of a client who came to the health station, and answers the visit number.
func (e *EHR) Arrive(ctx context.Context, gateway, client string) (string, error) {
	e.visit = "V" + ledger.NewID()[:8]
	return e.visit, e.send(ctx, gateway, client, "A04")
}

// send sends one ADT message and expects AA.
func (e *EHR) send(ctx context.Context, gateway, client, event string) error {
	person := e.people[client]
	if person == nil {
		return fmt.Errorf("nobody is called %s in the county: %w", client, fs.ErrNotExist)
	}
	now := time.Now().Format("20060102150405-0700")
	code := e.identityCode(client)
	born := person.Text("birthDate")
	message := "MSH|^~\\&|JUKOLA|JUKOLA|SOTESILTA|COUNTY|" + now + "||ADT^" + event + "^ADT_A01|" + ledger.NewID()[:20] + "|P|2.5|||||FIN|UNICODE UTF-8\r" +
		"EVN|" + event + "|" + now + "\r" +
		"PID|1||" + code + "^^^HETU^NNFIN||" + person.Text("name", "family") + "^" + person.Text("name", "given") + "||" +
		born[0:4] + born[5:7] + born[8:10] + "|" + map[string]string{"female": "F", "male": "M"}[person.Text("gender")] + "\r" +
		"PV1|1|O|JUKOLA||||||||||||||||" + e.visit + "|||||||||||||||||||||||||" + now + "\r"
	conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", gateway)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return err
	}
	if err := hl7v2.WriteFrame(conn, []byte(message)); err != nil {
		return err
	}
	data, err := hl7v2.NewFrameReader(conn, 1<<20, nil).Next()
	if err != nil {
		return err
	}
	ack, err := hl7v2.Parse(data, hl7v2.Limits{})
	if err != nil {
		return err
	}
	if got := ack.Get("MSA-1"); got != "AA" {
		return fmt.Errorf("the gateway acknowledged with %s: %s", got, ack.Get("ERR-8"))
	}
	return nil
}

func (e *EHR) identityCode(client string) string {
	for _, identifier := range e.people[client].Get("identifier").Items() {
		if identifier.Text("system") == terms.HETU {
			return identifier.Text("value")
		}
	}
	return ""
}

// Match is the body of Patient/$match for a client: identity code and name.
func (e *EHR) Match(client string) []byte {
	person := e.people[client]
	query := fhir.NewObject(
		fhir.Member{Name: "resourceType", Value: fhir.NewString("Patient")},
		fhir.Member{Name: "identifier", Value: person.Get("identifier")},
		fhir.Member{Name: "name", Value: person.Get("name")},
	)
	return []byte(`{"resourceType":"Parameters","parameter":[{"name":"resource","resource":` + string(query.AppendJSON(nil)) + `},{"name":"onlyCertainMatches","valueBoolean":true}]}`)
}
