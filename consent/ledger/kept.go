package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// KeptFile lies in the folder of keys: who may write to the store, but not there, cannot cut the ledger back unseen.
const KeptFile = "ledger.checkpoint" // 0600

// keepEvery is how often the file is written at most.
const keepEvery = 200 * time.Millisecond

// Kept is the newest checkpoint of a ledger, kept outside its store in the folder of keys. Nodes that share the folder
// may keep theirs at once: a smaller one never takes the place of a larger one. It is safe for concurrent use.
type Kept struct {
	dir      string
	verifier note.Verifier

	failed func(error)

	file   sync.Mutex // held while the file is read or written
	newest Checkpoint // that it held when it was last looked at; of size 0 when there was none
	text   []byte     // of it then

	mu     sync.Mutex // never held while the file is
	signed []byte     // to be written; nil when nothing is
	size   int64      // of what was last to be written
	timer  *time.Timer
	closed bool
}

// ReadKept reads ledger.checkpoint of a folder of keys as it is; nil when there is none.
func ReadKept(dir string) ([]byte, error) {
	signed, err := os.ReadFile(filepath.Join(dir, KeptFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	return signed, nil
}

// OpenKept opens ledger.checkpoint of a folder of keys, which need not be there yet. A file that is no checkpoint of
// this key is an error. failed is told what a later write came to, when it could not be done.
func OpenKept(dir, verifier string, failed func(error)) (*Kept, error) {
	v, err := note.NewVerifier(verifier)
	if err != nil {
		return nil, fmt.Errorf("ledger: not a verifier key: %w", err)
	}
	k := &Kept{dir: dir, verifier: v, failed: failed}
	return k, k.look()
}

// Newest is the checkpoint that was kept when last looked; of size 0 when there was none.
func (k *Kept) Newest() Checkpoint {
	k.file.Lock()
	defer k.file.Unlock()
	return k.newest
}

// Path is where the file lies.
func (k *Kept) Path() string { return filepath.Join(k.dir, KeptFile) }

// keep takes a checkpoint of our own key that is durable in the store, to be written soon.
func (k *Kept) keep(signed []byte, size int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed || size <= k.size {
		return
	}
	k.signed, k.size = signed, size
	if k.timer == nil {
		k.timer = time.AfterFunc(keepEvery, func() {
			if err := k.write(); err != nil {
				k.failed(err)
			}
		})
	}
}

// Close writes what is not written yet.
func (k *Kept) Close() error {
	k.mu.Lock()
	k.closed = true
	if k.timer != nil {
		k.timer.Stop()
	}
	k.mu.Unlock()
	return k.write()
}

// look reads the file.
func (k *Kept) look() error {
	text, err := ReadKept(k.dir)
	if err != nil || text != nil && bytes.Equal(text, k.text) {
		return err
	}
	k.text, k.newest = text, Checkpoint{}
	if text == nil {
		return nil
	}
	if k.newest, err = openCheckpoint(text, k.verifier); err != nil {
		return fmt.Errorf("%s: %w", k.Path(), err)
	}
	return nil
}

// write replaces the file, whole or not at all, unless it holds a larger one already. It need not reach the disk at once:
// what a crash of the machine loses is some of the newest.
func (k *Kept) write() error {
	k.file.Lock()
	defer k.file.Unlock()
	k.mu.Lock()
	signed, size := k.signed, k.size
	k.signed, k.timer = nil, nil
	k.mu.Unlock()
	if signed == nil {
		return nil
	}
	return exclusively(k.dir, func() error {
		if err := k.look(); err != nil {
			return err
		}
		if k.newest.Size >= size {
			return nil
		}
		tmp, err := os.CreateTemp(k.dir, KeptFile+".")
		if err != nil {
			return fmt.Errorf("ledger: %w", err)
		}
		defer os.Remove(tmp.Name())
		_, err = tmp.Write(signed) // made 0600
		if err = errors.Join(err, tmp.Close()); err == nil {
			err = os.Rename(tmp.Name(), k.Path())
		}
		if err != nil {
			return fmt.Errorf("ledger: %w", err)
		}
		return k.look()
	})
}
