package notify

import (
	"context"
	"errors"
	"net"
	"os"
	"time"

	"sotesilta/mappings/hl7v2"
)

// line is the connection to a receiver, kept open between messages.
type line struct {
	receiver *Receiver
	answer   time.Duration
	conn     net.Conn
	frames   *hl7v2.FrameReader
}

// maxAnswer bounds an acknowledgement.
const maxAnswer = 64 << 10

// connect makes sure that the receiver is there.
func (l *line) connect(ctx context.Context) error {
	if l.conn != nil && l.alive() {
		return nil
	}
	l.close()
	ctx, cancel := context.WithTimeout(ctx, l.answer)
	defer cancel()
	dial := l.receiver.Dial
	if dial == nil {
		dial = func(ctx context.Context, address string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", address)
		}
	}
	conn, err := dial(ctx, l.receiver.Address)
	if err != nil {
		return err
	}
	l.conn = conn
	l.frames = hl7v2.NewFrameReader(conn, maxAnswer, nil)
	return nil
}

// alive says whether the receiver has neither closed the connection nor said something unasked.
func (l *line) alive() bool {
	l.conn.SetReadDeadline(time.Now().Add(time.Millisecond))
	_, err := l.conn.Read(make([]byte, 1))
	return errors.Is(err, os.ErrDeadlineExceeded)
}

func (l *line) close() {
	if l.conn != nil {
		l.conn.Close()
		l.conn = nil
	}
}

// send sends a message and waits for its answer. After anything but an answer the connection is closed, so that a
// late answer is not taken for the next one.
func (l *line) send(ctx context.Context, controlID string, wire []byte) (Status, string) {
	conn := l.conn
	// A message under way gets one second more when the worker ends.
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Now().Add(time.Second)) })
	defer stop()
	l.conn.SetDeadline(time.Now().Add(l.answer))
	if err := hl7v2.WriteFrame(l.conn, wire); err != nil {
		l.close()
		return Waiting, "not sent"
	}
	data, err := l.frames.Next()
	if err != nil {
		l.close()
		return Waiting, "no answer"
	}
	ack, err := hl7v2.Parse(data, hl7v2.Limits{Bytes: maxAnswer})
	if err != nil || ack.Get("MSA-2") != controlID {
		l.close()
		return Waiting, "the answer is not one to this message"
	}
	switch ack.Get("MSA-1") {
	case "AA", "CA":
		return Sent, ""
	case "AE", "CE":
		return Refused, "AE" + places(ack)
	case "AR", "CR":
		return Waiting, "AR" + places(ack)
	}
	l.close()
	return Waiting, "the answer has no acknowledgement code"
}
