package official

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// test is what Committed needs of a *testing.T.
type test interface {
	Helper()
	Skip(args ...any)
	Errorf(format string, args ...any)
	Fatal(args ...any)
}

// Committed tests that what a command of Main makes of the definitions is what lies in the folder above it, where go
// generate put it. It is skipped where the definitions are not there.
func Committed(t test, compile func(Folder) (map[string][]byte, error)) {
	t.Helper()
	made, err := compile(Test(t))
	if err != nil {
		t.Fatal(err)
	}
	above, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range made {
		got, err := os.ReadFile(filepath.Join(above, name))
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, ".gz") { // one text may be packed in several ways
			want, got = unpacked(t, want), unpacked(t, got)
		}
		if !bytes.Equal(want, got) {
			t.Errorf("%s: run go generate in %s", name, above)
		}
	}
}

func unpacked(t test, packed []byte) []byte {
	t.Helper()
	zr, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(zr)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
