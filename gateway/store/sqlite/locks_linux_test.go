package sqlite

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sotesilta/consent"
	"sotesilta/consent/ledger"
	"sotesilta/gateway/store"
	"sotesilta/gateway/store/sqlstore"
)

// The locks by which other processes, such as gateway verify, know that the store is in use stay as long as it is: that
// on the index of the log (SQLite's "dead man switch", byte 128 of -shm) and the shared one on the file itself. Without
// the first another process takes the index for a dead one's and empties it under us.
func TestLocksStayWhileTheStoreIsOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	e, err := newEngine(t.Context(), path, Options{}, limits{small: 1, large: 1 << 20})
	require.NoError(t, err)
	s := sqlstore.New(e)
	defer func() { require.NoError(t, s.Close()) }()
	shm, err := os.OpenFile(path+"-shm", os.O_RDWR, 0)
	require.NoError(t, err)
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	require.NoError(t, err)
	defer func() { require.NoError(t, shm.Close()); require.NoError(t, file.Close()) }() // deferred: they end locks
	for i := range 3 {
		require.NoError(t, own(path))
		require.NoError(t, s.Commit(t.Context(), store.Change{
			Put: []store.Row{{
				Type: "Task", ID: fmt.Sprint(i), Version: 1, Class: consent.Class{Type: "Task"}, Recorded: time.Now(), Updated: time.Now(),
				Method: "POST", Body: []byte(`{"resourceType":"Task"}`),
			}},
			Records: []ledger.Record{{ID: ledger.NewID(), Time: time.Now(), Interaction: "create", Outcome: "permit"}},
		}))
		require.True(t, locked(t, shm, 128, 1), "the index of the log is known to be in use")
		require.True(t, locked(t, file, 0x40000002, 510), "the file is known to be in use")
		time.Sleep(checkpointEvery + checkpointEvery/2)
	}
}

// locked says whether somebody has a lock on a part of a file. It asks on behalf of the open file (Linux, F_OFD_GETLK), to
// which the locks of this very process are others' too.
func locked(t *testing.T, f *os.File, from, length int64) bool {
	t.Helper()
	const getOwnedByFile = 36 // F_OFD_GETLK
	lock := syscall.Flock_t{Type: syscall.F_WRLCK, Start: from, Len: length}
	require.NoError(t, syscall.FcntlFlock(f.Fd(), getOwnedByFile, &lock))
	return lock.Type != syscall.F_UNLCK
}
