package hl7v2

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// The bytes of an MLLP frame: <VT> message <FS><CR> (HL7 v2.5 appendix C).
const (
	frameStart = 0x0b
	frameEnd   = 0x1c
)

// What may be wrong with a frame. After any of them the stream cannot be trusted any more: close it.
var (
	ErrFrameTooLong   = errors.New("hl7v2: frame longer than allowed")
	ErrFrameTruncated = errors.New("hl7v2: frame ends before its end block")
	ErrFraming        = errors.New("hl7v2: bytes outside a frame, or a frame within a frame")
)

// FrameReader reads MLLP frames from a stream.
type FrameReader struct {
	r       *bufio.Reader
	limit   int
	started func()
}

// NewFrameReader reads frames of at most limit bytes of content. started, if not nil, is called when a frame's first
// byte has come: the moment to replace the deadline for waiting by the one for sending a message.
func NewFrameReader(r io.Reader, limit int, started func()) *FrameReader {
	return &FrameReader{r: bufio.NewReaderSize(r, 4096), limit: limit, started: started}
}

// Next is the content of the next frame. It answers io.EOF when the stream ends between frames, ErrFrameTooLong,
// ErrFrameTruncated, ErrFraming, or the stream's own error, such as a deadline's. Line ends between frames are passed
// over.
func (f *FrameReader) Next() ([]byte, error) {
	for passed := 0; ; passed++ {
		c, err := f.r.ReadByte()
		if err != nil {
			return nil, err
		}
		if c == frameStart {
			break
		}
		if c != '\r' && c != '\n' || passed > 16 {
			return nil, ErrFraming
		}
	}
	if f.started != nil {
		f.started()
	}
	var content []byte
	for {
		part, err := f.r.ReadSlice(frameEnd)
		if len(content)+len(part) > f.limit+1 {
			return nil, ErrFrameTooLong
		}
		if bytes.IndexByte(part, frameStart) >= 0 {
			return nil, ErrFraming
		}
		content = append(content, part...)
		if err == nil {
			break
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return nil, truncated(err)
		}
	}
	c, err := f.r.ReadByte()
	if err != nil {
		return nil, truncated(err)
	}
	if c != '\r' {
		return nil, ErrFraming
	}
	return content[:len(content)-1], nil
}

func truncated(err error) error {
	if errors.Is(err, io.EOF) {
		return ErrFrameTruncated
	}
	return fmt.Errorf("%w: %w", ErrFrameTruncated, err)
}

// WriteFrame writes a message as one frame, in one Write. It refuses content that would break the frame.
func WriteFrame(w io.Writer, message []byte) error {
	if bytes.IndexByte(message, frameStart) >= 0 || bytes.IndexByte(message, frameEnd) >= 0 {
		return ErrFraming
	}
	frame := make([]byte, 0, len(message)+3)
	frame = append(frame, frameStart)
	frame = append(frame, message...)
	frame = append(frame, frameEnd, '\r')
	_, err := w.Write(frame)
	return err
}
