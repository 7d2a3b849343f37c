package wake

import (
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"sotesilta/gateway/shared"
	"sotesilta/gateway/shared/redistest"
)

// node is a running bell of a node, and what it shares with others.
func node(t *testing.T, server *redistest.Server) *Bell {
	t.Helper()
	options, err := redis.ParseURL(server.URL)
	require.NoError(t, err)
	memory := shared.New(redis.NewClient(options), slog.New(slog.NewTextHandler(io.Discard, nil)))
	t.Cleanup(func() { _ = memory.Close() })
	b := New(memory, false)
	done := make(chan struct{})
	ctx := t.Context() // ends before the cleanups
	go func() { defer close(done); b.Run(ctx) }()
	t.Cleanup(func() { <-done })
	return b
}

func rang(t *testing.T, wake <-chan struct{}) {
	t.Helper()
	select {
	case <-wake:
	case <-time.After(10 * time.Second):
		t.Fatal("nobody was woken")
	}
}

// listening waits until a bell hears the others, or not.
func listening(t *testing.T, b *Bell, want bool) {
	t.Helper()
	require.Eventually(t, func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.heard == want
	}, 10*time.Second, 5*time.Millisecond)
}

// empty takes what is left in a channel.
func empty(wake <-chan struct{}) {
	select {
	case <-wake:
	default:
	}
}

func TestABellIsHeardOnEveryNodeByThoseWhoWaitForTheType(t *testing.T) {
	server := redistest.Start(t)
	one, other := node(t, server), node(t, server)
	here, there, elsewhere := one.Listen("Appointment", "Slot"), other.Listen("Appointment"), other.Listen("Observation")
	listening(t, one, true)
	listening(t, other, true)
	for _, wake := range []<-chan struct{}{here, there, elsewhere} {
		empty(wake)
	}
	for range 100 {
		one.Ring("Task")
		one.Ring("Appointment")
	}
	rang(t, here)
	rang(t, there)
	other.Ring("Slot")
	rang(t, here)
	select {
	case <-elsewhere:
		t.Fatal("somebody was woken who waits for another type")
	default:
	}
	require.GreaterOrEqual(t, one.Pause(), woken)
	require.Less(t, one.Pause(), 2*woken)
}

// Without the shared memory a node wakes its own and looks oftener for what others do; nobody waits longer than that.
func TestALostMemoryMakesNodesLookOftener(t *testing.T) {
	server := redistest.Start(t)
	one := node(t, server)
	wake := one.Listen("Appointment")
	listening(t, one, true)
	server.Kill()
	listening(t, one, false)
	rang(t, wake)
	require.Less(t, one.Pause(), 2*unwoken)
	empty(wake)
	one.Ring("Appointment")
	rang(t, wake)
	server.Again(t)
	listening(t, one, true)
	require.GreaterOrEqual(t, one.Pause(), woken)
}

func TestANodeThatIsAloneNeedsNoMemory(t *testing.T) {
	alone := New(nil, true)
	alone.Run(t.Context())
	wake := alone.Listen("Appointment")
	alone.Ring("Appointment")
	rang(t, wake)
	require.GreaterOrEqual(t, alone.Pause(), woken)
	require.Less(t, New(nil, false).Pause(), 2*unwoken, "others may be there")

	var none *Bell
	none.Run(t.Context())
	none.Ring("Appointment")
	require.Nil(t, none.Listen("Appointment"))
	require.Less(t, none.Pause(), 2*unwoken)
}
