package load

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"
)

// Request is one HTTP/1.1 request as it goes over the wire.
type Request []byte

// NewRequest writes a request to host (host:port). header holds names and values in turn; body may be nil.
func NewRequest(method, host, path string, body []byte, header ...string) Request {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", method, path, host)
	for i := 0; i+1 < len(header); i += 2 {
		fmt.Fprintf(&b, "%s: %s\r\n", header[i], header[i+1])
	}
	if body != nil {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(body))
	}
	b.WriteString("\r\n")
	b.Write(body)
	return b.Bytes()
}

// Answer is what came back. It is valid until the connection's next request.
type Answer struct {
	Status    int
	RequestID string // X-Request-Id
	Location  string
	Body      []byte
}

// Conn is one keep-alive connection. It is not safe for concurrent use.
type Conn struct {
	c    net.Conn
	r    *bufio.Reader
	body []byte
}

// answerTime is how long an answer may take.
const answerTime = 30 * time.Second

// maxAnswer bounds what is read of an answer.
const maxAnswer = 16 << 20

// Dial connects to host:port.
func Dial(addr string) (*Conn, error) {
	c, err := net.DialTimeout("tcp", addr, answerTime)
	if err != nil {
		return nil, err
	}
	return &Conn{c: c, r: bufio.NewReaderSize(c, 16<<10)}, nil
}

// Close ends the connection.
func (c *Conn) Close() error { return c.c.Close() }

// Do sends a request and reads its answer whole. An error means that no whole answer came: the connection is over.
// Only answers with a Content-Length are understood, which is all that the gateway gives.
func (c *Conn) Do(request Request) (*Answer, error) {
	if err := c.c.SetDeadline(time.Now().Add(answerTime)); err != nil {
		return nil, err
	}
	if _, err := c.c.Write(request); err != nil {
		return nil, err
	}
	line, err := c.r.ReadSlice('\n')
	if err != nil {
		return nil, err
	}
	if len(line) < 12 || string(line[:9]) != "HTTP/1.1 " {
		return nil, errors.New("load: not an HTTP/1.1 answer")
	}
	a := &Answer{}
	if a.Status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return nil, errors.New("load: no status")
	}
	length := -1
	for {
		line, err = c.r.ReadSlice('\n')
		if err != nil {
			return nil, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		switch value = bytes.TrimSpace(value); {
		case bytes.EqualFold(name, nameLength):
			if length, err = strconv.Atoi(string(value)); err != nil || length < 0 || length > maxAnswer {
				return nil, errors.New("load: Content-Length")
			}
		case bytes.EqualFold(name, nameRequestID):
			a.RequestID = string(value)
		case bytes.EqualFold(name, nameLocation):
			a.Location = string(value)
		}
	}
	if a.Status == 204 || a.Status == 304 {
		length = 0
	}
	if length < 0 {
		return nil, errors.New("load: an answer without Content-Length")
	}
	if cap(c.body) < length {
		c.body = make([]byte, length)
	}
	a.Body = c.body[:length]
	for read := 0; read < length; {
		n, err := c.r.Read(a.Body[read:])
		if err != nil {
			return nil, err
		}
		read += n
	}
	return a, nil
}

var (
	nameLength    = []byte("Content-Length")
	nameRequestID = []byte("X-Request-Id")
	nameLocation  = []byte("Location")
)
