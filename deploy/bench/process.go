package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// patience bounds every wait for a server.
const patience = 10 * time.Second

// process is a server that this program has started and will end.
type process struct {
	name string
	cmd  *exec.Cmd
	log  string // file of what it says
	done chan struct{}
}

// startProcess runs a program with its output in dir/log, in a process group of
// its own: an interrupt at the terminal reaches this program alone, which then
// ends the others in order.
func startProcess(name, dir string, env []string, args ...string) (*process, error) {
	p := &process{name: name, log: filepath.Join(dir, "log"), done: make(chan struct{})}
	out, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	p.cmd = exec.Command(args[0], args[1:]...)
	p.cmd.Dir = dir
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir}, env...)
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// stop ends the process and whatever it has started.
func (p *process) stop() {
	tree := descendants(p.cmd.Process.Pid)
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(patience):
		for _, pid := range tree {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		<-p.done
	}
}

// until repeats try until it succeeds, the process ends or patience does.
func (p *process) until(ctx context.Context, try func() error) error {
	late := time.After(patience)
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		case <-p.done:
			return fmt.Errorf("%s ended:\n%s", p.name, p.tail())
		case <-late:
			return fmt.Errorf("%s is not ready: %w\n%s", p.name, err, p.tail())
		}
	}
}

// tail is the end of what the process has said.
func (p *process) tail() []byte {
	b, _ := os.ReadFile(p.log)
	return bytes.TrimSpace(b[max(0, len(b)-2000):])
}

// line returns the first line of the log that contains s.
func (p *process) line(s string) (string, error) {
	f, err := os.Open(p.log)
	if err != nil {
		return "", err
	}
	defer f.Close()
	in := bufio.NewScanner(f)
	for in.Scan() {
		if strings.Contains(in.Text(), s) {
			return in.Text(), nil
		}
	}
	return "", errors.New("its log has no line with " + s)
}

// clockTick is USER_HZ, which Linux shows to every program as 100.
const clockTick = time.Second / 100

// cpu is the user and system time of the process and all that it has started.
func (p *process) cpu() (time.Duration, error) {
	var sum time.Duration
	for _, pid := range descendants(p.cmd.Process.Pid) {
		f, err := statFields(pid)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue
		}
		if err != nil {
			return 0, err
		}
		user, err1 := strconv.ParseInt(f[11], 10, 64)
		system, err2 := strconv.ParseInt(f[12], 10, 64)
		if err := errors.Join(err1, err2); err != nil {
			return 0, err
		}
		sum += time.Duration(user+system) * clockTick
	}
	return sum, nil
}

// descendants lists pid and all below it.
func descendants(pid int) []int {
	children := map[int][]int{}
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, d := range dirs {
		id, err := strconv.Atoi(filepath.Base(d))
		if err != nil {
			continue
		}
		if f, err := statFields(id); err == nil {
			parent, _ := strconv.Atoi(f[1])
			children[parent] = append(children[parent], id)
		}
	}
	tree := []int{pid}
	for i := 0; i < len(tree); i++ {
		tree = append(tree, children[tree[i]]...)
	}
	return tree
}

// statFields reads /proc/PID/stat from its third field on: state, ppid, …; the
// second, the program's name, may itself hold blanks and parentheses.
func statFields(pid int) ([]string, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return nil, err
	}
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(f) < 15 {
		return nil, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(f)+2)
	}
	return f, nil
}

// freeAddress is a loopback address that nobody listens on.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
