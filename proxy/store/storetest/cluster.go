package storetest

import (
	"fmt"
	"strings"
	"testing"
)

// Whole says whether there is a master that has both other nodes as its
// replicas.
func (s *Sentinel) Whole() bool {
	m := s.Master()
	if m == nil {
		return false
	}
	info, err := m.try("INFO", "replication")
	text := fmt.Sprint(info)
	return err == nil && strings.Contains(text, "role:master") && strings.Contains(text, "connected_slaves:2") &&
		strings.Count(text, "state=online") == 2
}

// AwaitReplicas waits until every replica says that it has what its master
// among nodes has now. A replica counts as online for up to a second before its
// master begins to send it anything but the first copy.
func AwaitReplicas(t testing.TB, nodes []*Redis) {
	t.Helper()
	for _, n := range nodes {
		text := replication(n)
		if !strings.Contains(text, "role:master") {
			continue
		}
		var have int64
		_, offset, _ := strings.Cut(text, "master_repl_offset:")
		_, _ = fmt.Sscan(offset, &have)
		Eventually(t, "replicas to have what their master has", func() bool {
			for line := range strings.Lines(replication(n)) {
				var acked int64
				_, offset, replica := strings.Cut(line, ",offset=")
				if _, _ = fmt.Sscanf(offset, "%d", &acked); replica && acked < have {
					return false
				}
			}
			return true
		})
	}
}

func replication(n *Redis) string {
	info, _ := n.try("INFO", "replication")
	return fmt.Sprint(info)
}

// member is a line of CLUSTER NODES.
type member struct {
	id, addr, flags, master string
	slots                   bool
}

// members asks the first node that answers who is there.
func (c *Cluster) members() []member {
	for _, n := range c.Nodes {
		text, err := n.try("CLUSTER", "NODES")
		if err != nil {
			continue
		}
		var list []member
		for line := range strings.Lines(fmt.Sprint(text)) {
			f := strings.Fields(line)
			if len(f) < 8 {
				continue
			}
			addr, _, _ := strings.Cut(f[1], "@")
			list = append(list, member{id: f[0], addr: addr, flags: f[2], master: f[3], slots: len(f) > 8})
		}
		return list
	}
	return nil
}

func (c *Cluster) node(addr string) *Redis {
	for _, n := range c.Nodes {
		if n.Addr == addr {
			return n
		}
	}
	return nil
}

// Whole says whether every node that runs serves, and knows every slot served.
func (c *Cluster) Whole() bool {
	alive := 0
	for _, n := range c.Nodes {
		info, err := n.try("CLUSTER", "INFO")
		if err != nil {
			continue
		}
		alive++
		if text := fmt.Sprint(info); !strings.Contains(text, "cluster_state:ok") || !strings.Contains(text, "cluster_slots_fail:0") {
			return false
		}
	}
	return alive > 0
}

// Replicated says whether all nodes run and every master has a replica that
// follows it.
func (c *Cluster) Replicated() bool {
	for _, n := range c.Nodes {
		info, err := n.try("INFO", "replication")
		text := fmt.Sprint(info)
		switch {
		case err != nil:
			return false
		case strings.Contains(text, "role:master") && !strings.Contains(text, "state=online"),
			strings.Contains(text, "role:slave") && !strings.Contains(text, "master_link_status:up"):
			return false
		}
	}
	return true
}

// Serves says whether any slots are n's, as another node sees it.
func (c *Cluster) Serves(n *Redis) bool {
	for _, m := range c.members() {
		if m.addr == n.Addr {
			return m.slots
		}
	}
	return false
}

// Move moves slots to one of the masters, keys and all, as a resharding does:
// one slot after the other, each of them half moved for a while. A node that
// goes meanwhile makes it stop.
func (c *Cluster) Move(to int, slots ...int) {
	var masters []member
	for _, m := range c.members() {
		if strings.Contains(m.flags, "master") && !strings.Contains(m.flags, "fail") && m.slots {
			masters = append(masters, m)
		}
	}
	if len(masters) == 0 {
		return
	}
	target := masters[to%len(masters)]
	for _, slot := range slots {
		if !c.move(slot, target, masters) {
			return
		}
	}
}

func (c *Cluster) move(slot int, target member, masters []member) bool {
	into := c.node(target.addr)
	for _, m := range masters {
		from := c.node(m.addr)
		if m.id == target.id || into == nil || from == nil {
			continue
		}
		// Only the slot's owner takes this.
		if _, err := from.try("CLUSTER", "SETSLOT", slot, "MIGRATING", target.id); err != nil {
			continue
		}
		if _, err := into.try("CLUSTER", "SETSLOT", slot, "IMPORTING", m.id); err != nil {
			return false
		}
		host, port, _ := strings.Cut(target.addr, ":")
		for {
			keys, err := from.try("CLUSTER", "GETKEYSINSLOT", slot, 10)
			list, _ := keys.([]any)
			if err != nil {
				return false
			}
			if len(list) == 0 {
				break
			}
			for _, key := range list {
				if _, err := from.try("MIGRATE", host, port, key, 0, 2000, "REPLACE"); err != nil {
					return false
				}
			}
		}
		// The new owner hears of it first, so that no request is sent in circles.
		for _, n := range append([]*Redis{into, from}, c.Nodes...) {
			_, _ = n.try("CLUSTER", "SETSLOT", slot, "NODE", target.id)
		}
		return true
	}
	return true
}

// Slot is the slot of key.
func (c *Cluster) Slot(key string) int {
	slot, _ := c.Nodes[0].Do("CLUSTER", "KEYSLOT", key).(int64)
	return int(slot)
}
