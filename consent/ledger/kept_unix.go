//go:build unix

package ledger

import (
	"fmt"
	"os"
	"syscall"
)

// exclusively runs f while no other process that shares the folder does.
func exclusively(dir string, f func() error) error {
	folder, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	defer folder.Close() // lets the lock go
	if err := syscall.Flock(int(folder.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("ledger: %s cannot be locked: %w", dir, err)
	}
	return f()
}
