package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sotesilta/gateway/store"
)

// errLost ends a transaction whose lease, or what it guards, another holder took meanwhile.
var errLost = errors.New("sqlstore: another holder was first")

// TakeLease implements store.Store. That another's lease runs is seen by reading, so that those who wait for it write nothing.
func (s *Store) TakeLease(ctx context.Context, l store.Lease) (bool, error) {
	if err := sound(l); err != nil {
		return false, err
	}
	other := false
	err := s.read(ctx, func(r Reader) (err error) {
		_, other, err = s.lease(ctx, r, l)
		return err
	})
	if err == nil && !other {
		err = s.transact(ctx, func(tx Tx) (*Writes, error) { return &Writes{}, s.takeLease(ctx, tx, l) })
	}
	if errors.Is(err, errLost) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("sqlstore: lease: %w", err)
	}
	return !other, nil
}

// Advance implements store.Store. The row of the lease is locked before the position is read, so that of two holders one
// sees what the other did.
func (s *Store) Advance(ctx context.Context, l store.Lease, from, to int64) error {
	if err := sound(l); err != nil {
		return err
	}
	if l.Life <= 0 || to < from {
		return errors.New("sqlstore: a position moves on, under a lease that lasts")
	}
	err := s.transact(ctx, func(tx Tx) (*Writes, error) {
		if err := s.takeLease(ctx, tx, l); err != nil {
			return nil, err
		}
		at, err := position(ctx, tx, l.Name)
		if err == nil && at != from {
			err = errLost
		}
		return &Writes{Positions: []Counter{{Name: l.Name, N: to}}}, err
	})
	if errors.Is(err, errLost) {
		return store.ErrStale
	}
	if err != nil {
		return fmt.Errorf("sqlstore: position: %w", err)
	}
	return nil
}

func sound(l store.Lease) error {
	if l.Name == "" || l.Name == sequencer || l.Holder == "" || l.Life < 0 {
		return errors.New("sqlstore: a lease without a name of its own, a holder or a life")
	}
	return nil
}

// position is how far a consumer has come.
func position(ctx context.Context, r querier, consumer string) (seq int64, err error) {
	err = each(ctx, r, func(rows Rows) error { return rows.Scan(&seq) }, "SELECT position FROM consumer WHERE consumer = $1", consumer)
	return seq, err
}

// lease says how long a lease still runs, or that another holder's does.
func (s *Store) lease(ctx context.Context, r querier, l store.Lease) (left time.Duration, other bool, err error) {
	var by string
	var until, now int64
	err = each(ctx, r, func(rows Rows) error { return rows.Scan(&by, &until, &now) },
		"SELECT holder, until, "+s.engine.Now()+" FROM lease WHERE lease = $1", l.Name)
	if err != nil || until <= now {
		return 0, false, err
	}
	return time.Duration(until-now) * time.Millisecond, by != l.Holder, nil
}

// takeLease takes or renews a lease in a transaction, or answers errLost.
func (s *Store) takeLease(ctx context.Context, tx Tx, l store.Lease) error {
	now := s.engine.Now()
	err := tx.Exec(ctx, "INSERT INTO lease (lease, holder, until) VALUES ($1, $2, "+now+" + $3) ON CONFLICT (lease) DO UPDATE SET holder = excluded.holder, until = excluded.until WHERE lease.holder = excluded.holder OR lease.until <= "+now,
		l.Name, l.Holder, l.Life.Milliseconds())
	if err != nil {
		return err
	}
	_, other, err := s.lease(ctx, tx, l)
	if err == nil && other {
		err = errLost
	}
	return err
}
