package leak

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sotesilta/gateway/sandbox"
	"sotesilta/test/gatewaytest"
)

// A permit withdrawn while many read counts with the first answer that begins after the withdrawal's, by every way of
// reading, and with many nodes on every node (law 4). TestSoakWithdrawalUnderLoad withdraws a hundred times.
func TestWithdrawalUnderLoad(t *testing.T) { withdrawals(t, 12) }

func withdrawals(t *testing.T, rounds int) {
	gatewaytest.Own(t, func(t *testing.T, g *gatewaytest.Gateway) {
		nodes := []*gatewaytest.Gateway{g}
		if strings.HasPrefix(g.Store, "postgres") {
			nodes = append(nodes, g.Another(t)) // the withdrawal is made on the first
		}
		ref := gatewaytest.Ref(first(t, g.Nurse(), "Observation?patient=Patient/aino"))
		data := `"` + strings.TrimPrefix(ref, "Observation/") + `"`
		ways := []string{
			ref, "Observation?patient=Patient/aino", ref + "/_history/1", "Observation?_id=" + strings.TrimPrefix(ref, "Observation/"),
			ref + "/_history", "Observation?code=85354-9,29463-7,44261-6&_include=Observation:encounter",
		}

		// phase is odd from the withdrawal's answer until the next permit is asked for.
		var phase, sights, judged, wrong atomic.Int64
		var which sync.Map
		stop := make(chan struct{})
		var readers sync.WaitGroup
		const connections = 32
		for reader := range connections {
			node := nodes[reader%len(nodes)]
			authorization := node.SocialWorker().Authorization(t)
			readers.Go(func() {
				for n := reader; ; n++ {
					select {
					case <-stop:
						return
					default:
					}
					way := ways[n%len(ways)]
					before := phase.Load()
					answer, err := node.Try("GET", "/fhir/"+way, nil, "Authorization", authorization)
					if err != nil {
						t.Error(err)
						return
					}
					seen := answer.Status == 200 && strings.Contains(string(answer.Body), data)
					switch closed := before%2 == 1 && phase.Load() == before; {
					case seen && closed:
						wrong.Add(1)
						which.Store(fmt.Sprintf("%s on node %d", way, reader%len(nodes)), true)
					case seen:
						sights.Add(1)
					case closed:
						judged.Add(1)
					}
				}
			})
		}
		// until waits until n more answers of a kind came.
		until := func(count *atomic.Int64, n int64) {
			t.Helper()
			from := count.Load()
			for begun := time.Now(); count.Load() < from+n && wrong.Load() == 0; time.Sleep(time.Millisecond) {
				if time.Since(begun) > 30*time.Second {
					t.Fatalf("%d of %d answers within half a minute", count.Load()-from, n)
				}
			}
		}
		func() {
			defer func() {
				close(stop)
				readers.Wait()
			}()
			for range rounds {
				permit := g.Direct(t, "aino", sandbox.PermitToSocial("aino", sandbox.Period{From: "2000-01-01"}))[0]
				until(&sights, connections)
				g.Withdraw(t, "aino", permit)
				phase.Add(1)
				until(&judged, connections)
				phase.Add(1)
			}
		}()
		which.Range(func(way, _ any) bool { t.Errorf("the data came after the withdrawal by %s", way); return true })
		if sights.Load() == 0 || judged.Load() == 0 {
			t.Error("nothing was seen while the permit held, or nothing asked after it was withdrawn")
		}
		t.Logf("%d withdrawals, %d readers on %d nodes: %d answers with the data while permitted, %d without after a withdrawal, %d too late",
			rounds, connections, len(nodes), sights.Load(), judged.Load(), wrong.Load())
	})
}
