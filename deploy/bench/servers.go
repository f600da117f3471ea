package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// write puts text with its placeholders filled in into a file of dir.
func write(dir, name, text string, pairs ...string) (string, error) {
	path := filepath.Join(dir, name)
	return path, os.WriteFile(path, []byte(strings.NewReplacer(pairs...).Replace(text)), 0o600)
}

// nginxConf is nginx as someone who cares would set it up: open files are
// kept, connections last, nothing is written that nobody reads. tcp_nopush is
// best for it but where a page is a little larger than a segment of loopback,
// which then waits 40 ms for nothing.
const nginxConf = `daemon off;
USER
worker_processes auto;
pid DIR/pid;
error_log DIR/log warn;
events { worker_connections 4096; }
http {
  access_log LOG;
  default_type text/html;
  sendfile on;
  tcp_nopush on;
  keepalive_timeout 1h;
  keepalive_requests 1000000000;
  open_file_cache max=1000 inactive=1h;
  open_file_cache_valid 1h;
  client_body_temp_path DIR/body;
  fastcgi_temp_path DIR/fastcgi;
  uwsgi_temp_path DIR/uwsgi;
  scgi_temp_path DIR/scgi;
  proxy_temp_path DIR/proxy;
  proxy_cache_path DIR/cache levels=1:2 keys_zone=pages:16m max_size=1g inactive=1h use_temp_path=off;
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  proxy_set_header Host $host;
  proxy_buffers 16 8k;
  upstream origin { server ORIGIN; keepalive 256; keepalive_requests 1000000000; }
  server {
    listen ADDRESS;
    location / { proxy_pass http://origin; }
    location /hit/ { proxy_cache pages; proxy_cache_key $uri$is_args$args; proxy_pass http://origin;
      location /hit/64k { tcp_nopush off; proxy_pass http://origin; } }
    location /session/ { proxy_cache pages; proxy_cache_key "$cookie_sessionid $uri$is_args$args"; proxy_pass http://origin;
      location /session/64k { tcp_nopush off; proxy_pass http://origin; } }
  }
}
`

func (b *bed) startNginx(ctx context.Context, name string, logging bool) (*server, error) {
	dir, err := b.room(name)
	if err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	log, user := "off", ""
	if logging {
		log = dir + "/access.log"
	}
	if os.Geteuid() == 0 {
		user = "user root;" // else the workers could not read the directory
	}
	conf, err := write(dir, "nginx.conf", nginxConf,
		"DIR", dir, "LOG", log, "USER", user, "ADDRESS", address, "ORIGIN", b.origin.address)
	if err != nil {
		return nil, err
	}
	return b.launch(ctx, &server{name: name, address: address}, dir, lookPath("nginx"), "-p", dir, "-e", dir+"/log", "-c", conf)
}

const varnishVCL = `vcl 4.1;
backend default { .host = "HOST"; .port = "PORT"; }
sub vcl_recv {
  if (req.url ~ "^/session/") { return (hash); }
  if (req.url ~ "^/miss/") { return (pass); }
}
sub vcl_hash {
  if (req.url ~ "^/session/") { hash_data(req.http.Cookie); }
}
`

func (b *bed) startVarnish(ctx context.Context, name string) (*server, error) {
	dir, err := b.room(name)
	if err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	host, port, _ := strings.Cut(b.origin.address, ":")
	vcl, err := write(dir, "edge.vcl", varnishVCL, "HOST", host, "PORT", port)
	if err != nil {
		return nil, err
	}
	return b.launch(ctx, &server{name: name, address: address}, dir,
		lookPath("varnishd"), "-F", "-j", "none", "-n", dir+"/work", "-a", address, "-f", vcl, "-s", "malloc,256m", "-T", "none")
}

const haproxyConf = `global
  maxconn 4096
defaults
  mode http
  timeout connect 5s
  timeout client 1h
  timeout server 1m
  http-reuse always
cache pages
  total-max-size 256
  max-object-size 1048576
  max-age 3600
frontend visitors
  bind ADDRESS
  default_backend origin
backend origin
  http-request cache-use pages
  http-response cache-store pages
  server origin ORIGIN
`

func (b *bed) startHAProxy(ctx context.Context, name string) (*server, error) {
	dir, err := b.room(name)
	if err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	conf, err := write(dir, "haproxy.cfg", haproxyConf, "ADDRESS", address, "ORIGIN", b.origin.address)
	if err != nil {
		return nil, err
	}
	return b.launch(ctx, &server{name: name, address: address}, dir, lookPath("haproxy"), "-db", "-f", conf)
}

func (b *bed) startRedis(ctx context.Context) (*server, error) {
	dir, err := b.room("redis")
	if err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	_, port, _ := strings.Cut(address, ":")
	s := &server{name: "redis-server", address: address}
	s.proc, err = startProcess(s.name, dir, nil, lookPath("redis-server"),
		"--bind", "127.0.0.1", "--port", port, "--dir", dir, "--save", "", "--appendonly", "no", "--maxmemory", "256mb")
	if err != nil {
		return nil, err
	}
	b.started = append(b.started, s.proc)
	return s, s.proc.until(ctx, func() error {
		_, err := redisCommands(address)
		return err
	})
}

const routes = `version: 1
routes:
  - match: /hit/{size}
    ttl: 1h
  - match: /session/{size}
    ttl: 1h
    vary: session
`

func (b *bed) startUmbral(ctx context.Context, name string, logging bool) (*server, error) {
	dir, err := b.room(name)
	if err != nil {
		return nil, err
	}
	file, err := write(dir, "routes.yaml", routes)
	if err != nil {
		return nil, err
	}
	access, memory := "off", "256MiB"
	if logging {
		access = "on"
	}
	if name == "umbral-redis" {
		memory = "0"
	}
	s := &server{name: name, redis: true}
	s.proc, err = startProcess(name, dir, []string{
		"LISTEN=127.0.0.1:0", "ADMIN_LISTEN=127.0.0.1:0", "ADMIN_TOKEN=" + secret(),
		"UPSTREAM_URL=http://" + b.origin.address, "REDIS_URL=redis://" + b.redis.address,
		"CACHE_KEY_PREFIX=" + name, "MEMORY_CACHE_BYTES=" + memory, "EDGE_SECRETS=" + secret(),
		"ROUTES_FILE=" + file, "COOKIE_SECURE=false", "LOG_FORMAT=json", "ACCESS_LOG=" + access,
	}, b.o.umbral, "serve")
	if err != nil {
		return nil, err
	}
	b.started = append(b.started, s.proc)
	return s, s.proc.until(ctx, func() error {
		line, err := s.proc.line(`"serving"`)
		if err != nil {
			return err
		}
		var at struct{ Listen string }
		if err := json.Unmarshal([]byte(line), &at); err != nil || at.Listen == "" {
			return fmt.Errorf("%s does not say where it listens: %s", name, line)
		}
		s.address = at.Listen
		return b.answers(s)
	})
}

// secret is good enough for one run.
func secret() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
