package hl7v2

import "net"

// maxConversed bounds a message of Converse, in bytes.
const maxConversed = 1 << 20

// Converse answers the messages that come on the connections of a listener, until it is closed: answer makes the reply to
// one, nil for none, and says whether the connection goes on. What is no message ends its connection. Nothing but the
// size of a message is bounded: it is for a party that trusts whoever calls it, as the sandbox's systems and tests do.
func Converse(ln net.Listener, answer func(*Message) (reply *Message, on bool)) {
	for {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		go converse(conn, answer)
	}
}

func converse(conn net.Conn, answer func(*Message) (*Message, bool)) {
	defer conn.Close()
	frames := NewFrameReader(conn, maxConversed, nil)
	for {
		data, err := frames.Next()
		if err != nil {
			return
		}
		message, err := Parse(data, Limits{})
		if err != nil {
			return
		}
		reply, on := answer(message)
		if reply != nil {
			wire, err := reply.Encode()
			if err != nil || WriteFrame(conn, wire) != nil {
				return
			}
		}
		if !on {
			return
		}
	}
}
