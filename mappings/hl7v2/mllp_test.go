package hl7v2_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"sotesilta/mappings/hl7v2"
)

func TestFrames(t *testing.T) {
	var wire bytes.Buffer
	long := strings.Repeat("x", 10000)
	require.NoError(t, hl7v2.WriteFrame(&wire, []byte("one")))
	wire.WriteString("\r\n")
	require.NoError(t, hl7v2.WriteFrame(&wire, []byte(long)))
	started := 0
	r := hl7v2.NewFrameReader(iotest.OneByteReader(&wire), 10000, func() { started++ })
	one, err := r.Next()
	require.NoError(t, err)
	require.Equal(t, "one", string(one))
	two, err := r.Next()
	require.NoError(t, err)
	require.Equal(t, long, string(two))
	_, err = r.Next()
	require.Equal(t, io.EOF, err)
	require.Equal(t, 2, started)
}

func TestBrokenFrames(t *testing.T) {
	for name, c := range map[string]struct {
		wire string
		want error
	}{
		"bytes outside a frame":    {"MSH|", hl7v2.ErrFraming},
		"frame within a frame":     {"\vMSH\vMSH\x1c\r", hl7v2.ErrFraming},
		"no CR after the end":      {"\vMSH\x1cX", hl7v2.ErrFraming},
		"ends in the message":      {"\vMSH|", hl7v2.ErrFrameTruncated},
		"ends before its CR":       {"\vMSH|\x1c", hl7v2.ErrFrameTruncated},
		"longer than allowed":      {"\v" + strings.Repeat("x", 101) + "\x1c\r", hl7v2.ErrFrameTooLong},
		"longer and without end":   {"\v" + strings.Repeat("x", 100000), hl7v2.ErrFrameTooLong},
		"nothing but line ends":    {strings.Repeat("\n", 100), hl7v2.ErrFraming},
		"the longest that may be":  {"\v" + strings.Repeat("x", 100) + "\x1c\r", nil},
		"nothing between brackets": {"\v\x1c\r", nil},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := hl7v2.NewFrameReader(strings.NewReader(c.wire), 100, nil).Next()
			require.True(t, errors.Is(err, c.want), "%v", err)
		})
	}
	require.ErrorIs(t, hl7v2.WriteFrame(io.Discard, []byte("a\x1cb")), hl7v2.ErrFraming)
}
