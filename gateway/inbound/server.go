package inbound

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"sotesilta/mappings/hl7v2"
)

// Server takes HL7 v2 messages over MLLP. Desk, Source, Quarantine and Sealer are needed; zero numbers are defaults.
type Server struct {
	Desk       Desk
	Quarantine Quarantine
	Sealer     *Sealer
	// Source says which registered system is at the other end of a connection, such as by its certificate. An error
	// closes the connection.
	Source func(conn net.Conn) (*Source, error)
	Log    *slog.Logger
	// Observe, if not nil, is told what came of each message.
	Observe func(Outcome)
	Now     func() time.Time // time.Now

	Connections int           // at once; more are closed when they come; 64
	PerRemote   int           // of these from one address (an IPv6 one: its /64); 16
	FrameLimit  int           // bytes of a message; 1 MiB
	First       time.Duration // from the beginning of a connection to its first message; 10 seconds
	Idle        time.Duration // between messages; 5 minutes
	Receive     time.Duration // for a message to arrive once it has begun; 10 seconds
	Handle      time.Duration // for a message to be dealt with; 30 seconds
}

func (s *Server) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

func (s *Server) log() *slog.Logger {
	if s.Log != nil {
		return s.Log
	}
	return slog.Default()
}

func (s *Server) frameLimit() int { return or(s.FrameLimit, 1<<20) }

func or[T int | time.Duration](v, otherwise T) T {
	if v > 0 {
		return v
	}
	return otherwise
}

// Serve takes connections until ctx ends, then lets the messages that have arrived be answered and returns nil. It
// owns ln and closes it. The error is the listener's.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	if s.Desk == nil || s.Quarantine == nil || s.Sealer == nil || s.Source == nil {
		ln.Close()
		return errors.New("inbound: a server needs Desk, Quarantine, Sealer and Source")
	}
	stop := context.AfterFunc(ctx, func() { ln.Close() })
	defer stop()
	defer ln.Close()
	var open sync.WaitGroup
	defer open.Wait()
	places := newPlaces(or(s.Connections, 64), or(s.PerRemote, 16))
	for pause := time.Duration(0); ; {
		conn, err := ln.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			if errors.Is(err, net.ErrClosed) {
				return err
			}
			// Out of file descriptors and the like: others may free them.
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			s.log().LogAttrs(ctx, slog.LevelWarn, "connection not accepted", slog.String("error", err.Error()))
			select {
			case <-time.After(pause):
				continue
			case <-ctx.Done():
				return nil
			}
		}
		pause = 0
		remote := remoteOf(conn)
		if !places.take(remote) {
			s.log().LogAttrs(ctx, slog.LevelWarn, "connection closed: too many at once")
			conn.Close()
			continue
		}
		open.Go(func() {
			defer places.leave(remote)
			defer conn.Close()
			s.converse(ctx, conn)
		})
	}
}

// converse answers the messages of one connection, one after another.
func (s *Server) converse(ctx context.Context, conn net.Conn) {
	waits := or(s.First, 10*time.Second)
	conn.SetDeadline(time.Now().Add(waits)) // finding the source may take a handshake
	src, err := s.Source(conn)
	if err != nil || src == nil {
		s.log().LogAttrs(ctx, slog.LevelWarn, "connection refused: the sender is not registered")
		return
	}
	// The end of ctx interrupts waiting and receiving, never answering.
	stop := context.AfterFunc(ctx, func() { conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	frames := hl7v2.NewFrameReader(conn, s.frameLimit(), func() {
		conn.SetReadDeadline(time.Now().Add(or(s.Receive, 10*time.Second)))
	})
	for {
		conn.SetReadDeadline(time.Now().Add(waits))
		if ctx.Err() != nil {
			return
		}
		data, err := frames.Next()
		if err != nil {
			s.broken(ctx, conn, src, err)
			return
		}
		waits = or(s.Idle, 5*time.Minute)
		handling, cancel := context.WithTimeout(context.WithoutCancel(ctx), or(s.Handle, 30*time.Second))
		ack := s.answer(handling, src, data)
		cancel()
		conn.SetWriteDeadline(time.Now().Add(10 * time.Second))
		if err := hl7v2.WriteFrame(conn, ack); err != nil {
			return
		}
	}
}

// broken ends a connection whose frames cannot be read any further. The sender is told why if the fault is its own.
func (s *Server) broken(ctx context.Context, conn net.Conn, src *Source, err error) {
	texts := map[error]string{
		hl7v2.ErrFrameTooLong:   "the message is longer than allowed",
		hl7v2.ErrFrameTruncated: "the message ended before its end block, or took too long to arrive",
		hl7v2.ErrFraming:        "the bytes are not MLLP frames",
	}
	if ctx.Err() != nil {
		return
	}
	for cause, text := range texts {
		if !errors.Is(err, cause) {
			continue
		}
		s.log().LogAttrs(ctx, slog.LevelWarn, "connection closed", slog.String("source", src.ID), slog.String("reason", text))
		if s.Observe != nil {
			s.Observe(Outcome{Source: src.ID, Type: "other", Code: hl7v2.Reject, Reason: "frame"})
		}
		ack := encodeAck(hl7v2.Header{}, hl7v2.Ack{
			Code: hl7v2.Reject, ControlID: "FRAME", Time: s.now(),
			Errors: []*hl7v2.Error{{Code: hl7v2.SegmentSequence, Text: text}},
		})
		conn.SetWriteDeadline(time.Now().Add(time.Second))
		if hl7v2.WriteFrame(conn, ack) != nil {
			return
		}
		// Closing with unread bytes would reset the connection and lose the answer: read on for a moment.
		if half, ok := conn.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
			conn.SetReadDeadline(time.Now().Add(time.Second))
			io.CopyN(io.Discard, conn, 16<<20)
		}
		return
	}
}
