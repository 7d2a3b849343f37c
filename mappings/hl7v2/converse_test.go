package hl7v2

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Messages are answered one after another, silence is kept, and a connection ends with what is no message.
func TestAConversation(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	go Converse(ln, func(m *Message) (*Message, bool) {
		if m.Get("MSH-10") == "quiet" {
			return nil, true
		}
		return Acknowledge(m.Header(), Ack{Code: "AA", ControlID: "1", Time: time.Now()}), m.Get("MSH-10") != "last"
	})
	say := func(conn net.Conn, id string) {
		require.NoError(t, WriteFrame(conn, []byte("MSH|^~\\&|A|B|C|D|20260101||ADT^A04|"+id+"|P|2.5\rEVN||20260101\r")))
	}
	for _, end := range []func(net.Conn){
		func(conn net.Conn) { say(conn, "last") },
		func(conn net.Conn) { require.NoError(t, WriteFrame(conn, []byte("no message"))) },
	} {
		conn, err := net.Dial("tcp", ln.Addr().String())
		require.NoError(t, err)
		require.NoError(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
		frames := NewFrameReader(conn, 1000, nil)
		var acknowledged []string
		hear := func() error {
			data, err := frames.Next()
			if err == nil {
				m, err := Parse(data, Limits{})
				require.NoError(t, err)
				acknowledged = append(acknowledged, m.Get("MSA-2"))
			}
			return err
		}
		say(conn, "one")
		require.NoError(t, hear())
		say(conn, "quiet")
		say(conn, "two")
		require.NoError(t, hear())
		end(conn)
		for err = nil; err == nil; {
			err = hear()
		}
		require.ErrorIs(t, err, io.EOF)
		require.Subset(t, []string{"one", "two", "last"}, acknowledged)
		require.NoError(t, conn.Close())
	}
}
