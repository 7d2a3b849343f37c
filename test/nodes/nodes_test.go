package nodes

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sotesilta/gateway/shared/redistest"
	"sotesilta/gateway/store/pgtest"
	"sotesilta/mappings/hl7v2"
	"sotesilta/test/gatewaytest"
)

// delivers says whether a node has, or had, the turn at sending messages.
func delivers(n *node) bool { return strings.Contains(n.says.String(), `"msg":"this node delivers"`) }

// booked counts the appointments that workers book until stop is called. A worker whose node is killed ends.
func book(t *testing.T, workers ...*worker) (booked *atomic.Int64, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	booked = &atomic.Int64{}
	var all sync.WaitGroup
	for _, w := range workers {
		all.Go(func() {
			for ctx.Err() == nil {
				switch status, doc := w.try(context.WithoutCancel(ctx), "POST", "Appointment", appointment); status {
				case http.StatusCreated:
					booked.Add(1)
				case 0:
					return
				default:
					t.Errorf("booking was answered %d: %s", status, doc.JSON())
					return
				}
				time.Sleep(15 * time.Millisecond)
			}
		})
	}
	return booked, func() { cancel(); all.Wait() }
}

// settled waits until as many different messages came as were booked, and answers how many came more than once.
func settled(t *testing.T, l *listener, least int64) (again int) {
	t.Helper()
	different := func() int64 {
		seen := map[string]bool{}
		for _, a := range l.arrived() {
			seen[a.control] = true
		}
		again = len(l.arrived()) - len(seen)
		return int64(len(seen))
	}
	require.Eventually(t, func() bool { return different() >= least }, time.Minute, 20*time.Millisecond, "%d of %d messages came", different(), least)
	return again
}

// delay is how long a message takes from the answer to the booking, at best of several and in the middle of them.
func delay(t *testing.T, l *listener, workers ...*worker) time.Duration {
	t.Helper()
	var delays []time.Duration
	for i := range 9 {
		before := len(l.arrived())
		workers[i%len(workers)].create(appointment)
		answered := time.Now()
		require.Eventually(t, func() bool { return len(l.arrived()) > before }, 10*time.Second, time.Millisecond)
		delays = append(delays, l.arrived()[before].at.Sub(answered))
	}
	slices.Sort(delays)
	t.Logf("a message takes %v", delays)
	return delays[len(delays)/2]
}

// TestAMessageGoesOutAtOnceFromWhicheverNode: a change on one node wakes the node that delivers; losing Redis in mid-load
// slows at most.
func TestAMessageGoesOutAtOnceFromWhicheverNode(t *testing.T) {
	t.Parallel()
	c, ehr, redis := newCounty(t), listen(t), redistest.Start(t)
	settings := c.settings(pgtest.Postgres(t), map[string]string{"SOTESILTA_REDIS_URL": redis.URL, "SOTESILTA_MLLP_RECEIVERS": "ehr=" + ehr.addr})
	one := start(t, settings, "serve", "--init-keys").serving()
	other := start(t, settings, "serve").serving()
	workers := []*worker{c.nurse(t, one, one.root), c.nurse(t, other, other.root)}
	workers[0].relate()

	booked, stop := book(t, workers...)
	require.Eventually(t, func() bool { return booked.Load() >= 20 }, 30*time.Second, 5*time.Millisecond)
	stop()
	require.Zero(t, settled(t, ehr, booked.Load()))
	sent := booked.Load()
	// A node that hears the others looks for itself every second or two.
	const well = 400 * time.Millisecond
	require.Less(t, delay(t, ehr, workers...), well)
	sent += 9

	booked, stop = book(t, workers...)
	require.Eventually(t, func() bool { return booked.Load() >= 20 }, 30*time.Second, 5*time.Millisecond)
	redis.Kill()
	at := booked.Load()
	require.Eventually(t, func() bool { return booked.Load() >= at+40 }, 30*time.Second, 5*time.Millisecond, "the load goes on")
	stop()
	sent += booked.Load()
	require.Zero(t, settled(t, ehr, sent), "no node ended, so nothing was sent twice")
	require.Less(t, delay(t, ehr, workers...), 2*well, "nodes look oftener while they cannot wake each other")
	sent += 9

	redis.Again(t)
	require.Eventually(t, func() bool {
		res, err := http.Get(other.root + "/readyz")
		if err != nil {
			return false
		}
		defer res.Body.Close()
		body := make([]byte, 64)
		n, _ := res.Body.Read(body)
		return string(body[:n]) == "ready\n"
	}, 10*time.Second, 20*time.Millisecond)
	for deadline := time.Now().Add(20 * time.Second); delay(t, ehr, workers...) >= well; sent += 9 {
		require.True(t, time.Now().Before(deadline), "they hear each other again")
	}
	require.Zero(t, settled(t, ehr, sent+9))
	require.NotEqual(t, delivers(one), delivers(other), "one node delivered all the time")
	one.stop()
	other.stop()
}

// TestTheNodeThatDeliversIsKilled: of two nodes one delivers; when it is killed in mid-load the other goes on where it
// was, and only what was under way is sent again, under the same control id.
func TestTheNodeThatDeliversIsKilled(t *testing.T) {
	t.Parallel()
	c, ehr := newCounty(t), listen(t)
	settings := c.settings(pgtest.Postgres(t), map[string]string{"SOTESILTA_MLLP_RECEIVERS": "ehr=" + ehr.addr})
	nodes := []*node{start(t, settings, "serve", "--init-keys").serving()}
	nodes = append(nodes, start(t, settings, "serve").serving())
	workers := []*worker{c.nurse(t, nodes[0], nodes[0].root), c.nurse(t, nodes[1], nodes[1].root)}
	workers[0].relate()
	booked, stop := book(t, workers...)
	require.Eventually(t, func() bool { return len(ehr.arrived()) >= 30 }, 30*time.Second, 5*time.Millisecond)
	require.NotEqual(t, delivers(nodes[0]), delivers(nodes[1]), "one node delivers")
	killed, left := nodes[0], nodes[1]
	if delivers(left) {
		killed, left = left, killed
	}
	killed.kill()
	at := booked.Load()
	require.Eventually(t, func() bool { return booked.Load() >= at+30 }, 30*time.Second, 5*time.Millisecond)
	stop()
	// What the killed node had committed and not answered is sent as well.
	again := settled(t, ehr, booked.Load())
	require.LessOrEqual(t, again, 1, "only the message that was under way")
	require.True(t, delivers(left))
	inOrder(t, ehr)
	left.stop()
}

// TestAGatewayThatWasKilledSendsTheRest: on one machine, with SQLite, the gateway that is started anew goes on where the
// killed one was.
func TestAGatewayThatWasKilledSendsTheRest(t *testing.T) {
	t.Parallel()
	c, ehr := newCounty(t), listen(t)
	settings := c.settings("sqlite:"+filepath.Join(t.TempDir(), "gateway.db"), map[string]string{"SOTESILTA_MLLP_RECEIVERS": "ehr=" + ehr.addr})
	n := start(t, settings, "serve", "--init-keys").serving()
	nurse := c.nurse(t, n, n.root)
	nurse.relate()
	booked, stop := book(t, nurse, nurse)
	require.Eventually(t, func() bool { return len(ehr.arrived()) >= 30 }, 30*time.Second, 5*time.Millisecond)
	n.kill()
	stop()
	n = start(t, settings, "serve").serving()
	nurse = c.nurse(t, n, n.root)
	for range 5 {
		nurse.create(appointment)
	}
	require.LessOrEqual(t, settled(t, ehr, booked.Load()+5), 1)
	inOrder(t, ehr)
	require.Less(t, delay(t, ehr, nurse), 400*time.Millisecond, "a gateway that is alone wakes itself")
	n.stop()
}

// inOrder checks that messages came in the order of their events.
func inOrder(t *testing.T, l *listener) {
	t.Helper()
	last := ""
	for _, a := range l.arrived() {
		if len(a.control) == len(last) {
			require.GreaterOrEqual(t, a.control, last)
		} else {
			require.Greater(t, len(a.control), len(last))
		}
		last = a.control
	}
}

// TestAWireWithoutTokensFollowsTheRegistry: what a system may no longer write, it may no longer send either.
func TestAWireWithoutTokensFollowsTheRegistry(t *testing.T) {
	t.Parallel()
	c := newCounty(t)
	free, err := gatewaytest.NewEnvironment("", "")
	require.NoError(t, err)
	settings := c.settings("sqlite:"+filepath.Join(t.TempDir(), "gateway.db"), map[string]string{
		"SOTESILTA_MLLP_ADDR": free.MLLP, "SOTESILTA_MLLP_PEERS": "ehr=127.0.0.0/8", "SOTESILTA_MLLP_SENDERS": "ehr=EHR|STATION",
	})
	n := start(t, settings, "serve", "--init-keys").serving()
	visits := 0
	send := func(sender string) string {
		visits++
		conn, err := net.Dial("tcp", free.MLLP)
		require.NoError(t, err)
		defer conn.Close()
		require.NoError(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
		require.NoError(t, hl7v2.WriteFrame(conn, fmt.Appendf(nil, "MSH|^~\\&|%s|SOTESILTA|COUNTY|20261121100000+0200||ADT^A04^ADT_A01|C%d|P|2.5|||||FIN|UNICODE UTF-8\r"+
			"EVN|A04|20261121100000+0200\rPID|1||170588-9102^^^HETU^NNFIN||Esimerkki^Aino||19880517|F\r"+
			"PV1|1|O|EHR||||||||||||||||V%d|||||||||||||||||||||||||20261121100000+0200\r", sender, visits, visits)))
		data, err := hl7v2.NewFrameReader(conn, 1<<20, nil).Next()
		require.NoError(t, err)
		ack, err := hl7v2.Parse(data, hl7v2.Limits{})
		require.NoError(t, err)
		return ack.Get("MSA-1")
	}
	require.Equal(t, "AA", send("EHR|STATION"))
	require.Equal(t, "AR", send("EHR|ANOTHER"), "a name that is not registered")
	require.NoError(t, os.WriteFile(c.path("clients.yaml"), []byte(strings.Replace(clients, "system/*.cruds", "system/*.rs", 1)), 0o600))
	require.NoError(t, n.cmd.Process.Signal(syscall.SIGHUP))
	require.Eventually(t, func() bool { return send("EHR|STATION") == "AE" }, 20*time.Second, 100*time.Millisecond)
	n.stop()
}
