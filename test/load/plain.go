package load

import (
	"bufio"
	"bytes"
	"errors"
	"net/http"
)

// plain is a connection of Go's own HTTP client.
type plain struct {
	addr   string
	client *http.Client
	// The request that was parsed last: most loads send one and the same.
	wire   *byte
	parsed *http.Request
	body   []byte
	answer bytes.Buffer
}

func newPlain(addr string) *plain {
	return &plain{addr: addr, client: &http.Client{
		Transport: &http.Transport{MaxConnsPerHost: 1, MaxIdleConnsPerHost: 1, DisableCompression: true}, Timeout: answerTime,
	}}
}

// Do implements doer.
func (p *plain) Do(wire Request) (*Answer, error) {
	if len(wire) == 0 {
		return nil, errors.New("load: an empty request")
	}
	if p.wire != &wire[0] {
		parsed, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(wire)))
		if err != nil {
			return nil, err
		}
		_, body, _ := bytes.Cut(wire, []byte("\r\n\r\n"))
		parsed.RequestURI, parsed.URL.Scheme, parsed.URL.Host = "", "http", p.addr
		p.wire, p.parsed, p.body = &wire[0], parsed, body
	}
	request := *p.parsed
	request.Body = nil
	if len(p.body) > 0 {
		request.Body = body{bytes.NewReader(p.body)}
	}
	res, err := p.client.Do(&request)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	p.answer.Reset()
	if _, err := p.answer.ReadFrom(http.MaxBytesReader(nil, res.Body, maxAnswer)); err != nil {
		return nil, err
	}
	return &Answer{
		Status: res.StatusCode, RequestID: res.Header.Get("X-Request-Id"), Location: res.Header.Get("Location"), Body: p.answer.Bytes(),
	}, nil
}

// Close implements doer.
func (p *plain) Close() error {
	p.client.CloseIdleConnections()
	return nil
}

type body struct{ *bytes.Reader }

func (body) Close() error { return nil }
