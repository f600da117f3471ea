package store_test

import (
	"strings"
	"testing"

	"umbral/proxy/store"
	"umbral/proxy/store/storetest"
)

func TestConnect(t *testing.T) {
	for _, a := range []store.Address{
		{URL: "redis://127.0.0.1:1"},
		{URL: "redis://user:hunter2@127.0.0.1:1/3", Mode: "single"},
		{URL: "rediss://127.0.0.1:1?skip_verify=true"},
		{URL: "unix:///no/such/socket"},
		{URL: "redis://127.0.0.1:1?master_name=m&addr=127.0.0.1:2", Mode: "sentinel"},
		{URL: "redis://127.0.0.1:1?addr=127.0.0.1:2", Mode: "cluster"},
	} {
		c, err := store.Connect(a)
		if err != nil {
			t.Errorf("%v: %v", a, err)
			continue
		}
		_ = c.Close()
	}
	for _, a := range []store.Address{
		{URL: ""},
		{URL: "redis"},
		{URL: "http://user:hunter2@host"},
		{URL: "redis://user:hun/ter2@host:6379"},
		{URL: "redis://user:hun?ter2@host:6379"},
		{URL: "redis://user:hun#ter2@host:6379/x"},
		{URL: "redis://user:hun%zzter2@host"},
		{URL: "redis://:hunter2@host/a/b"},
		{URL: "redis://:hunter2@host/0?nonsense=1"},
		{URL: "redis://:hunter2@host", Mode: "sentinel"},
		{URL: "redis://:hunter2@host?addr=hunter2", Mode: "cluster"},
		{URL: "redis://:hunter2@host", Mode: "hunters"},
	} {
		c, err := store.Connect(a)
		if err == nil {
			_ = c.Close()
			t.Errorf("%v: taken", a)
			continue
		}
		for _, part := range []string{"hunter2", "hun/", "ter2", "host:6379"} {
			if strings.Contains(err.Error(), part) {
				t.Errorf("%v: the error shows a secret: %v", a.URL, err)
			}
		}
	}
}

func TestConnectByUnixSocket(t *testing.T) {
	path := t.TempDir() + "/redis.sock"
	storetest.StartRedis(t, "--unixsocket", path)
	s := startEdge(t, store.Address{URL: "unix://" + path}, nil)
	shared(t, "page", s)
}
