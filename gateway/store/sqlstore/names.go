package sqlstore

import (
	"encoding/json"
	"sync"

	"sotesilta/consent"
)

// names remembers numbers that were given once and never change: those of classes and parameters, and what a class
// says. Only committed ones are put into it.
type names struct {
	mu      sync.RWMutex
	classes map[string]int64
	said    map[int64]consent.Class
	params  map[ParamKey]int64
}

// maxNames bounds the classes remembered; beyond it the memory begins anew.
const maxNames = 200_000

func newNames() *names {
	return &names{classes: map[string]int64{}, said: map[int64]consent.Class{}, params: map[ParamKey]int64{}}
}

// class is the number of a class by its key, or 0.
func (n *names) class(key string) int64 {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.classes[key]
}

// param is the number of a parameter, or 0.
func (n *names) param(key ParamKey) int64 {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.params[key]
}

// say is what class no says, if it is remembered.
func (n *names) say(no int64) (consent.Class, bool) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	c, ok := n.said[no]
	return c, ok
}

// learnClass remembers a class by its number, from its JSON.
func (n *names) learnClass(no int64, text string) (consent.Class, error) {
	var c consent.Class
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		return c, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.said) >= maxNames {
		clear(n.said)
		clear(n.classes)
	}
	n.said[no] = c
	n.classes[c.Key()] = no
	return c, nil
}

func (n *names) learnParam(key ParamKey, no int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.params[key] = no
}

// learn remembers what a committed batch numbered.
func (n *names) learn(l *Look, there *There) {
	for _, c := range l.Classes {
		if no := there.Classes[c.Key]; no != 0 {
			_, _ = n.learnClass(no, c.JSON) // our own JSON
		}
	}
	for _, p := range l.Params {
		if no := there.Params[p]; no != 0 {
			n.learnParam(p, no)
		}
	}
}
